//! Searches as MLflow's clients write them: filters, orders, and where the next page begins.
//!
//! - [`filter`] reads `metrics.acc > 0.9 AND tags.team = 'risk'` into [`Condition`]s. Only `AND` joins.
//! - [`order`] and [`order_by_field`] read `metrics.acc DESC` into a [`Sort`].
//! - [`Subject`] says which names a filter and an order of its kind may use.
//! - [`Fingerprint`] makes page tokens that belong to one search, and knows foreign ones.
//!
//! What is read here is words and values. Not here: the SQL that they become (`store::search`).

mod filter;
mod lexer;
mod order;
mod position;
mod subject;

#[cfg(test)]
mod tests;

pub use filter::filter;
pub use order::{order, order_by_field};
pub use position::{Fingerprint, Position};
pub use subject::Subject;

/// What a condition or an order is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// What the thing itself has, by the one name of it among its aliases.
    Attribute(&'static str),
    /// The latest value of a metric.
    Metric(String),
    /// A param.
    Param(String),
    /// A tag.
    Tag(String),
    /// `name`, `digest` or `context` of a dataset that a run used.
    Dataset(&'static str),
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `LIKE`: `%` is any text, `_` one character, nothing escapes them.
    Like,
    /// `ILIKE`: the same, whatever the case.
    Ilike,
    /// `IN`
    In,
    /// `NOT IN`
    NotIn,
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
}

impl Comparator {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Like => "LIKE",
            Self::Ilike => "ILIKE",
            Self::In => "IN",
            Self::NotIn => "NOT IN",
            Self::IsNull => "IS NULL",
            Self::IsNotNull => "IS NOT NULL",
        }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `IS NULL`, `IS NOT NULL`.
    Nothing,
    /// A text.
    Text(String),
    /// Texts: `IN`, `NOT IN`.
    List(Vec<String>),
    /// A whole number.
    Whole(i64),
    /// Any other number. Never NaN.
    Decimal(f64),
}

/// One condition. A thing is found if all hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is compared.
    pub field: Field,
    /// How.
    pub comparator: Comparator,
    /// With what.
    pub value: Value,
}

/// One key of an order. Whatever has no value comes last, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub field: Field,
    /// Smallest first.
    pub ascending: bool,
}
