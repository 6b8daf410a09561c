//! What results are ordered by, and what comes behind an item.

use domain::search::{Comparator, Field, Fingerprint, Position, Sort, Subject};
use sqlx::{Postgres, QueryBuilder, types::Uuid};

use super::{OnDataset, Search};
use crate::Result;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Whole,
    Decimal,
    Uuid,
}

/// What of an order one statement reads. Indexes know an order only of what has a value: so what
/// has one in the first key is read apart from what comes behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// What has a value in the first key, of numbers one that is one.
    Valued,
    /// What has NaN there.
    Nan,
    /// What has nothing there.
    Unvalued,
}

impl Part {
    /// Whether all items of it are the same in the first key.
    const fn is_level(self) -> bool {
        matches!(self, Self::Nan | Self::Unvalued)
    }
}

/// One key of an order. What has no value comes last; of numbers NaN is the last, either way.
pub(super) struct Key {
    expression: String,
    ascending: bool,
    value: Type,
    part: Part,
    joined: Option<Join>,
}

/// What must be joined for a key.
struct Join {
    subject: Subject,
    alias: String,
    field: Field,
    dataset: Option<OnDataset>,
}

/// An attribute's column, and how it is compared.
pub(super) fn column(subject: Subject, attribute: &str) -> (&'static str, Type) {
    let text = |column| (column, Type::Text);
    match (subject, attribute) {
        (Subject::Runs, "run_id") => ("t.id", Type::Uuid),
        (Subject::Runs, "user_id") => text("t.user_id"),
        (Subject::Runs, "status") => text("t.status"),
        (Subject::Runs, "artifact_uri") => text("t.artifact_uri"),
        (Subject::Runs, "start_time") => ("t.start_time", Type::Whole),
        (Subject::Runs, "end_time") => ("t.end_time", Type::Whole),
        (Subject::Experiments, "experiment_id") => ("t.id", Type::Whole),
        (Subject::Versions, "name") => text("n.name"),
        (Subject::Versions, "version_number") => ("t.number::bigint", Type::Whole),
        (Subject::Versions, "run_id") => text("t.run_id"),
        (Subject::Versions, "source_path") => text("t.source"),
        (Subject::LoggedModels, "model_id") => ("t.id", Type::Uuid),
        (Subject::LoggedModels, "model_type") => text("t.model_type"),
        (Subject::LoggedModels, "status") => text("replace(t.status, 'LOGGED_MODEL_', '')"),
        (Subject::LoggedModels, "status_message") => text("t.status_message"),
        (Subject::LoggedModels, "source_run_id") => text("replace(t.source_run_id::text, '-', '')"),
        (Subject::LoggedModels, "experiment_id") => text("t.experiment_id::text"),
        (Subject::LoggedModels, "artifact_location") => text("t.artifact_uri"),
        (Subject::LoggedModels, "lifecycle_stage") => {
            text("CASE WHEN t.deleted_at IS NULL THEN 'active' ELSE 'deleted' END")
        }
        (_, "creation_time" | "creation_timestamp") => {
            ("floor(extract(epoch FROM t.created_at) * 1000)::bigint", Type::Whole)
        }
        (_, "last_update_time" | "last_updated_timestamp") => {
            ("floor(extract(epoch FROM t.updated_at) * 1000)::bigint", Type::Whole)
        }
        // Runs, experiments, models and logged models have a name, whatever it is called.
        _ => text("t.name"),
    }
}

/// The whole order of a search: what was asked for, and what breaks ties.
fn sorts(search: &Search) -> Vec<(Sort, Option<OnDataset>)> {
    let mut sorts = search.order.clone();
    let by = |attribute, ascending| (Sort { field: Field::Attribute(attribute), ascending }, None);
    let ties = match search.subject {
        Subject::Runs => vec![by("start_time", false), by("run_id", true)],
        Subject::Experiments if sorts.is_empty() => {
            vec![by("creation_time", false), by("experiment_id", true)]
        }
        Subject::Experiments => vec![by("experiment_id", false)],
        Subject::Models => vec![by("name", true)],
        Subject::Versions if sorts.is_empty() => {
            vec![by("last_updated_timestamp", false), by("name", true), by("version_number", false)]
        }
        Subject::Versions => vec![by("name", true), by("version_number", false)],
        Subject::LoggedModels => vec![by("creation_timestamp", false), by("model_id", true)],
    };
    for tie in ties {
        if !sorts.iter().any(|(sort, _)| sort.field == tie.0.field) {
            sorts.push(tie);
        }
    }
    sorts
}

