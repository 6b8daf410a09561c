//! Orders.

use super::{
    Field, Sort, Subject,
    lexer::{Token, shorten, tokens},
};
use crate::Problem;

const ARGUMENT: &str = "order_by";

/// The most keys of an order.
const MOST: usize = 32;

/// Reads the keys of an order, each as `metrics.acc DESC`.
///
/// # Errors
/// One does not parse, names what the subject cannot be ordered by, or comes twice.
pub fn order(subject: Subject, clauses: &[String]) -> Result<Vec<Sort>, Problem> {
    let sorts = clauses.iter().map(|clause| parse(subject, clause)).collect::<Result<_, _>>()?;
    checked(subject, sorts)
}

/// Reads one key of an order of logged models, which they give by name and direction.
///
/// # Errors
/// They cannot be ordered by it.
pub fn order_by_field(name: &str, ascending: bool) -> Result<Sort, Problem> {
    let (field, _) = Subject::LoggedModels.field(ARGUMENT, name)?;
    match field {
        Field::Attribute(_) | Field::Metric(_) => Ok(Sort { field, ascending }),
        Field::Param(_) | Field::Tag(_) | Field::Dataset(_) => Err(refused(format!(
            "Invalid order by field name: {}. Only metrics are supported.",
            shorten(name)
        ))),
    }
}

/// Of a key that comes twice the second orders nothing; MLflow refuses it, except for experiments.
fn checked(subject: Subject, sorts: Vec<Sort>) -> Result<Vec<Sort>, Problem> {
    if sorts.len() > MOST {
        return Err(refused(format!("`order_by` has more than {MOST} keys")));
    }
    if subject == Subject::Experiments {
        return Ok(sorts);
    }
    for (at, sort) in sorts.iter().enumerate() {
        if sorts.iter().take(at).any(|earlier| earlier.field == sort.field) {
            return Err(refused("`order_by` contains duplicate fields".to_owned()));
        }
    }
    Ok(sorts)
}

fn refused(message: String) -> Problem {
    Problem::invalid(ARGUMENT, message)
}

fn parse(subject: Subject, clause: &str) -> Result<Sort, Problem> {
    let tokens = tokens(ARGUMENT, clause)?;
    let (name, ascending) = match tokens.as_slice() {
        [Token::Name(name)] => (name, true),
        [Token::Name(name), word] if word.is_word("ASC") => (name, true),
        [Token::Name(name), word] if word.is_word("DESC") => (name, false),
        [Token::Name(_), Token::Name(_)] => {
            return Err(refused(format!(
                "Invalid ordering key in order_by clause '{}'. Expected ASC or DESC",
                shorten(clause)
            )));
        }
        _ => {
            return Err(refused(format!(
                "Invalid order_by clause '{}'. Could not be parsed.",
                shorten(clause)
            )));
        }
    };
    let (field, _) = subject.field(ARGUMENT, name)?;
    let sorts = match &field {
        Field::Attribute(_) => true,
        Field::Metric(_) | Field::Param(_) | Field::Tag(_) => subject == Subject::Runs,
        Field::Dataset(_) => false,
    };
    if !sorts {
        let what = if subject == Subject::Models { "order by key" } else { "order_by entity:" };
        return Err(refused(format!("Invalid {what} '{}' specified", shorten(name))));
    }
    Ok(Sort { field, ascending })
}
