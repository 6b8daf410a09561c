//! Why somebody may do something, or what would have to be granted.

use domain::{
    Action, AliasName, Problem, Resource,
    access::{Circumstances, Place, Subject, SubjectKind},
};

use crate::{Access, Caller, grants::oversees, verbs};

/// A decision with its reasons, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether they may.
    pub allowed: bool,
    /// What decided, each with its text in Cedar.
    pub policies: Vec<(String, String)>,
    /// Grants that would allow it but for something, and what that is.
    pub near: Vec<(String, Vec<String>)>,
    /// What to do so that it is allowed.
    pub remedies: Vec<String>,
}

/// Explains a decision: one's own to everybody, others' to who administers or audits the platform.
///
/// # Errors
/// There is no such subject or resource; the caller may not look.
pub async fn explain(
    access: &Access,
    caller: &Caller,
    subject: &Subject,
    action: Action,
    resource: &Resource,
    alias: Option<AliasName>,
) -> Result<Explanation, Problem> {
    let is_own = Subject::try_from(&caller.actor).is_ok_and(|own| own == *subject);
    if !is_own {
        oversees(access, caller).await?;
    }
    let live = access.live()?;
    if matches!(subject.kind, SubjectKind::Team | SubjectKind::Group) {
        let message = format!("`{subject}` does not act: ask for one of its members");
        return Err(Problem::invalid("subject", message));
    }
    let who = live
        .named(subject)
        .ok_or_else(|| Problem::not_found(subject.kind.as_str(), &subject.name).at("subject"))?;
    let target = access.target(caller, resource).await?;
    if target.place.is_none() {
        return Err(resource.absent());
    }
    if is_own && !access.may::<verbs::View>(caller, resource).await? {
        return Err(resource.absent());
    }
    let when = Circumstances { alias, now: access.now() };
    let told = live.policies.explain(who, action, &target, &when);
    let place = |place: Place| match place {
        Place::Everything => "'*'".to_owned(),
        Place::Team(id) => format!("team:{}", live.team_name(id).unwrap_or_default()),
        Place::Model(_) | Place::Endpoint(_) | Place::Experiment(_) => resource.to_string(),
    };
    Ok(Explanation {
        allowed: told.decision.allowed,
        policies: told.policies.into_iter().map(|(by, text)| (by.to_string(), text)).collect(),
        near: told
            .near
            .into_iter()
            .map(|near| {
                let grant = format!("grant:{}", near.grant.id);
                (grant, near.missed.iter().map(ToString::to_string).collect())
            })
            .collect(),
        remedies: told.remedies.iter().map(|remedy| remedy.words(subject, &place)).collect(),
    })
}
