//! The caller, the thing and the circumstances, as Cedar's entities.

use std::sync::LazyLock;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
};
use domain::{
    Action, ActorKind, SubjectId, Timestamp,
    access::{Circumstances, Kind, Place, Principal, Target},
};

use crate::decision::Question;

/// The names of the schema's types.
pub(crate) mod names {
    pub(crate) const ACTION: &str = "Action";
    pub(crate) const USER: &str = "User";
    pub(crate) const SERVICE: &str = "Service";
    pub(crate) const TEAM: &str = "Team";
    pub(crate) const PLATFORM: &str = "Platform";
    pub(crate) const MODEL: &str = "Model";
    pub(crate) const ENDPOINT: &str = "Endpoint";
    pub(crate) const EXPERIMENT: &str = "Experiment";
}

/// Reading a name is slow, cloning it is not.
struct Types {
    action: EntityTypeName,
    user: EntityTypeName,
    service: EntityTypeName,
    team: EntityTypeName,
    platform: EntityTypeName,
    model: EntityTypeName,
    endpoint: EntityTypeName,
    experiment: EntityTypeName,
}

static TYPES: LazyLock<Types> = LazyLock::new(|| Types {
    action: name(names::ACTION),
    user: name(names::USER),
    service: name(names::SERVICE),
    team: name(names::TEAM),
    platform: name(names::PLATFORM),
    model: name(names::MODEL),
    endpoint: name(names::ENDPOINT),
    experiment: name(names::EXPERIMENT),
});

#[expect(clippy::expect_used, reason = "the constants above; every test comes through here")]
fn name(text: &str) -> EntityTypeName {
    text.parse().expect("a name of the schema")
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn team(id: SubjectId) -> EntityUid {
    uid(&TYPES.team, &id.to_string())
}

/// The entity type of who acts, and so of the grants that they were given by name.
pub(crate) const fn account_type(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => names::USER,
        // No grant names a part of Bottega.
        ActorKind::Service | ActorKind::System => names::SERVICE,
    }
}

/// The entity type of things of a kind.
pub(crate) const fn kind_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Platform => names::PLATFORM,
        Kind::Team => names::TEAM,
        Kind::Model => names::MODEL,
        Kind::Endpoint => names::ENDPOINT,
        Kind::Experiment => names::EXPERIMENT,
    }
}

/// The type and the id of a place, as entity.
pub(crate) fn place(place: Place) -> (&'static str, String) {
    match place {
        Place::Everything => (names::PLATFORM, "*".to_owned()),
        Place::Team(id) => (names::TEAM, id.to_string()),
        Place::Model(id) => (names::MODEL, id.to_string()),
        Place::Endpoint(id) => (names::ENDPOINT, id.to_string()),
        Place::Experiment(id) => (names::EXPERIMENT, id.to_string()),
    }
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

fn principal(who: &Principal) -> Result<Entity, String> {
    let kind = match who.actor.kind {
        ActorKind::User => &TYPES.user,
        ActorKind::Service | ActorKind::System => &TYPES.service,
    };
    let attributes = [("name".to_owned(), text(&who.actor.name))];
    let teams = who.teams.iter().map(|id| team(*id));
    Entity::new_with_tags(uid(kind, &who.id.to_string()), attributes, teams, [])
        .map_err(|error| error.to_string())
}

fn resource(target: &Target) -> Result<Entity, String> {
    let kind = target.place.map_or(target.kind, |place| place.kind());
    let type_name = match kind {
        Kind::Platform => &TYPES.platform,
        Kind::Team => &TYPES.team,
        Kind::Model => &TYPES.model,
        Kind::Endpoint => &TYPES.endpoint,
        Kind::Experiment => &TYPES.experiment,
    };
    let id = match target.place {
        Some(known) => place(known).1,
        None if kind == Kind::Platform => "*".to_owned(),
        // No UUID and no number: no policy means it by its id.
        None => "new".to_owned(),
    };
    let mut attributes = Vec::new();
    let mut tags = Vec::new();
    let mut parents = Vec::new();
    if kind != Kind::Platform {
        parents.push(uid(&TYPES.platform, "*"));
    }
    if !matches!(kind, Kind::Platform | Kind::Team) {
        attributes.extend(target.name.iter().map(|name| ("name".to_owned(), text(name))));
        parents.extend(target.team.map(team));
        tags.extend(target.tags.iter().map(|(key, value)| (key.clone(), text(value))));
    }
    if kind == Kind::Endpoint {
        attributes.extend(target.env.iter().map(|env| ("env".to_owned(), text(env.as_str()))));
    }
    Entity::new_with_tags(uid(type_name, &id), attributes, parents, tags)
        .map_err(|error| error.to_string())
}

fn context(action: Action, when: &Circumstances) -> Result<Context, String> {
    let now = RestrictedExpression::new_datetime(moment(when.now));
    let alias = when.alias.as_ref().filter(|_| action == Action::Promote);
    let alias = alias.map(|alias| ("alias".to_owned(), text(alias.as_str())));
    Context::from_pairs([("now".to_owned(), now)].into_iter().chain(alias))
        .map_err(|error| error.to_string())
}

/// An instant as Cedar writes it: milliseconds, and years of four digits.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    match text.len() {
        24 => text,
        _ if at.timestamp() < 0 => "0000-01-01T00:00:00.000Z".to_owned(),
        _ => "9999-12-31T23:59:59.999Z".to_owned(),
    }
}

/// What Cedar is asked.
pub(crate) fn request(question: &Question<'_>) -> Result<(Request, Entities), String> {
    let principal = principal(question.who)?;
    let resource = resource(question.target)?;
    let action = uid(&TYPES.action, question.action.as_str());
    let context = context(question.action, question.when)?;
    let request = Request::new(principal.uid(), action, resource.uid(), context, None)
        .map_err(|error| error.to_string())?;
    let entities =
        Entities::from_entities([principal, resource], None).map_err(|error| error.to_string())?;
    Ok((request, entities))
}
