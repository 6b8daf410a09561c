//! Teams and their members.

use domain::{
    Actor, Cursor, GrantId, Limit, Page, SubjectId, Timestamp,
    access::{Subject, SubjectKind},
    serving::Isolation,
};
use uuid::Uuid;

use crate::{Change, Database, Error, Result, versions};

/// A team.
#[derive(Debug, Clone)]
pub struct Team {
    /// Its id.
    pub id: SubjectId,
    /// Its name.
    pub name: String,
    /// The name to show; may be empty.
    pub display_name: String,
    /// How many members it has.
    pub members: i64,
    /// Where its versions run, unless something nearer says it.
    pub isolation: Option<Isolation>,
    /// Who made it, as `user:ana`.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
}

struct Row {
    id: Uuid,
    name: String,
    display_name: String,
    members: i64,
    isolation: Option<String>,
    created_by: String,
    created_at: Timestamp,
}

impl Row {
    fn team(self) -> Result<Team> {
        Ok(Team {
            isolation: versions::isolation("subjects", self.id, self.isolation.as_deref())?,
            id: SubjectId(self.id),
            name: self.name,
            display_name: self.display_name,
            members: self.members,
            created_by: self.created_by,
            created_at: self.created_at,
        })
    }
}

/// Somebody in a team.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub subject: Subject,
    /// Who added them, as `user:ana`.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// Whether they are disabled.
    pub disabled: bool,
}

/// The team of that name.
///
/// # Errors
/// The database is away.
pub async fn find(database: &Database, name: &str) -> Result<Option<Team>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, name, display_name, isolation, created_by, created_at,
                  (SELECT count(*) FROM team_members m WHERE m.team_id = s.id) AS "members!"
           FROM subjects s WHERE kind = 'team' AND name = $1"#,
        name
    )
    .fetch_optional(database.pool())
    .await?;
    row.map(Row::team).transpose()
}

/// Lists teams by name: all, or those of one member.
///
/// # Errors
/// The database is away.
pub async fn list(
    database: &Database,
    of: Option<SubjectId>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Team>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, name, display_name, isolation, created_by, created_at,
                  (SELECT count(*) FROM team_members m WHERE m.team_id = s.id) AS "members!"
           FROM subjects s
           WHERE kind = 'team' AND ($1::text IS NULL OR name COLLATE "C" > $1)
             AND ($2::uuid IS NULL OR EXISTS (
                 SELECT FROM team_members m WHERE m.team_id = s.id AND m.member_id = $2))
           ORDER BY name COLLATE "C" LIMIT $3"#,
        cursor.map(Cursor::key),
        of.map(|of| of.0),
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let teams = rows.into_iter().map(Row::team).collect::<Result<_>>()?;
    Ok(Page::from_rows(teams, limit, |team: &Team| team.name.clone()))
}

