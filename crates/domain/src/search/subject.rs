//! What is searched, and the names that its filters and orders may use.

use super::Field;
use crate::Problem;

use Kind::{Id, Name, Number, Text, Whole};

/// What is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Runs.
    Runs,
    /// Experiments.
    Experiments,
    /// Registered models.
    Models,
    /// Versions of registered models.
    Versions,
    /// Logged models.
    LoggedModels,
}

/// What an attribute is, and so how it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text that can be looked for in a list.
    Name,
    /// A text of digits that is equal or not.
    Id,
    /// A number.
    Number,
    /// A whole number, maybe in quotes.
    Whole,
}

pub(super) struct Attribute {
    /// The one name that the store knows.
    pub(super) key: &'static str,
    /// Other names of it.
    aliases: &'static [&'static str],
    pub(super) kind: Kind,
    in_filters: bool,
    in_orders: bool,
}

const fn both(key: &'static str, aliases: &'static [&'static str], kind: Kind) -> Attribute {
    Attribute { key, aliases, kind, in_filters: true, in_orders: true }
}

const fn filters(key: &'static str, aliases: &'static [&'static str], kind: Kind) -> Attribute {
    Attribute { in_orders: false, ..both(key, aliases, kind) }
}

const fn orders(key: &'static str, aliases: &'static [&'static str], kind: Kind) -> Attribute {
    Attribute { in_filters: false, ..both(key, aliases, kind) }
}

const RUNS: &[Attribute] = &[
    both("run_id", &[], Name),
    both("run_name", &[], Text),
    filters("run_name", &["run name", "Run name", "Run Name"], Text),
    both("user_id", &[], Text),
    both("status", &[], Text),
    both("artifact_uri", &[], Text),
    both("start_time", &["created", "Created"], Number),
    both("end_time", &[], Number),
];

const EXPERIMENTS: &[Attribute] = &[
    both("experiment_id", &[], Id),
    both("name", &[], Text),
    both("creation_time", &[], Whole),
    both("last_update_time", &[], Whole),
];

const MODELS: &[Attribute] =
    &[both("name", &[], Name), orders("last_updated_timestamp", &["timestamp"], Whole)];

const VERSIONS: &[Attribute] = &[
    both("name", &[], Name),
    both("version_number", &[], Whole),
    filters("run_id", &[], Name),
    filters("source_path", &[], Text),
    orders("creation_timestamp", &[], Whole),
    orders("last_updated_timestamp", &[], Whole),
];

const LOGGED_MODELS: &[Attribute] = &[
    both("name", &[], Name),
    both("model_id", &[], Name),
    both("model_type", &[], Name),
    both("status", &[], Name),
    both("status_message", &[], Name),
    both("source_run_id", &[], Name),
    both("experiment_id", &[], Name),
    both("artifact_location", &[], Name),
    both("lifecycle_stage", &[], Name),
    both("creation_timestamp", &["creation_time", "creation_timestamp_ms"], Number),
    both("last_updated_timestamp", &["last_updated_time", "last_updated_timestamp_ms"], Number),
];

impl Subject {
    pub(super) const fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::Runs => RUNS,
            Self::Experiments => EXPERIMENTS,
            Self::Models => MODELS,
            Self::Versions => VERSIONS,
            Self::LoggedModels => LOGGED_MODELS,
        }
    }

    /// Whether a filter may ask for tags or params that are not there.
    pub(super) const fn knows_absence(self, field: &Field) -> bool {
        match self {
            Self::Runs => matches!(field, Field::Tag(_) | Field::Param(_)),
            Self::Experiments => matches!(field, Field::Tag(_)),
            Self::Models | Self::Versions | Self::LoggedModels => false,
        }
    }

    /// What the first part of a name says that it names.
    fn entity(self, word: &str) -> Option<fn(String) -> Field> {
        let tag: fn(String) -> Field = Field::Tag;
        match (self, word) {
            (_, "tags") => Some(tag),
            (Self::LoggedModels, "metrics") => Some(Field::Metric),
            (Self::LoggedModels, "params") => Some(Field::Param),
            (Self::LoggedModels, _) => None,
            (_, "tag") => Some(tag),
            (Self::Runs, "metric" | "metrics") => Some(Field::Metric),
            (Self::Runs, "parameter" | "parameters" | "param" | "params") => Some(Field::Param),
            _ => None,
        }
    }

    const fn attribute_words(self) -> &'static [&'static str] {
        match self {
            Self::Runs => &["attribute", "attr", "attributes", "run"],
            Self::LoggedModels => &["attributes"],
            Self::Experiments | Self::Models | Self::Versions => &["attribute"],
        }
    }

    const fn entity_words(self) -> &'static str {
        match self {
            Self::Runs => "'metric', 'parameter', 'tag', 'attribute', 'dataset'",
            Self::LoggedModels => "'attributes', 'metrics', 'params', 'tags'",
            Self::Experiments | Self::Models | Self::Versions => "'attribute', 'tag', 'tags'",
        }
    }

    /// The attribute of that name, for a filter or for an order.
    fn attribute(self, name: &str, in_order: bool) -> Option<&'static Attribute> {
        self.attributes().iter().find(|attribute| {
            (attribute.key == name || attribute.aliases.contains(&name))
                && if in_order { attribute.in_orders } else { attribute.in_filters }
        })
    }

    /// What a name means: ``metrics.`a b` ``, `attributes.status`, `status`.
    pub(super) fn field(
        self,
        argument: &'static str,
        name: &str,
    ) -> Result<(Field, Option<Kind>), Problem> {
        let (entity, key) = match name.split_once('.') {
            Some((entity, key)) => (Some(trimmed(entity, '`')), key),
            None => (None, name),
        };
        let key = trimmed(trimmed(trimmed(key, '\''), '"'), '`');
        let is_attribute = entity.is_none_or(|word| self.attribute_words().contains(&word));
        if is_attribute {
            let attribute = self.attribute(key, argument == "order_by");
            let attribute = attribute.ok_or_else(|| self.unknown(argument, key))?;
            return Ok((Field::Attribute(attribute.key), Some(attribute.kind)));
        }
        let entity = entity.unwrap_or_default();
        if self == Self::Runs && matches!(entity, "dataset" | "datasets") {
            let keys = ["name", "digest", "context"];
            let key = keys.into_iter().find(|known| *known == key).ok_or_else(|| {
                Problem::invalid(
                    argument,
                    format!(
                        "Invalid dataset key '{}' specified. Valid keys are 'name', 'digest', 'context'",
                        super::lexer::shorten(key)
                    ),
                )
            })?;
            return Ok((Field::Dataset(key), None));
        }
        let field = self.entity(entity).ok_or_else(|| {
            Problem::invalid(
                argument,
                format!(
                    "Invalid entity type '{}'. Valid values are {}",
                    super::lexer::shorten(entity),
                    self.entity_words()
                ),
            )
        })?;
        Ok((field(key.to_owned()), None))
    }

    fn unknown(self, argument: &'static str, key: &str) -> Problem {
        let in_order = argument == "order_by";
        let names: Vec<String> = self
            .attributes()
            .iter()
            .filter(|attribute| if in_order { attribute.in_orders } else { attribute.in_filters })
            .flat_map(|attribute| std::iter::once(&attribute.key).chain(attribute.aliases))
            .map(|name| format!("'{name}'"))
            .collect();
        let shown = super::lexer::shorten(key);
        let names = names.join(", ");
        let is_key_of_models = in_order && self == Self::Models;
        let what = if is_key_of_models { "order by key" } else { "attribute key" };
        Problem::invalid(
            argument,
            format!("Invalid {what} '{shown}' specified. Valid keys are {names}"),
        )
    }
}

/// Without one pair of these quotes around it.
fn trimmed(text: &str, quote: char) -> &str {
    text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(text)
}
