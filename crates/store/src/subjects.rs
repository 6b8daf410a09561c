//! Users, teams, service accounts and groups: what they have in common.

use domain::{
    Actor, Problem, SubjectId, Timestamp,
    access::{Subject, SubjectKind, SubjectName},
};

use crate::{Change, Database, Error, Result, error::breaks};

/// A subject.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: SubjectId,
    /// What it is and what it is called.
    pub subject: Subject,
    /// When it was disabled, if it is.
    pub disabled_at: Option<Timestamp>,
}

/// Finds a subject by name.
///
/// # Errors
/// The database is away.
pub async fn find(database: &Database, subject: &Subject) -> Result<Option<Row>> {
    let row = sqlx::query!(
        "SELECT id, disabled_at FROM subjects WHERE kind = $1 AND name = $2",
        subject.kind.as_str(),
        subject.name
    )
    .fetch_optional(database.pool())
    .await?;
    Ok(row.map(|row| Row {
        id: SubjectId(row.id),
        subject: subject.clone(),
        disabled_at: row.disabled_at,
    }))
}

/// Finds a subject by name, and keeps it as it is until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, subject: &Subject) -> Result<Option<Row>> {
    let row = sqlx::query!(
        "SELECT id, disabled_at FROM subjects WHERE kind = $1 AND name = $2 FOR UPDATE",
        subject.kind.as_str(),
        subject.name
    )
    .fetch_optional(change.connection())
    .await?;
    Ok(row.map(|row| Row {
        id: SubjectId(row.id),
        subject: subject.clone(),
        disabled_at: row.disabled_at,
    }))
}

/// Makes a subject.
///
/// # Errors
/// One of that kind has the name, or one that looks like it; the database is away.
pub async fn insert(
    change: &mut Change,
    kind: SubjectKind,
    name: &SubjectName,
    display_name: &str,
    by: &Actor,
) -> Result<SubjectId> {
    let (id, now, skeleton) = (SubjectId::new(), change.now(), name.skeleton());
    // A constraint that breaks would end the transaction, and with it the look for whose name it is.
    let alike = sqlx::query!(
        "SELECT name FROM subjects WHERE kind = $1 AND skeleton = $2",
        kind.as_str(),
        skeleton
    )
    .fetch_optional(change.connection())
    .await?;
    if let Some(row) = alike {
        return Err(taken(kind, name, Some(&row.name)).into());
    }
    sqlx::query!(
        "INSERT INTO subjects (id, kind, name, skeleton, display_name, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id.0,
        kind.as_str(),
        name.as_str(),
        skeleton,
        display_name,
        by.to_string(),
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| {
        let at_once = breaks(&error, "subjects_name") || breaks(&error, "subjects_skeleton");
        if at_once { taken(kind, name, None).into() } else { Error::from(error) }
    })?;
    Ok(id)
}

fn taken(kind: SubjectKind, name: &SubjectName, by: Option<&str>) -> Problem {
    let kind = kind.as_str();
    match by {
        Some(by) if by != name.as_str() => {
            Problem::conflict(format!("`{name}` looks like the {kind} `{by}`"))
                .at("name")
                .hint("choose a name that nobody can take for the other")
        }
        _ => Problem::conflict(format!("there is a {kind} `{name}`")).at("name"),
    }
}

/// Disables a subject, or enables it again. `false` if it was so before.
///
/// # Errors
/// The database is away.
pub async fn set_disabled(change: &mut Change, id: SubjectId, disabled: bool) -> Result<bool> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE subjects SET disabled_at = CASE WHEN $2 THEN $3::timestamptz END
         WHERE id = $1 AND (disabled_at IS NOT NULL) <> $2",
        id.0,
        disabled,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives a subject another name to show.
///
/// # Errors
/// The database is away.
pub async fn set_display_name(
    change: &mut Change,
    id: SubjectId,
    display_name: &str,
) -> Result<()> {
    sqlx::query!("UPDATE subjects SET display_name = $2 WHERE id = $1", id.0, display_name)
        .execute(change.connection())
        .await?;
    Ok(())
}

/// Makes a subject one that never was: its account, tokens, sessions, memberships, grants and quotas
/// go with it. What it made stays, under the name that it had.
///
/// # Errors
/// It is a team that owns something; the database is away.
pub async fn delete(change: &mut Change, id: SubjectId) -> Result<()> {
    sqlx::query!("DELETE FROM subjects WHERE id = $1", id.0).execute(change.connection()).await?;
    Ok(())
}
