//! What being in a group of the provider gives, and what came of it.

use std::collections::BTreeSet;

use domain::{
    Actor, GrantId, MappingId, Problem, SubjectId, Timestamp,
    access::{Place, Privilege, Role},
};

use crate::{Change, Database, Error, Result, error::breaks};

/// What a group gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gives {
    /// Membership of a team, by id and name.
    Team(SubjectId, String),
    /// A role on everything.
    Role(Role),
}

/// A group of the provider, and what being in it gives.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Its id.
    pub id: MappingId,
    /// The group as the provider writes it.
    pub group: String,
    /// What it gives.
    pub gives: Gives,
    /// Who said so, as `user:ana`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

struct Row {
    id: uuid::Uuid,
    name: String,
    team_id: Option<uuid::Uuid>,
    team: Option<String>,
    role: Option<String>,
    created_by: String,
    created_at: Timestamp,
}

impl TryFrom<Row> for Mapping {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let role = row.role.as_deref().and_then(Role::parse);
        let gives = match (row.team_id, row.team, role) {
            (Some(id), Some(name), None) => Gives::Team(SubjectId(id), name),
            (None, None, Some(role)) => Gives::Role(role),
            _ => return Err(Error::inconsistent("oidc_groups", "role", row.id)),
        };
        let (id, group) = (MappingId(row.id), row.name);
        Ok(Self { id, group, gives, created_by: row.created_by, created_at: row.created_at })
    }
}

/// All of them by group. There are few: no pages.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database) -> Result<Vec<Mapping>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT g.id, g.name, g.team_id, t.name AS "team?", g.role, g.created_by, g.created_at
           FROM oidc_groups g LEFT JOIN subjects t ON t.id = g.team_id
           ORDER BY g.name COLLATE "C", g.id"#
    );
    rows.fetch_all(database.pool()).await?.into_iter().map(Mapping::try_from).collect()
}

/// What being in these groups gives.
///
/// # Errors
/// The database is away.
pub async fn of(change: &mut Change, groups: &[String]) -> Result<Vec<Mapping>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT g.id, g.name, g.team_id, t.name AS "team?", g.role, g.created_by, g.created_at
           FROM oidc_groups g LEFT JOIN subjects t ON t.id = g.team_id
           WHERE g.name = ANY($1) ORDER BY g.name COLLATE "C", g.id"#,
        groups
    );
    rows.fetch_all(change.connection()).await?.into_iter().map(Mapping::try_from).collect()
}

/// Says what a group gives.
///
/// # Errors
/// It gives that already; the database is away.
pub async fn insert(
    change: &mut Change,
    group: &str,
    gives: &Gives,
    by: &Actor,
) -> Result<MappingId> {
    let (id, now) = (MappingId::new(), change.now());
    let (team, role) = match gives {
        Gives::Team(team, _) => (Some(team.0), None),
        Gives::Role(role) => (None, Some(role.as_str())),
    };
    sqlx::query!(
        "INSERT INTO oidc_groups (id, name, team_id, role, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        id.0,
        group,
        team,
        role,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        if breaks(&error, "oidc_groups_team") || breaks(&error, "oidc_groups_role") {
            return Problem::conflict(format!("the group `{group}` gives that already"))
                .at("group")
                .into();
        }
        Error::from(error)
    })?;
    Ok(id)
}

/// Takes back what a group gives; answers what that was. Absent where there is none of that id.
///
/// # Errors
/// The database is away.
pub async fn delete(change: &mut Change, id: MappingId) -> Result<Option<Mapping>> {
    let row = sqlx::query_as!(
        Row,
        r#"DELETE FROM oidc_groups g WHERE id = $1
           RETURNING g.id, g.name, g.team_id, (SELECT t.name FROM subjects t WHERE t.id = g.team_id) AS "team?",
                     g.role, g.created_by, g.created_at"#,
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    row.map(Mapping::try_from).transpose()
}

/// What a user has by groups, and of which teams they are a member however they came to it.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// All teams that they are in.
    pub teams: BTreeSet<SubjectId>,
    /// Those that they are in by a group: id and name.
    pub teams_by_group: Vec<(SubjectId, String)>,
    /// Roles that they have by a group.
    pub roles_by_group: Vec<(GrantId, Role)>,
}

/// What a user has.
///
/// # Errors
/// The database is away.
pub async fn held(change: &mut Change, account: SubjectId) -> Result<Held> {
    let mut held = Held::default();
    let teams = sqlx::query!(
        r#"SELECT m.team_id, t.name, m.origin FROM team_members m JOIN subjects t ON t.id = m.team_id
           WHERE m.member_id = $1 ORDER BY t.name COLLATE "C""#,
        account.0
    );
    for row in teams.fetch_all(change.connection()).await? {
        held.teams.insert(SubjectId(row.team_id));
        if row.origin == "oidc" {
            held.teams_by_group.push((SubjectId(row.team_id), row.name));
        }
    }
    let roles = sqlx::query!(
        "SELECT id, role FROM grants WHERE subject_id = $1 AND origin = 'oidc' ORDER BY id",
        account.0
    );
    for row in roles.fetch_all(change.connection()).await? {
        let role = row.role.as_deref().and_then(Role::parse);
        let role = role.ok_or_else(|| Error::inconsistent("grants", "role", row.id))?;
        held.roles_by_group.push((GrantId(row.id), role));
    }
    Ok(held)
}

/// Marks a membership or a grant that was just made as one that groups gave.
///
/// # Errors
/// The database is away.
pub async fn mark_member(change: &mut Change, team: SubjectId, account: SubjectId) -> Result<()> {
    sqlx::query!(
        "UPDATE team_members SET origin = 'oidc' WHERE team_id = $1 AND member_id = $2",
        team.0,
        account.0
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Marks a grant that was just made as one that groups gave.
///
/// # Errors
/// The database is away.
pub async fn mark_grant(change: &mut Change, grant: GrantId) -> Result<()> {
    sqlx::query!("UPDATE grants SET origin = 'oidc' WHERE id = $1", grant.0)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// The grant of a role on everything.
#[must_use]
pub fn grant(subject: SubjectId, role: Role) -> domain::access::Grant {
    domain::access::Grant {
        id: GrantId::new(),
        subject,
        effect: domain::access::Effect::Allow,
        privilege: Privilege::Role(role),
        place: Place::Everything,
        conditions: domain::access::Conditions::default(),
    }
}
