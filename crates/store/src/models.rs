//! Models: names that versions and aliases hang on.

use std::collections::BTreeMap;

use domain::{
    Actor, AliasName, Cursor, Limit, ModelId, ModelName, Page, Problem, Stage, SubjectId,
    Timestamp, access::Visible, quota::Key,
};
use serde_json::{Value, json};

use crate::{Change, Database, Error, Result, error::breaks, visible::Filter};

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// A model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// What it is called today.
    pub name: ModelName,
    /// What it is for.
    pub description: String,
    /// Who owns it, as `user:ana`.
    pub owner: String,
    /// The team that owns it, by name.
    pub team: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The highest version number ever given; 0 before the first.
    pub last_version: i32,
    /// The newest version that is still there.
    pub latest_version: Option<i32>,
    /// The aliases that are set, and the numbers of the versions that they point to.
    pub aliases: BTreeMap<AliasName, i32>,
    /// The stages that its versions may be in; the first is where they begin.
    pub stages: Vec<Stage>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it, its tags or its list of versions last changed.
    pub updated_at: Timestamp,
}

impl Model {
    /// How the audit trail describes it.
    #[must_use]
    pub fn describe(&self) -> Value {
        json!({"name": self.name, "description": self.description, "owner": self.owner, "team": self.team, "tags": self.tags, "stages": self.stages})
    }
}

struct Row {
    id: uuid::Uuid,
    name: String,
    description: String,
    owner: String,
    team: Option<String>,
    tags: Value,
    last_version: i32,
    latest_version: Option<i32>,
    aliases: Value,
    stages: Vec<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl TryFrom<Row> for Model {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: ModelId(row.id),
            name: row.name.parse().map_err(|_| Error::inconsistent("models", "name", row.id))?,
            description: row.description,
            owner: row.owner,
            team: row.team,
            tags: tags("model_tags", row.id, row.tags)?,
            last_version: row.last_version,
            latest_version: row.latest_version,
            aliases: serde_json::from_value(row.aliases)
                .map_err(|_| Error::inconsistent("aliases", "alias", row.id))?,
            stages: row
                .stages
                .iter()
                .map(|stage| {
                    stage.parse().map_err(|_| Error::inconsistent("models", "stages", row.id))
                })
                .collect::<Result<_>>()?,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Reads tags that SQL gathered into one object.
pub(crate) fn tags(table: &'static str, id: uuid::Uuid, value: Value) -> Result<Tags> {
    serde_json::from_value(value).map_err(|_| Error::inconsistent(table, "value", id))
}

/// `select_model!("AND …", arguments)`: every read of a model gathers the same columns, and finds
/// those that are not deleted.
macro_rules! select_model {
    ($rest:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT m.id, m.name, m.description, m.owner, (SELECT name FROM subjects WHERE id = m.team_id) AS team, m.last_version, m.stages, m.created_at, m.updated_at,
                      (SELECT max(number) FROM model_versions WHERE model_id = m.id AND deleted_at IS NULL) AS latest_version,
                      (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM model_tags WHERE model_id = m.id) AS "tags!",
                      (SELECT coalesce(jsonb_object_agg(a.alias, v.number), '{}')
                       FROM aliases a JOIN model_versions v ON v.id = a.version_id
                       WHERE a.model_id = m.id) AS "aliases!"
               FROM models m WHERE m.deleted_at IS NULL "# + $rest
            $(, $argument)*
        )
    };
}

/// The model of that name.
///
/// # Errors
/// The database is away.
pub async fn get(database: &Database, name: &ModelName) -> Result<Option<Model>> {
    let row =
        select_model!("AND m.name = $1", name.as_str()).fetch_optional(database.pool()).await?;
    row.map(Model::try_from).transpose()
}

/// The models of these ids, in this order; those that are absent or deleted are left out.
///
/// # Errors
/// The database is away.
pub async fn load(database: &Database, ids: &[ModelId]) -> Result<Vec<Model>> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    let rows = select_model!("AND m.id = ANY($1) ORDER BY array_position($1, m.id)", &ids)
        .fetch_all(database.pool())
        .await?;
    rows.into_iter().map(Model::try_from).collect()
}

/// The model of that name, locked until the change ends.
///
/// # Errors
/// The database is away.
pub async fn lock(change: &mut Change, name: &ModelName) -> Result<Option<Model>> {
    let row = select_model!("AND m.name = $1 FOR UPDATE OF m", name.as_str())
        .fetch_optional(change.connection())
        .await?;
    row.map(Model::try_from).transpose()
}

