//! What must hold of what is found.

use domain::{
    search::{Comparator, Condition, Field, Subject, Value},
    tracking::RunId,
};
use sqlx::{Postgres, QueryBuilder};

use super::{OnDataset, Search, keys};

/// How many characters of a value are in the indexes of params and tags of runs.
const BEGINNING: usize = 100;

/// The tag that tells prompts, which MLflow keeps among models, from models.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

pub(super) fn push(query: &mut QueryBuilder<Postgres>, search: &Search) {
    let without_prompts = matches!(search.subject, Subject::Models | Subject::Versions)
        && !wants_prompts(&search.conditions);
    for condition in &search.conditions {
        let is_about_prompts =
            matches!(&condition.field, Field::Tag(key) if key == IS_PROMPT) && without_prompts;
        if !is_about_prompts {
            query.push(" AND ");
            push_condition(query, search, condition);
        }
    }
    if without_prompts {
        query.push(if search.subject == Subject::Versions {
            " AND NOT EXISTS (SELECT FROM version_tags c JOIN model_versions v ON v.id = c.version_id WHERE v.model_id = t.model_id AND c.key = "
        } else {
            " AND NOT EXISTS (SELECT FROM model_tags c WHERE c.model_id = t.id AND c.key = "
        });
        query.push_bind(IS_PROMPT).push(" AND c.value = 'true')");
    }
    let by_metric = search.conditions.iter().any(|c| matches!(c.field, Field::Metric(_)));
    if !search.datasets.is_empty() && !by_metric {
        query.push(" AND EXISTS (SELECT FROM logged_model_metrics c WHERE c.model_id = t.id");
        push_datasets(query, &search.datasets);
        query.push(")");
    }
}

/// Unless a filter asks for prompts, models are meant, which need not have the tag.
fn wants_prompts(conditions: &[Condition]) -> bool {
    let about = conditions
        .iter()
        .find(|condition| matches!(&condition.field, Field::Tag(key) if key == IS_PROMPT));
    about.is_some_and(|condition| match (&condition.value, condition.comparator) {
        (Value::Text(value), Comparator::Equal) => value.eq_ignore_ascii_case("true"),
        (Value::Text(value), Comparator::NotEqual) => value.eq_ignore_ascii_case("false"),
        _ => false,
    })
}

fn push_condition(query: &mut QueryBuilder<Postgres>, search: &Search, condition: &Condition) {
    let subject = search.subject;
    let Condition { field, comparator, value } = condition;
    let (table, key) = match field {
        Field::Attribute(name) => return push_attribute(query, subject, name, condition),
        Field::Dataset(name) => return push_dataset(query, name, condition),
        Field::Tag(key) => (tags(subject), key),
        Field::Param(key) if subject == Subject::LoggedModels => {
            ("logged_model_params c WHERE c.model_id = t.id", key)
        }
        Field::Param(key) => ("run_params c WHERE c.run_id = t.id", key),
        Field::Metric(key) if subject == Subject::LoggedModels => {
            ("logged_model_metrics c WHERE c.model_id = t.id", key)
        }
        Field::Metric(key) => ("run_metrics c WHERE c.run_id = t.id", key),
    };
    if *comparator == Comparator::IsNull {
        query.push("NOT ");
    }
    query.push("EXISTS (SELECT FROM ").push(table).push(" AND c.key = ").push_bind(key.clone());
    match value {
        Value::Nothing => {}
        Value::Text(text) => {
            // Values are found by their beginnings, as they are indexed. One that is shorter than
            // that is its whole beginning: comparing it again would only mislead the planner.
            let is_indexed = *comparator == Comparator::Equal && subject == Subject::Runs;
            if is_indexed {
                let beginning: String = text.chars().take(BEGINNING).collect();
                query.push(" AND left(c.value, 100) = ").push_bind(beginning);
            }
            if !is_indexed || text.chars().count() >= BEGINNING {
                query.push(" AND ");
                push_comparison(query, "c.value", *comparator, value);
            }
        }
        Value::List(_) => {
            query.push(" AND ");
            push_comparison(query, "c.value", *comparator, value);
        }
        Value::Whole(_) | Value::Decimal(_) => {
            query.push(" AND c.value ").push(comparator.as_str()).push(" ").push_bind(float(value));
            // To Postgres NaN is the greatest number; to MLflow it is only unequal to all.
            if matches!(comparator, Comparator::Greater | Comparator::GreaterOrEqual) {
                query.push(" AND c.value <> 'NaN'");
            }
            push_datasets(query, &search.datasets);
        }
    }
    query.push(")");
}

