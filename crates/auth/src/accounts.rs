//! Users and service accounts.

use domain::{
    Actor, Problem, SubjectId,
    access::{Subject, SubjectKind, SubjectName},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use store::{
    Change, access,
    accounts::{self, Account},
    sessions, subjects, teams,
};

use crate::{Authenticator, Own, Permit, Result, grants, passwords, verbs};

/// The longest name to show.
const DISPLAY_NAME: usize = 255;
/// The longest address for mail.
const EMAIL: usize = 320;

/// What an account is made of.
pub struct NewAccount {
    /// Its name.
    pub name: SubjectName,
    /// The name to show.
    pub display_name: String,
    /// Where mail goes.
    pub email: Option<String>,
}

/// What to change of an account; what is absent stays.
#[derive(Default)]
pub struct Changes {
    /// The name to show.
    pub display_name: Option<String>,
    /// Where mail goes; an inner absence takes it away.
    pub email: Option<Option<String>>,
    /// The team that owns what it makes unless it says.
    pub home_team: Option<String>,
    /// Whether it is kept out.
    pub disabled: Option<bool>,
}

/// A password that an administrator gives to a user.
pub enum Given {
    /// This one.
    Chosen(SecretString),
    /// One that is made, and shown once.
    Generated,
}

impl Authenticator {
    /// Makes a user with a password, which they must change first unless told otherwise. Answers
    /// that password where it was made here.
    ///
    /// # Errors
    /// The name is taken, or looks like one that is; the password is too weak; the database is away.
    pub async fn create_user(
        &self,
        permit: &Permit<verbs::Administer>,
        new: NewAccount,
        password: Given,
        must_change: bool,
    ) -> Result<(Account, Option<SecretString>)> {
        let (password, shown) = choose("password", password, new.name.as_str())?;
        let hash = self.passwords.hash(&password).await?;
        let password = Some((hash.as_str(), must_change));
        let account = self.create(permit, SubjectKind::User, new, password).await?;
        Ok((account, shown))
    }

    /// Makes a service account. It has tokens, and no password.
    ///
    /// # Errors
    /// The name is taken, or looks like one that is; the database is away.
    pub async fn create_service(
        &self,
        permit: &Permit<verbs::Administer>,
        new: NewAccount,
    ) -> Result<Account> {
        self.create(permit, SubjectKind::Service, new, None).await
    }

    async fn create(
        &self,
        permit: &Permit<verbs::Administer>,
        kind: SubjectKind,
        NewAccount { name, display_name, email }: NewAccount,
        password: Option<(&str, bool)>,
    ) -> Result<Account> {
        check_display_name(&display_name)?;
        check_email(email.as_deref())?;
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let id = subjects::insert(&mut change, kind, &name, &display_name, permit.actor()).await?;
        accounts::insert(&mut change, id, email.as_deref()).await?;
        if let Some((hash, must_change)) = password {
            accounts::set_password(&mut change, id, hash, must_change).await?;
        }
        let subject = Subject { kind, name: name.to_string() };
        let change_name = match kind {
            SubjectKind::Service => "service.created",
            SubjectKind::User | SubjectKind::Team | SubjectKind::Group => "user.created",
        };
        let after =
            json!({"subject": subject.to_string(), "display_name": display_name, "email": email});
        change.emit(change_name, &subject.to_string(), &json!({})).await?;
        let event = permit.event(change_name, json!({"subject": subject.to_string()}));
        change.commit(&event.changed(None, Some(&after))).await?;
        self.refresh().await?;
        self.account(&subject).await
    }

    /// The account of that name.
    ///
    /// # Errors
    /// There is none; the database is away.
    pub async fn account(&self, subject: &Subject) -> Result<Account> {
        let found = accounts::find(&self.database, subject).await?;
        Ok(found.ok_or_else(|| absent(subject))?)
    }

    /// Changes an account. Whoever is disabled is out at once, and their sessions are over.
    ///
    /// # Errors
    /// There is none such; it is the last administrator's; the team is not one of its; the database
    /// is away.
    pub async fn update_account(
        &self,
        permit: &Permit<verbs::Administer>,
        subject: &Subject,
        changes: Changes,
    ) -> Result<Account> {
        check_display_name(changes.display_name.as_deref().unwrap_or_default())?;
        check_email(changes.email.as_ref().and_then(Option::as_deref))?;
        let before = self.account(subject).await?;
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        let id = before.id;
        if let Some(display_name) = &changes.display_name {
            subjects::set_display_name(&mut change, id, display_name).await?;
        }
        if let Some(email) = &changes.email {
            accounts::set_email(&mut change, id, email.as_deref()).await?;
        }
        if let Some(team) = &changes.home_team {
            let team = home(&mut change, team, subject, id).await?;
            accounts::set_home_team(&mut change, id, Some(team)).await?;
        }
        let mut what = "account.changed";
        if let Some(disabled) = changes.disabled
            && subjects::set_disabled(&mut change, id, disabled).await?
        {
            what = if disabled { "account.disabled" } else { "account.enabled" };
            if disabled {
                sessions::delete_all(&mut change, id).await?;
                require_administrator(&mut change).await?;
            }
        }
        let after = json!({
            "display_name": changes.display_name, "email": changes.email,
            "home_team": changes.home_team, "disabled": changes.disabled,
        });
        change.emit(what, &subject.to_string(), &json!({})).await?;
        let event = permit.event(what, json!({"subject": subject.to_string()}));
        change.commit(&event.changed(Some(&described(&before)), Some(&after))).await?;
        self.refresh().await?;
        self.account(subject).await
    }

    /// Gives a user a password, which they must change first unless told otherwise. Their sessions
    /// are over. Answers the password where it was made here.
    ///
    /// # Errors
    /// There is no such user; the password is too weak; the database is away.
    pub async fn set_password(
        &self,
        permit: &Permit<verbs::Administer>,
        user: &str,
        password: Given,
        must_change: bool,
    ) -> Result<Option<SecretString>> {
        let subject = Subject { kind: SubjectKind::User, name: user.to_owned() };
        let account = self.account(&subject).await?;
        let (password, shown) = choose("password", password, user)?;
        let hash = self.passwords.hash(&password).await?;
        let detail = json!({"subject": subject.to_string(), "must_change": must_change});
        let event = permit.event("password.set", detail);
        self.replace_password(account.id, &subject, &hash, must_change, event).await?;
        Ok(shown)
    }

    /// Changes one's own password. All sessions are over; tokens go on.
    ///
    /// # Errors
    /// The present one is wrong, or there is none; the new one is too weak or the same; too many
    /// failures before; the database is away.
    pub async fn change_password(
        &self,
        own: &Own<'_>,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<()> {
        let Actor { name, .. } = &own.caller().actor;
        let account = accounts::get(&self.database, own.subject()).await?;
        let has_password = account.is_some_and(|account| account.has_password);
        if !has_password {
            return Err(Problem::conflict("this account has no password to change")
                .hint("an administrator gives it one: bottega users password NAME")
                .into());
        }
        passwords::check("new", new, name)?;
        if secrecy::ExposeSecret::expose_secret(new)
            == secrecy::ExposeSecret::expose_secret(current)
        {
            return Err(Problem::invalid("new", "the new password is the present one").into());
        }
        self.prove(name, current, own.caller().origin.address).await.map_err(|problem| {
            // Who calls is known; what is wrong is a field.
            if problem.code == domain::ErrorCode::Unauthenticated {
                Problem::invalid("current", "the present password is another")
            } else {
                problem
            }
        })?;
        let hash = self.passwords.hash(new).await?;
        let subject = Subject { kind: SubjectKind::User, name: name.to_string() };
        let event = own.event("password.changed", json!({"subject": subject.to_string()}));
        self.replace_password(own.subject(), &subject, &hash, false, event).await
    }

    async fn replace_password(
        &self,
        id: SubjectId,
        subject: &Subject,
        hash: &str,
        must_change: bool,
        event: domain::AuditEvent,
    ) -> Result<()> {
        let mut change = Change::begin(&self.database).await?;
        access::raise(&mut change).await?;
        accounts::set_password(&mut change, id, hash, must_change).await?;
        sessions::delete_all(&mut change, id).await?;
        change.emit(event.change, &subject.to_string(), &json!({})).await?;
        change.commit(&event).await?;
        Ok(self.refresh().await?)
    }
}

/// Refuses a change after which nobody could administer the platform.
pub(crate) async fn require_administrator(change: &mut Change) -> Result<()> {
    let after = access::within(change).await?;
    Ok(grants::require_administrator(&after, change.now())?)
}

/// The team that an account shall be at home in.
async fn home(
    change: &mut Change,
    team: &str,
    subject: &Subject,
    id: SubjectId,
) -> Result<SubjectId> {
    let named = Subject { kind: SubjectKind::Team, name: team.to_owned() };
    let wrong = || {
        Problem::invalid("home_team", format!("`{subject}` is not in a team `{team}`"))
            .hint(format!("bottega teams add {team} {subject}"))
    };
    let found = subjects::lock(change, &named).await?.ok_or_else(wrong)?;
    if !teams::has_member(change, found.id, id).await? {
        return Err(wrong().into());
    }
    Ok(found.id)
}

/// A refusal of a subject that is not there.
pub(crate) fn absent(subject: &Subject) -> Problem {
    let kind = match subject.kind {
        SubjectKind::User => "user",
        SubjectKind::Team => "team",
        SubjectKind::Service => "service account",
        SubjectKind::Group => "group",
    };
    Problem::not_found(kind, &subject.name)
}

fn described(account: &Account) -> Value {
    json!({
        "display_name": account.display_name, "email": account.email,
        "home_team": account.home_team, "disabled": account.disabled_at.is_some(),
    })
}

fn choose(
    field: &str,
    password: Given,
    user: &str,
) -> Result<(SecretString, Option<SecretString>), Problem> {
    match password {
        Given::Chosen(password) => {
            passwords::check(field, &password, user)?;
            Ok((password, None))
        }
        Given::Generated => {
            let password = passwords::generate();
            Ok((password.clone(), Some(password)))
        }
    }
}

pub(crate) fn check_display_name(name: &str) -> Result<(), Problem> {
    if name.chars().count() > DISPLAY_NAME || name.chars().any(char::is_control) {
        let message =
            format!("expected at most {DISPLAY_NAME} characters, and no control characters");
        return Err(Problem::invalid("display_name", message));
    }
    Ok(())
}

fn check_email(email: Option<&str>) -> Result<(), Problem> {
    let is_one = |email: &str| {
        email.len() <= EMAIL
            && !email.chars().any(|c| c.is_whitespace() || c.is_control())
            && email
                .split_once('@')
                .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
    };
    if email.is_none_or(is_one) {
        return Ok(());
    }
    Err(Problem::invalid("email", format!("expected NAME@HOST with at most {EMAIL} characters")))
}