/// How many values a position in this search has.
#[must_use]
pub fn length(search: &Search) -> usize {
    sorts(search).len()
}

/// The parts in which a search is read, in order, from where it begins on.
pub(super) fn parts(search: &Search) -> &'static [Part] {
    use Part::{Nan, Unvalued, Valued, Whole};
    let first = sorts(search).into_iter().next().map(|(sort, _)| sort.field);
    let by_metric = matches!(first, Some(Field::Metric(_)));
    // A run whose metric is compared has it, and it is a number.
    let is_number = search.subject == Subject::Runs
        && search.conditions.iter().any(|condition| {
            Some(&condition.field) == first.as_ref() && condition.comparator != Comparator::NotEqual
        });
    match search.after.as_ref().and_then(|after| after.first()) {
        None if !by_metric => &[Whole],
        Some(None) => &[Unvalued],
        Some(Some(value)) if by_metric && value == "NaN" => &[Nan, Unvalued],
        _ if by_metric && is_number => &[Valued],
        _ if by_metric => &[Valued, Nan, Unvalued],
        _ => &[Valued, Unvalued],
    }
}

/// The keys of a part.
pub(super) fn of(search: &Search, part: Part) -> Vec<Key> {
    let key = |(at, (sort, dataset)): (usize, (Sort, Option<OnDataset>))| {
        key(search.subject, at, sort, dataset, if at == 0 { part } else { Part::Whole })
    };
    sorts(search).into_iter().enumerate().map(key).collect()
}

fn key(subject: Subject, at: usize, sort: Sort, dataset: Option<OnDataset>, part: Part) -> Key {
    let Sort { field, ascending } = sort;
    if let Field::Attribute(attribute) = field {
        let (column, value) = column(subject, attribute);
        let collation = if value == Type::Text { " COLLATE \"C\"" } else { "" };
        let expression = format!("{column}{collation}");
        return Key { expression, ascending, value, part, joined: None };
    }
    let alias = format!("o{at}");
    let is_metric = matches!(field, Field::Metric(_));
    let (expression, ascending, value) = match (is_metric, part) {
        (false, _) => (format!("{alias}.value COLLATE \"C\""), ascending, Type::Text),
        // NaN is the greatest number to Postgres, and stays so when the sign is turned.
        (true, Part::Whole) => {
            let sign = if ascending { "" } else { "-" };
            (format!("{sign}{alias}.value"), true, Type::Decimal)
        }
        (true, _) => (format!("{alias}.value"), ascending, Type::Decimal),
    };
    let joined = Some(Join { subject, alias, field, dataset });
    Key { expression, ascending, value, part, joined }
}

/// Adds the columns that tell an item's place.
pub(super) fn push_places(query: &mut QueryBuilder<Postgres>, keys: &[Key]) {
    for (at, key) in keys.iter().enumerate() {
        query.push(if at == 0 { "(" } else { ", (" }).push(&key.expression).push(")::text");
    }
}

/// Adds which part is read.
pub(super) fn push_part(query: &mut QueryBuilder<Postgres>, keys: &[Key]) {
    let Some(Key { expression, value, part, .. }) = keys.first() else { return };
    match part {
        Part::Whole => {}
        Part::Valued => {
            query.push(format_args!(" AND {expression} IS NOT NULL"));
            // Only metrics are decimal.
            if *value == Type::Decimal {
                query.push(format_args!(" AND {expression} <> 'NaN'"));
            }
        }
        Part::Nan => {
            query.push(format_args!(" AND {expression} = 'NaN'"));
        }
        Part::Unvalued => {
            query.push(format_args!(" AND {expression} IS NULL"));
        }
    }
}