const fn tags(subject: Subject) -> &'static str {
    match subject {
        Subject::Runs => "run_tags c WHERE c.run_id = t.id",
        Subject::Experiments => "experiment_tags c WHERE c.experiment_id = t.id",
        Subject::Models => "model_tags c WHERE c.model_id = t.id",
        Subject::Versions => "version_tags c WHERE c.version_id = t.id",
        Subject::LoggedModels => "logged_model_tags c WHERE c.model_id = t.id",
    }
}

fn push_datasets(query: &mut QueryBuilder<Postgres>, datasets: &[OnDataset]) {
    if datasets.is_empty() {
        return;
    }
    query.push(" AND (FALSE");
    for OnDataset { name, digest } in datasets {
        query.push(" OR (TRUE");
        for (column, value) in [("c.dataset_name", name), ("c.dataset_digest", digest)] {
            if let Some(value) = value {
                query.push(format_args!(" AND {column} = ")).push_bind(value.clone());
            }
        }
        query.push(")");
    }
    query.push(")");
}

fn push_attribute(
    query: &mut QueryBuilder<Postgres>,
    subject: Subject,
    name: &str,
    condition: &Condition,
) {
    let Condition { comparator, value, .. } = condition;
    let ids = match (subject, name, comparator, value) {
        (Subject::Runs, "run_id", Comparator::Equal, Value::Text(id)) => std::slice::from_ref(id),
        (Subject::Runs, "run_id", Comparator::In, Value::List(ids)) => ids,
        _ => &[],
    };
    if !ids.is_empty() {
        // What is no id is no run's.
        let ids = ids.iter().filter_map(|id| id.parse().ok());
        let ids: Vec<_> = ids.map(|id: RunId| id.0).collect();
        query.push("t.id = ANY(").push_bind(ids).push(")");
        return;
    }
    let column = match (subject, name) {
        (Subject::Runs, "run_id") => "replace(t.id::text, '-', '')",
        (Subject::LoggedModels, "model_id") => "('m-' || replace(t.id::text, '-', ''))",
        (Subject::Experiments, "experiment_id") => "t.id::text",
        // A version of no run is one of another run than any that is named.
        (Subject::Versions, "run_id") => "coalesce(t.run_id, '')",
        _ => keys::column(subject, name).0,
    };
    push_comparison(query, column, *comparator, value);
}

fn push_dataset(query: &mut QueryBuilder<Postgres>, name: &str, condition: &Condition) {
    query.push("EXISTS (SELECT FROM run_datasets i JOIN datasets d ON d.id = i.dataset_id WHERE i.run_id = t.id AND ");
    let column = match name {
        "name" => "d.name",
        "digest" => "d.digest",
        _ => "(i.tags ->> 'mlflow.data.context')",
    };
    push_comparison(query, column, condition.comparator, &condition.value);
    query.push(")");
}

fn push_comparison(
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    comparator: Comparator,
    value: &Value,
) {
    query.push(column);
    match value {
        Value::Nothing => {
            query.push(" ").push(comparator.as_str());
        }
        Value::List(texts) => {
            query.push(if comparator == Comparator::NotIn { " <> ALL(" } else { " = ANY(" });
            query.push_bind(texts.clone()).push(")");
        }
        Value::Text(text) => {
            query.push(" ").push(comparator.as_str()).push(" ").push_bind(text.clone());
            if matches!(comparator, Comparator::Like | Comparator::Ilike) {
                query.push(" ESCAPE ''");
            }
        }
        Value::Whole(number) => {
            query.push(" ").push(comparator.as_str()).push(" ").push_bind(*number);
        }
        Value::Decimal(number) => {
            query.push("::double precision ").push(comparator.as_str()).push(" ");
            query.push_bind(*number);
        }
    }
}

/// As metrics are kept.
#[expect(clippy::cast_precision_loss, reason = "what a float can hold of it is what was meant")]
const fn float(value: &Value) -> f64 {
    match value {
        Value::Whole(number) => *number as f64,
        Value::Decimal(number) => *number,
        Value::Nothing | Value::Text(_) | Value::List(_) => f64::NAN,
    }
}
