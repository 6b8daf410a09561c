//! Groups: who is in one has what it was granted.

use domain::{Actor, SubjectId, access::SubjectName};

use crate::{Change, Database, Result};

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: SubjectId,
    /// What MLflow's clients know it by.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
}

/// Somebody in a group.
#[derive(Debug, Clone)]
pub struct Member {
    /// The number of the membership.
    pub number: i64,
    /// Whose.
    pub account: SubjectId,
    /// What MLflow's clients know them by.
    pub account_number: i64,
    /// In which group.
    pub group: SubjectId,
    /// What MLflow's clients know that by.
    pub group_number: i64,
}

/// Lists groups by number: all, or those of one member.
///
/// # Errors
/// The database is away.
pub async fn list(database: &Database, of: Option<SubjectId>) -> Result<Vec<Group>> {
    let rows = sqlx::query!(
        "SELECT id, number, name, description FROM subjects s
         WHERE kind = 'group' AND ($1::uuid IS NULL OR EXISTS (
             SELECT FROM team_members m WHERE m.team_id = s.id AND m.member_id = $1))
         ORDER BY number",
        of.map(|of| of.0)
    )
    .fetch_all(database.pool())
    .await?;
    let groups = rows.into_iter().map(|row| Group {
        id: SubjectId(row.id),
        number: row.number,
        name: row.name,
        description: row.description,
    });
    Ok(groups.collect())
}

/// The group of that number.
///
/// # Errors
/// The database is away.
pub async fn find(database: &Database, number: i64) -> Result<Option<Group>> {
    let row = sqlx::query!(
        "SELECT id, number, name, description FROM subjects WHERE kind = 'group' AND number = $1",
        number
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Group {
        id: SubjectId(row.id),
        number: row.number,
        name: row.name,
        description: row.description,
    }))
}

/// The group of that number, as it is until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, number: i64) -> Result<Option<Group>> {
    let row = sqlx::query!(
        "SELECT id, number, name, description FROM subjects
         WHERE kind = 'group' AND number = $1 FOR UPDATE",
        number
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| Group {
        id: SubjectId(row.id),
        number: row.number,
        name: row.name,
        description: row.description,
    }))
}

/// The number of a subject that was just made.
///
/// # Errors
/// The database is away.
pub async fn number(change: &mut Change, id: SubjectId) -> Result<i64> {
    let query = sqlx::query_scalar!("SELECT number FROM subjects WHERE id = $1", id.0);
    Ok(query.fetch_one(change.connection()).await?)
}

/// Calls a group something else.
///
/// # Errors
/// Another group has the name, or one that looks like it; the database is away.
pub async fn rename(change: &mut Change, id: SubjectId, name: &SubjectName) -> Result<()> {
    let skeleton = name.skeleton();
    let taken = sqlx::query_scalar!(
        "SELECT name FROM subjects WHERE kind = 'group' AND skeleton = $1 AND id <> $2",
        skeleton,
        id.0
    )
    .fetch_optional(change.connection())
    .await?;
    if let Some(other) = taken {
        let message = format!("`{name}` is, or looks like, the group `{other}`");
        return Err(domain::Problem::conflict(message).at("name").into());
    }
    sqlx::query!(
        "UPDATE subjects SET name = $2, skeleton = $3 WHERE id = $1",
        id.0,
        name.as_str(),
        skeleton
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Says what a group is for.
///
/// # Errors
/// The database is away.
pub async fn describe(change: &mut Change, id: SubjectId, description: Option<&str>) -> Result<()> {
    sqlx::query!("UPDATE subjects SET description = $2 WHERE id = $1", id.0, description)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Puts an account into a group. Absent where it was in it before.
///
/// # Errors
/// The database is away.
pub async fn add(
    change: &mut Change,
    group: SubjectId,
    member: SubjectId,
    by: &Actor,
) -> Result<Option<i64>> {
    let now = change.now();
    let number = sqlx::query_scalar!(
        "INSERT INTO team_members (team_id, member_id, added_by, added_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING number",
        group.0,
        member.0,
        by.to_string(),
        now
    );
    Ok(number.fetch_optional(change.connection()).await?)
}

/// Takes an account out of a group. `false` if it was not in it.
///
/// # Errors
/// The database is away.
pub async fn remove(change: &mut Change, group: SubjectId, member: SubjectId) -> Result<bool> {
    let done = sqlx::query!(
        "DELETE FROM team_members WHERE team_id = $1 AND member_id = $2",
        group.0,
        member.0
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Who is in which group, in the order in which they came: all, or those of one group.
///
/// # Errors
/// The database is away.
pub async fn members(database: &Database, group: Option<SubjectId>) -> Result<Vec<Member>> {
    let rows = sqlx::query!(
        "SELECT m.number, m.member_id, s.number AS account_number, g.id AS group_id, g.number AS group_number
         FROM team_members m
         JOIN subjects g ON g.id = m.team_id AND g.kind = 'group'
         JOIN subjects s ON s.id = m.member_id
         WHERE $1::uuid IS NULL OR g.id = $1
         ORDER BY m.number",
        group.map(|group| group.0)
    )
    .fetch_all(database.pool())
    .await?;
    let members = rows.into_iter().map(|row| Member {
        number: row.number,
        account: SubjectId(row.member_id),
        account_number: row.account_number,
        group: SubjectId(row.group_id),
        group_number: row.group_number,
    });
    Ok(members.collect())
}