/// Lists the models that are visible, by name. `search` keeps those whose name holds it, whatever the case.
///
/// # Errors
/// The database is away.
pub async fn list(
    database: &Database,
    visible: &Visible,
    search: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Model>> {
    let visible = Filter::from(visible);
    let rows = select_model!(
        r#"AND ($1::text IS NULL OR m.name COLLATE "C" > $1)
             AND ($2::text IS NULL OR position(lower($2) IN lower(m.name)) > 0)
             AND ($4 OR sees_model($5, $6, m.id, m.team_id))
           ORDER BY m.name COLLATE "C"
           LIMIT $3"#,
        cursor.map(Cursor::key),
        search,
        limit.get() + 1,
        visible.all,
        visible.allow,
        visible.deny
    )
    .fetch_all(database.pool())
    .await?;
    let models = rows.into_iter().map(Model::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::from_rows(models, limit, |model| model.name.to_string()))
}

/// Makes a model.
///
/// # Errors
/// The name is taken (conflict); the database is away.
pub async fn insert(
    change: &mut Change,
    name: &ModelName,
    description: &str,
    (owner, team): (&Actor, Option<SubjectId>),
    tags: &Tags,
) -> Result<Model> {
    let (id, now) = (ModelId::new(), change.now());
    sqlx::query!(
        "INSERT INTO models (id, name, description, owner, team_id, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $6, $5, $5)",
        id.0,
        name.as_str(),
        description,
        owner.to_string(),
        now,
        team.map(|team| team.0)
    )
    .execute(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    change.charge(Key::Models, id.0);
    set_tags(change, id, tags).await?;
    lock(change, name).await?.ok_or(Error::Affected { table: "models", affected: 0 })
}

/// The model of that name, locked until the change ends, and whether this change made it. Of
/// several who make it at once, one does and the others find it.
///
/// # Errors
/// It was deleted at this very moment (conflict); the database is away.
pub async fn ensure(
    change: &mut Change,
    name: &ModelName,
    (owner, team): (&Actor, Option<SubjectId>),
) -> Result<(Model, bool)> {
    let (id, now) = (ModelId::new(), change.now());
    let done = sqlx::query!(
        "INSERT INTO models (id, name, owner, team_id, created_at, updated_at) VALUES ($1, $2, $3, $5, $4, $4)
         ON CONFLICT (name COLLATE \"C\") WHERE deleted_at IS NULL DO NOTHING",
        id.0,
        name.as_str(),
        owner.to_string(),
        now,
        team.map(|team| team.0)
    )
    .execute(change.connection())
    .await?;
    if done.rows_affected() == 1 {
        change.charge(Key::Models, id.0);
    }
    let model = lock(change, name).await?.ok_or_else(|| {
        Problem::conflict(format!("the model `{name}` was deleted at this moment"))
            .hint("try again")
    })?;
    Ok((model, done.rows_affected() == 1))
}

/// Replaces a model's description and all its tags.
///
/// # Errors
/// The model is gone; the database is away.
pub async fn update(
    change: &mut Change,
    id: ModelId,
    description: &str,
    tags: &Tags,
) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE models SET description = $2, updated_at = $3 WHERE id = $1",
        id.0,
        description,
        now
    )
    .execute(change.connection())
    .await?;
    one("models", done.rows_affected())?;
    set_tags(change, id, tags).await
}

async fn set_tags(change: &mut Change, id: ModelId, tags: &Tags) -> Result<()> {
    sqlx::query!("DELETE FROM model_tags WHERE model_id = $1", id.0)
        .execute(change.connection())
        .await?;
    let (keys, values): (Vec<String>, Vec<String>) = tags.clone().into_iter().unzip();
    sqlx::query!(
        "INSERT INTO model_tags (model_id, key, value) SELECT $1, * FROM unnest($2::text[], $3::text[])",
        id.0,
        &keys,
        &values
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Renames a model; rows that refer to it follow.
///
/// # Errors
/// The name is taken (conflict); the model is gone; the database is away.
pub async fn rename(change: &mut Change, id: ModelId, name: &ModelName) -> Result<()> {
    // Neither name leads to what it led to before.
    change.touch_everything();
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE models SET name = $2, updated_at = $3 WHERE id = $1",
        id.0,
        name.as_str(),
        now
    )
    .execute(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    one("models", done.rows_affected())?;
    sqlx::query!(
        "UPDATE model_versions SET updated_at = $2 WHERE model_id = $1 AND deleted_at IS NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Replaces the stages that a model's versions may be in.
///
/// # Errors
/// The model is gone; the database is away.
pub async fn set_stages(change: &mut Change, id: ModelId, stages: &[Stage]) -> Result<()> {
    let now = change.now();
    let stages: Vec<String> = stages.iter().map(ToString::to_string).collect();
    let done = sqlx::query!(
        "UPDATE models SET stages = $2, updated_at = $3 WHERE id = $1",
        id.0,
        &stages,
        now
    )
    .execute(change.connection())
    .await?;
    one("models", done.rows_affected())
}

/// Sets one tag of a model.
///
/// # Errors
/// The model is gone; the database is away.
pub async fn set_tag(change: &mut Change, id: ModelId, key: &str, value: &str) -> Result<()> {
    sqlx::query!(
        "INSERT INTO model_tags (model_id, key, value) VALUES ($1, $2, $3)
         ON CONFLICT (model_id, key) DO UPDATE SET value = excluded.value",
        id.0,
        key,
        value
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// Deletes one tag of a model. `false` if there is none.
///
/// # Errors
/// The database is away.
pub async fn delete_tag(change: &mut Change, id: ModelId, key: &str) -> Result<bool> {
    let done = sqlx::query!("DELETE FROM model_tags WHERE model_id = $1 AND key = $2", id.0, key)
        .execute(change.connection())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes a model with its versions and aliases, until it is restored or purged.
///
/// # Errors
/// It is gone; the database is away.
pub async fn delete(change: &mut Change, id: ModelId) -> Result<()> {
    let now = change.now();
    let done = sqlx::query!(
        "UPDATE models SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL",
        id.0,
        now
    )
    .execute(change.connection())
    .await?;
    one("models", done.rows_affected())?;
    sqlx::query!(
        "DELETE FROM trials USING model_versions v WHERE v.id = version_id AND v.model_id = $1",
        id.0
    )
    .execute(change.connection())
    .await?;
    Ok(())
}

/// A deleted model that can be restored.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// Its id.
    pub id: ModelId,
    /// What it was called.
    pub name: ModelName,
    /// When it was deleted.
    pub deleted_at: Timestamp,
}

/// Lists the models that are deleted and not yet purged, the last one first. There are few: no pages.
///
/// # Errors
/// The database is away.
pub async fn deleted(database: &Database, visible: &Visible, limit: Limit) -> Result<Vec<Deleted>> {
    let visible = Filter::from(visible);
    let rows = sqlx::query!(
        r#"SELECT id, name, deleted_at AS "deleted_at!" FROM models
           WHERE deleted_at IS NOT NULL AND ($2 OR sees_model($3, $4, id, team_id))
           ORDER BY deleted_at DESC, id LIMIT $1"#,
        limit.get(),
        visible.all,
        visible.allow,
        visible.deny
    )
    .fetch_all(database.pool())
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Deleted {
                id: ModelId(row.id),
                name: row
                    .name
                    .parse()
                    .map_err(|_| Error::inconsistent("models", "name", row.id))?,
                deleted_at: row.deleted_at,
            })
        })
        .collect()
}

/// Restores the model of that name that was deleted last, with all that it had. `None` if there is none.
///
/// # Errors
/// Another model has the name by now (conflict); the database is away.
pub async fn restore(change: &mut Change, name: &ModelName) -> Result<Option<Model>> {
    let now = change.now();
    let restored = sqlx::query!(
        "UPDATE models SET deleted_at = NULL, updated_at = $2
         WHERE id = (SELECT id FROM models WHERE name = $1 AND deleted_at IS NOT NULL
                     ORDER BY deleted_at DESC, id LIMIT 1)
         RETURNING id",
        name.as_str(),
        now
    )
    .fetch_optional(change.connection())
    .await
    .map_err(|error| taken(error, name))?;
    let Some(row) = restored else { return Ok(None) };
    sqlx::query!(
        "INSERT INTO trials (version_id, queued_at)
         SELECT id, $2 FROM model_versions
         WHERE model_id = $1 AND status = 'pending' AND deleted_at IS NULL",
        row.id,
        now
    )
    .execute(change.connection())
    .await?;
    lock(change, name).await
}

fn taken(error: sqlx::Error, name: &ModelName) -> Error {
    if breaks(&error, "models_name") {
        Error::Refused(Problem::conflict(format!("there is a model `{name}` already")).at("name"))
    } else {
        error.into()
    }
}

/// A statement that must change exactly one row did.
pub(crate) const fn one(table: &'static str, affected: u64) -> Result<()> {
    if affected == 1 { Ok(()) } else { Err(Error::Affected { table, affected }) }
}
