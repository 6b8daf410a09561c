//! Searches of runs, experiments, registered models, their versions and logged models.
//!
//! [`find`] answers ids in order, page by page; the modules of the things themselves load them. Its
//! statement is put together from what is written here; whatever a caller said is a bound value.
//!
//! Pages begin behind the values of the last item seen, not at a number of items: what is added
//! meanwhile neither repeats an item nor hides one.

mod conditions;
mod keys;

use std::str::FromStr;

use domain::{
    access::Visible,
    search::{Condition, Position, Sort, Subject},
    tracking::ExperimentId,
};
use sqlx::{Postgres, QueryBuilder, Row as _, postgres::PgRow};

use crate::{Database, Error, Result, visible::Filter};

pub use keys::length;

/// Which, of those that are deleted and those that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum View {
    /// Those that are not deleted.
    Active,
    /// Those that are.
    Deleted,
    /// All.
    All,
}

/// A dataset, by name and maybe by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnDataset {
    /// Its name.
    pub name: Option<String>,
    /// Its digest.
    pub digest: Option<String>,
}

/// A search.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is searched.
    pub subject: Subject,
    /// Where: of runs and logged models the experiments; the others are searched everywhere.
    pub experiments: Vec<ExperimentId>,
    /// Deleted ones too?
    pub view: View,
    /// What must hold.
    pub conditions: Vec<Condition>,
    /// Logged models that were measured on one of these, and metrics that were; all, if there is none.
    pub datasets: Vec<OnDataset>,
    /// In which order, and for metrics of logged models measured on what.
    pub order: Vec<(Sort, Option<OnDataset>)>,
    /// Behind which item.
    pub after: Option<Position>,
    /// How many.
    pub limit: i64,
}

/// A page of ids.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// In order.
    pub ids: Vec<T>,
    /// Where the next page begins, if more follow.
    pub next: Option<Position>,
}

/// Finds, among what is visible; where runs and logged models are looked for, the caller may see.
///
/// # Errors
/// The database is away, or the position is none of this search.
pub async fn find<T: FromStr>(
    database: &Database,
    visible: &Visible,
    search: &Search,
) -> Result<Found<T>> {
    let visible = Filter::from(visible);
    let mut rows = Vec::new();
    let mut after = search.after.as_ref();
    for part in keys::parts(search) {
        let wanted = search.limit.saturating_add(1).saturating_sub_unsigned(rows.len() as u64);
        if wanted > 0 {
            rows.append(&mut read(database, &visible, search, *part, after, wanted).await?);
        }
        // The next part is all behind it.
        after = None;
    }
    let size = usize::try_from(search.limit).unwrap_or_default();
    let more = rows.len() > size;
    rows.truncate(size);
    let next = match rows.last() {
        Some(last) if more => Some(last.try_get("keys")?),
        _ => None,
    };
    let ids = rows
        .iter()
        .map(|row| {
            let id: String = row.try_get("id")?;
            id.parse().map_err(|_| Error::inconsistent(table(search.subject), "id", id))
        })
        .collect::<Result<_>>()?;
    Ok(Found { ids, next })
}

/// The first items of a part of a search: their ids, and their places in the order.
async fn read(
    database: &Database,
    visible: &Filter,
    search: &Search,
    part: keys::Part,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<PgRow>> {
    let mut keys = keys::of(search, part);
    let mut query = QueryBuilder::new("SELECT t.id::text AS id, ARRAY[");
    keys::push_places(&mut query, &keys);
    query.push("] AS keys FROM ").push(table(search.subject));
    for key in &mut keys {
        key.join(&mut query);
    }
    within(&mut query, search);
    seen(&mut query, visible, search.subject);
    conditions::push(&mut query, search);
    keys::push_part(&mut query, &keys);
    if let Some(after) = after {
        keys::push_after(&mut query, &keys, after)?;
    }
    keys::push_order(&mut query, &keys);
    query.push(" LIMIT ").push_bind(limit);
    // Not kept: of a kept statement Postgres soon makes one plan for all values, rare and common.
    Ok(query.build().persistent(false).fetch_all(database.pool()).await?)
}

const fn table(subject: Subject) -> &'static str {
    match subject {
        Subject::Runs => "runs t",
        Subject::Experiments => "experiments t",
        Subject::Models => "models t",
        Subject::Versions => "model_versions t JOIN models n ON n.id = t.model_id",
        Subject::LoggedModels => "logged_models t",
    }
}

fn seen(query: &mut QueryBuilder<Postgres>, visible: &Filter, subject: Subject) {
    let (function, which) = match subject {
        _ if visible.all => return,
        Subject::Runs | Subject::LoggedModels => return,
        Subject::Experiments => ("sees_experiment", "t.id, t.team_id"),
        Subject::Models => ("sees_model", "t.id, t.team_id"),
        Subject::Versions => ("sees_model", "n.id, n.team_id"),
    };
    query.push(" AND ").push(function).push("(").push_bind(visible.allow.clone());
    query.push(", ").push_bind(visible.deny.clone()).push(", ").push(which).push(")");
}

fn within(query: &mut QueryBuilder<Postgres>, search: &Search) {
    query.push(match search.view {
        View::Active => " WHERE t.deleted_at IS NULL",
        View::Deleted => " WHERE t.deleted_at IS NOT NULL",
        View::All => " WHERE TRUE",
    });
    match search.subject {
        Subject::Runs | Subject::LoggedModels => {
            query.push(" AND t.experiment_id = ");
            // One experiment is read in its index's order.
            if let [one] = search.experiments.as_slice() {
                query.push_bind(one.0);
            } else {
                let ids: Vec<i64> = search.experiments.iter().map(|id| id.0).collect();
                query.push("ANY(").push_bind(ids).push(")");
            }
        }
        Subject::Versions => {
            query.push(" AND n.deleted_at IS NULL");
        }
        Subject::Experiments | Subject::Models => {}
    }
}