/// Adds the order.
pub(super) fn push_order(query: &mut QueryBuilder<Postgres>, keys: &[Key]) {
    let telling = keys.iter().filter(|key| !key.part.is_level());
    for (at, key) in telling.enumerate() {
        query.push(if at == 0 { " ORDER BY " } else { ", " }).push(&key.expression);
        query.push(match (key.ascending, key.part, key.value) {
            (true, ..) => " ASC NULLS LAST",
            // There are none, and backwards the index of metrics would have them first.
            (false, Part::Valued, Type::Decimal) => " DESC",
            (false, ..) => " DESC NULLS LAST",
        });
    }
}

impl Key {
    /// Joins what the key is about, if that is not the thing itself.
    pub(super) fn join(&mut self, query: &mut QueryBuilder<Postgres>) {
        let Some(Join { subject, alias, field, dataset }) = self.joined.take() else { return };
        let (table, name) = match field {
            Field::Metric(name) => ("run_metrics", name),
            Field::Param(name) => ("run_params", name),
            Field::Tag(name) => ("run_tags", name),
            // These are columns, or are no order.
            Field::Attribute(_) | Field::Dataset(_) => return,
        };
        query.push(if matches!(self.part, Part::Valued | Part::Nan) {
            " JOIN "
        } else {
            " LEFT JOIN "
        });
        if subject != Subject::LoggedModels {
            query
                .push(format_args!("{table} {alias} ON {alias}.run_id = t.id AND {alias}.key = "))
                .push_bind(name);
            return;
        }
        query
            .push(
                "LATERAL (SELECT value FROM logged_model_metrics WHERE model_id = t.id AND key = ",
            )
            .push_bind(name);
        if let Some(OnDataset { name, digest }) = dataset {
            for (column, value) in [("dataset_name", name), ("dataset_digest", digest)] {
                if let Some(value) = value {
                    query.push(format_args!(" AND {column} = ")).push_bind(value);
                }
            }
        }
        query
            .push(" ORDER BY timestamp DESC, step DESC, run_id LIMIT 1) ")
            .push(alias)
            .push(" ON TRUE");
    }

    /// Binds a value of this key.
    fn bind(&self, query: &mut QueryBuilder<Postgres>, value: &str) -> Result<()> {
        let foreign = Fingerprint::foreign;
        match self.value {
            Type::Text => query.push_bind(value.to_owned()),
            Type::Whole => query.push_bind(value.parse::<i64>().map_err(|_| foreign())?),
            Type::Decimal => query.push_bind(value.parse::<f64>().map_err(|_| foreign())?),
            Type::Uuid => query.push_bind(value.parse::<Uuid>().map_err(|_| foreign())?),
        };
        Ok(())
    }
}

/// Adds that an item comes behind the one with these values: it is the same in some keys, and
/// behind it in the next.
pub(super) fn push_after(
    query: &mut QueryBuilder<Postgres>,
    keys: &[Key],
    after: &Position,
) -> Result<()> {
    let pairs = keys.iter().zip(after).filter(|(key, _)| !key.part.is_level());
    let pairs: Vec<(&Key, &Option<String>)> = pairs.collect();
    // Said by itself, an index begins there instead of passing what is before.
    if let Some((first @ Key { part: Part::Valued, .. }, Some(value))) = pairs.first() {
        let comparison = if first.ascending { " >= " } else { " <= " };
        query.push(" AND ").push(&first.expression).push(comparison);
        first.bind(query, value)?;
    }
    query.push(" AND (FALSE");
    for (at, (key, value)) in pairs.iter().enumerate() {
        // Nothing comes behind what has no value.
        let Some(value) = value else { continue };
        query.push(" OR (");
        for (same, value) in pairs.iter().take(at) {
            query.push(&same.expression);
            match value {
                Some(value) => {
                    query.push(" = ");
                    same.bind(query, value)?;
                }
                None => {
                    query.push(" IS NULL");
                }
            }
            query.push(" AND ");
        }
        query.push("(").push(&key.expression).push(if key.ascending { " > " } else { " < " });
        key.bind(query, value)?;
        query.push(" OR ").push(&key.expression).push(" IS NULL))");
    }
    query.push(")");
    Ok(())
}