/// Sets where a team's versions run; takes it back with nothing.
///
/// # Errors
/// The database is away.
pub async fn set_isolation(
    change: &mut Change,
    team: SubjectId,
    isolation: Option<Isolation>,
) -> Result<()> {
    sqlx::query!(
        "UPDATE subjects SET isolation = $2 WHERE id = $1",
        team.0,
        isolation.map(Isolation::as_str)
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Lists the members of a team by name.
///
/// # Errors
/// The database is away; a cursor of another list.
pub async fn members(
    database: &Database,
    team: SubjectId,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Member>> {
    let rows = sqlx::query!(
        r#"SELECT s.kind, s.name, m.added_by, m.added_at, (s.disabled_at IS NOT NULL) AS "disabled!"
           FROM team_members m JOIN subjects s ON s.id = m.member_id
           WHERE m.team_id = $1 AND ($2::text IS NULL OR (s.kind || ':' || s.name) COLLATE "C" > $2)
           ORDER BY (s.kind || ':' || s.name) COLLATE "C" LIMIT $3"#,
        team.0,
        cursor.map(Cursor::key),
        limit.get() + 1
    )
    .fetch_all(database.pool())
    .await?;
    let members = rows
        .into_iter()
        .map(|row| {
            let kind = SubjectKind::parse(&row.kind)
                .ok_or_else(|| Error::inconsistent("subjects", "kind", &row.name))?;
            Ok(Member {
                subject: Subject { kind, name: row.name },
                added_by: row.added_by,
                added_at: row.added_at,
                disabled: row.disabled,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(members, limit, |member| member.subject.to_string()))
}

/// Gives a team's members what they need to work on what the team owns.
///
/// # Errors
/// The database is away.
pub async fn grant_own(change: &mut Change, team: SubjectId, by: &Actor) -> Result<GrantId> {
    let (id, now) = (GrantId::new(), change.now());
    sqlx::query!(
        "INSERT INTO grants (id, subject_id, effect, role, team_id, created_by, created_at)
         VALUES ($1, $2, 'allow', 'data-scientist', $2, $3, $4)",
        id.0,
        team.0,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    Ok(id)
}

/// Makes an account a member; the first team of an account becomes its home. `false` if it was a
/// member before. One that it was by a group of an identity provider becomes one by hand, which stays.
///
/// # Errors
/// The database is away.
pub async fn add(
    change: &mut Change,
    team: SubjectId,
    member: SubjectId,
    by: &Actor,
) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "INSERT INTO team_members (team_id, member_id, added_by, added_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (team_id, member_id) DO UPDATE SET origin = 'hand', added_by = $3, added_at = $4
         WHERE team_members.origin <> 'hand'",
        team.0,
        member.0,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "UPDATE accounts SET home_team = $1 WHERE id = $2 AND home_team IS NULL",
        team.0,
        member.0
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a membership; a home that was this team becomes another of the account's teams, if it has
/// one. `false` if it was no member.
///
/// # Errors
/// The database is away.
pub async fn remove(change: &mut Change, team: SubjectId, member: SubjectId) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM team_members WHERE team_id = $1 AND member_id = $2",
        team.0,
        member.0
    )
    .execute(change.connection())
    .await?;
    sqlx::query!(
        "UPDATE accounts SET home_team =
             (SELECT m.team_id FROM team_members m JOIN subjects t ON t.id = m.team_id AND t.kind = 'team'
              WHERE m.member_id = $2 ORDER BY m.added_at, m.team_id LIMIT 1)
         WHERE id = $2 AND home_team = $1",
        team.0,
        member.0
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether an account is a member.
///
/// # Errors
/// The database is away.
pub async fn has_member(change: &mut Change, team: SubjectId, member: SubjectId) -> Result<bool> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM team_members WHERE team_id = $1 AND member_id = $2) AS "exists!""#,
        team.0,
        member.0
    )
    .fetch_one(change.connection())
    .await?;
    Ok(row.exists)
}

/// Something that a team owns.
#[derive(Debug, Clone)]
pub struct Owned {
    /// As grants name it: `model:fraud`.
    pub resource: String,
    /// Whether it is deleted, and kept until its time is over.
    pub is_deleted: bool,
}

/// What a team owns, deleted things too: some of it, and how much it is.
///
/// # Errors
/// The database is away.
pub async fn owned(change: &mut Change, team: SubjectId, most: i64) -> Result<(Vec<Owned>, i64)> {
    let rows = sqlx::query!(
        r#"SELECT resource AS "resource!", is_deleted AS "is_deleted!", count(*) OVER () AS "all!"
           FROM (SELECT 'model:' || name AS resource, deleted_at IS NOT NULL AS is_deleted
                 FROM models WHERE team_id = $1
                 UNION ALL
                 SELECT 'endpoint:' || name || CASE env WHEN 'production' THEN '' ELSE '.' || env END, false
                 FROM endpoints WHERE team_id = $1
                 UNION ALL
                 SELECT 'experiment:' || id, deleted_at IS NOT NULL FROM experiments WHERE team_id = $1) AS owned
           ORDER BY is_deleted, resource COLLATE "C" LIMIT $2"#,
        team.0,
        most
    )
    .fetch_all(change.connection())
    .await?;
    let all = rows.first().map_or(0, |row| row.all);
    let owned =
        rows.into_iter().map(|row| Owned { resource: row.resource, is_deleted: row.is_deleted });
    Ok((owned.collect(), all))
}

/// Takes everybody out of a team; a home that was this team becomes another one of theirs.
///
/// # Errors
/// The database is away.
pub async fn empty(change: &mut Change, team: SubjectId) -> Result<()> {
    sqlx::query!("DELETE FROM team_members WHERE team_id = $1", team.0)
        .execute(change.connection())
        .await?;
    sqlx::query!(
        "UPDATE accounts a SET home_team =
             (SELECT m.team_id FROM team_members m JOIN subjects t ON t.id = m.team_id AND t.kind = 'team'
              WHERE m.member_id = a.id ORDER BY m.added_at, m.team_id LIMIT 1)
         WHERE home_team = $1",
        team.0
    )
    .execute(change.connection())
    .await?;
    Ok(())
}
