//! MLflow's permissions over our grants. A permission is what the grants without conditions say of a
//! user or a role on one experiment, one model or all of them.

mod level;
mod place;
pub mod second;
pub mod third;

use actix_web::{FromRequest, HttpRequest, dev::Payload, web::Data};
use auth::{
    Access, Authenticator, Caller, Permit,
    grants::oversees,
    standing::{self, Spot, Standing},
    verbs,
};
use domain::{
    ErrorCode, Problem, Resource,
    access::{Subject, SubjectKind},
};
use futures_util::future::LocalBoxFuture;
use store::{Database, accounts::Account};

pub use level::Level;
pub use place::Place;

use crate::refusal::{Code, Refusal};

/// Who asks, and what users, roles and permissions are read and changed with.
pub struct Desk {
    pub caller: Caller,
    pub access: Data<Access>,
    pub authenticator: Data<Authenticator>,
    pub database: Data<Database>,
}

impl FromRequest for Desk {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let parts = <(Caller, Data<Access>, Data<Authenticator>, Data<Database>)>::from_request(
            request, payload,
        );
        Box::pin(async move {
            let (caller, access, authenticator, database) = parts.await?;
            Ok(Self { caller, access, authenticator, database })
        })
    }
}

/// A permission that a subject has.
#[derive(Debug, Clone)]
pub struct Permission {
    pub subject: Subject,
    pub place: Place,
    pub level: Level,
    pub number: i64,
}

/// Whether a permission must be there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Absent,
    Present,
}

impl Desk {
    /// The right to what only administrators of the platform do.
    pub async fn administering(&self) -> Result<Permit<verbs::Administer>, Refusal> {
        Ok(self.access.authorize(&self.caller, Resource::Platform).await?)
    }

    /// The user of that name.
    pub async fn user(&self, name: &str) -> Result<Account, Refusal> {
        let found = self.authenticator.account(&user(name)).await;
        found.map_err(|error| absent_user(name, error.into()))
    }

    /// The user of that name, for themselves and for who oversees the platform: nobody else is told
    /// whether there is one.
    pub async fn seen(&self, name: &str) -> Result<Account, Refusal> {
        if Subject::try_from(&self.caller.actor).as_ref() != Ok(&user(name)) {
            oversees(&self.access, &self.caller).await?;
        }
        self.user(name).await
    }

    /// What subjects have been given, as far as levels say it.
    pub async fn given(&self, subject: Option<&Subject>) -> Result<Vec<Permission>, Refusal> {
        let (access, database) = (&self.access, &self.database);
        let given = auth::grants::list(access, database, &self.caller, subject, None).await?;
        Ok(standing::standings(&given).into_iter().filter_map(permission).collect())
    }

    /// Gives a subject a level at a place, another one, or none. Answers the permission's number.
    /// `what` names the permission to whoever is refused.
    pub async fn set(
        &self,
        subject: &Subject,
        place: &Place,
        level: Option<Level>,
        before: Before,
        what: &str,
    ) -> Result<i64, Refusal> {
        let check = |standing: &Standing| match (before, Level::given(standing)) {
            (Before::Absent, Some(_)) => {
                Err(Problem::conflict(format!("{what} already exists.")).at("permission"))
            }
            (Before::Present, None) => {
                let message = format!("{what} not found");
                Err(Problem::new(ErrorCode::NotFound, message).at("permission"))
            }
            (Before::Absent, None) | (Before::Present, Some(_)) => Ok(()),
        };
        let spot = Spot {
            subject: subject.clone(),
            resource: place.resource().to_string(),
            kind: place.kind(),
        };
        let grant = level.map(Level::grant);
        let (access, database) = (&self.access, &self.database);
        let set = standing::replace(access, database, &self.caller, &spot, grant, check).await;
        let number = set.map_err(|problem| {
            if problem.field.as_deref() == Some("subject") && subject.kind == SubjectKind::User {
                return absent_user(&subject.name, problem);
            }
            let is_taken = problem.field.as_deref() == Some("permission");
            let refusal = place.told(problem);
            if is_taken && refusal.code == Code::ResourceConflict {
                return Refusal { code: Code::ResourceAlreadyExists, ..refusal };
            }
            refusal
        })?;
        Ok(number.unwrap_or_default())
    }
}

/// What stands at a spot as a permission: absent where it is none that MLflow could say.
pub fn permission((spot, standing): (Spot, Standing)) -> Option<Permission> {
    let (level, number) = (Level::given(&standing)?, standing.number?);
    let place = Place::of(&spot.resource, spot.kind)?;
    Some(Permission { subject: spot.subject, place, level, number })
}

/// A user, by name.
pub fn user(name: &str) -> Subject {
    Subject { kind: SubjectKind::User, name: name.to_owned() }
}

/// MLflow's words where there is no such user.
pub fn absent_user(name: &str, problem: Problem) -> Refusal {
    if problem.code == ErrorCode::NotFound {
        let shown: String = name.chars().take(300).collect();
        return Refusal::absent(format!("User with username={shown} not found"));
    }
    problem.into()
}

/// A level by name; `NO_PERMISSIONS` where MLflow 2 asks.
pub fn level(text: &str) -> Result<Level, Refusal> {
    Level::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(100).collect();
        Refusal::invalid(format!(
            "Invalid permission '{shown}'. Valid permissions are: ('READ', 'USE', 'EDIT', 'MANAGE', 'NO_PERMISSIONS', 'DENY')"
        ))
    })
}
