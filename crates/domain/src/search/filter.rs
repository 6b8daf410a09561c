//! Filters.

use super::{
    Comparator, Condition, Field, Subject, Value,
    lexer::{Token, shorten, tokens},
    subject::Kind,
};
use crate::{Problem, tracking::ExperimentId};

const ARGUMENT: &str = "filter";

/// More conditions than a person writes, and fewer than a planner minds.
const MOST: usize = 200;

/// Reads a filter. An empty one has no conditions.
///
/// # Errors
/// It does not parse, or it names what the subject has not, or compares what cannot be compared.
pub fn filter(subject: Subject, text: &str) -> Result<Vec<Condition>, Problem> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let tokens = tokens(ARGUMENT, text)?;
    if tokens.is_empty() {
        return Err(refused(format!("Invalid filter '{}'. Could not be parsed.", shorten(text))));
    }
    let mut rest = tokens.as_slice();
    let mut conditions = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        // As MLflow's parser has it, `AND` may be left out and may be said twice.
        if first.is_word("AND") {
            rest = after;
            continue;
        }
        if conditions.len() == MOST {
            return Err(refused(format!("the filter has more than {MOST} conditions")));
        }
        let (condition, after) = condition(subject, rest)?;
        conditions.push(condition);
        rest = after;
    }
    Ok(conditions)
}

fn refused(message: String) -> Problem {
    Problem::invalid(ARGUMENT, message)
}

/// What stands where a condition was expected.
fn no_condition(subject: Subject, tokens: &[Token<'_>]) -> Problem {
    let shown: Vec<String> =
        tokens.iter().take(4).map(|token| format!("'{}'", token.shown())).collect();
    let what = match subject {
        Subject::LoggedModels => "Invalid filter string",
        Subject::Runs | Subject::Experiments | Subject::Models | Subject::Versions => {
            "Invalid clause(s) in filter string"
        }
    };
    refused(format!("{what}: {}", shown.join(", ")))
        .hint("expected conditions as `metrics.acc > 0.9` or `params.lr = '0.1'`, joined by AND")
}

type Rest<'a, 'b> = &'b [Token<'a>];

fn condition<'a, 'b>(
    subject: Subject,
    tokens: Rest<'a, 'b>,
) -> Result<(Condition, Rest<'a, 'b>), Problem> {
    let name = match tokens.first() {
        Some(Token::Name(name)) => *name,
        Some(Token::Text(_) | Token::Number(_)) if tokens.len() > 2 => {
            let shown = tokens.first().map(|token| token.shown()).unwrap_or_default();
            return Err(refused(format!(
                "Invalid comparison clause. Expected 'Identifier' found '{shown}'"
            )));
        }
        _ => return Err(no_condition(subject, tokens)),
    };
    let (comparator, rest) = comparator(subject, tokens)?;
    let is_of_absence = matches!(comparator, Comparator::IsNull | Comparator::IsNotNull);
    let is_word = |word| rest.first().is_some_and(|token| token.is_word(word));
    let is_none =
        is_word("AND") || subject != Subject::LoggedModels && (is_word("TRUE") || is_word("FALSE"));
    if is_none && !is_of_absence {
        return Err(no_condition(subject, tokens));
    }
    let (field, kind) = subject.field(ARGUMENT, name)?;
    let (value, rest) = if is_of_absence {
        (Value::Nothing, rest)
    } else {
        value(subject, &field, kind, tokens, rest)?
    };
    allowed(subject, &field, kind, comparator, &value)?;
    Ok((Condition { field, comparator, value }, rest))
}

fn comparator<'a, 'b>(
    subject: Subject,
    tokens: Rest<'a, 'b>,
) -> Result<(Comparator, Rest<'a, 'b>), Problem> {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is_word(word));
    let (comparator, length) = match tokens.get(1) {
        Some(Token::Operator(operator)) => {
            let known = [
                Comparator::Equal,
                Comparator::NotEqual,
                Comparator::Less,
                Comparator::LessOrEqual,
                Comparator::Greater,
                Comparator::GreaterOrEqual,
            ];
            let found = known.into_iter().find(|known| known.as_str() == *operator);
            (found.ok_or_else(|| unknown_comparator(operator))?, 1)
        }
        _ if is(1, "LIKE") => (Comparator::Like, 1),
        _ if is(1, "ILIKE") => (Comparator::Ilike, 1),
        _ if is(1, "IN") => (Comparator::In, 1),
        _ if is(1, "NOT") && is(2, "IN") => (Comparator::NotIn, 2),
        _ if is(1, "NOT") && is(2, "LIKE") => return Err(unknown_comparator("NOT LIKE")),
        _ if is(1, "RLIKE") => return Err(unknown_comparator("RLIKE")),
        _ if is(1, "IS") && is(2, "NULL") => (Comparator::IsNull, 2),
        _ if is(1, "IS") && is(2, "NOT") && is(3, "NULL") => (Comparator::IsNotNull, 3),
        _ => return Err(no_condition(subject, tokens)),
    };
    Ok((comparator, tokens.get(1 + length..).unwrap_or_default()))
}

fn unknown_comparator(shown: &str) -> Problem {
    refused(format!("Invalid comparator '{}'", shorten(shown))).hint(
        "expected =, !=, <, <=, >, >=, LIKE, ILIKE, IN, NOT IN, IS NULL or IS NOT NULL, as the field allows",
    )
}

fn value<'a, 'b>(
    subject: Subject,
    field: &Field,
    kind: Option<Kind>,
    tokens: Rest<'a, 'b>,
    rest: Rest<'a, 'b>,
) -> Result<(Value, Rest<'a, 'b>), Problem> {
    let Some((first, after)) = rest.split_first() else {
        return Err(no_condition(subject, tokens));
    };
    let is_number = matches!(field, Field::Metric(_)) || kind == Some(Kind::Number);
    let value = match (*first, kind) {
        (Token::Open, _) if is_number => return Err(expected_number(field, *first)),
        (Token::Open, _) if after.is_empty() => return Err(no_condition(subject, tokens)),
        (Token::Open, _) => return list(after),
        (Token::Number(number), Some(Kind::Whole)) => Value::Whole(whole(number)?),
        (Token::Text(number), Some(Kind::Whole)) if subject == Subject::Versions => {
            Value::Whole(whole(number)?)
        }
        (Token::Number(number), _) if is_number => numeric(number)?,
        (token, _) if is_number || kind == Some(Kind::Whole) => {
            return Err(expected_number(field, token));
        }
        (Token::Text(text), _) => Value::Text(text.to_owned()),
        (Token::Name(name), _) => Value::Text(unquoted(subject, name)?),
        // Logged models may be asked for `params.lr = 0.1`.
        (Token::Number(number), _) if subject == Subject::LoggedModels => {
            Value::Text(number.to_owned())
        }
        (token, _) => {
            return Err(refused(format!(
                "Expected a quoted string value for {} (e.g. 'my-value'). Got value {}",
                shown(field),
                token.shown()
            )));
        }
    };
    Ok((value, after))
}

/// A text in double quotes looks like a name.
fn unquoted(subject: Subject, name: &str) -> Result<String, Problem> {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) => Ok(inside.to_owned()),
        None if subject == Subject::LoggedModels => Ok(name.to_owned()),
        None => Err(refused(format!(
            "Parameter value is either not quoted or unidentified quote types used for string value {}. Use either single or double quotes.",
            shorten(name)
        ))),
    }
}

fn list<'a, 'b>(tokens: Rest<'a, 'b>) -> Result<(Value, Rest<'a, 'b>), Problem> {
    const WHILE: &str = "While parsing a list in the query, expected";
    let wrong =
        |what: &str| refused(format!("{WHILE} a non-empty list of string values, but got {what}"));
    let mut texts = Vec::new();
    let mut rest = tokens;
    loop {
        match rest {
            [Token::Close, after @ ..] if !texts.is_empty() => {
                return Ok((Value::List(texts), after));
            }
            [Token::Close, ..] => return Err(wrong("empty list")),
            [Token::Text(text), after @ ..] => {
                texts.push((*text).to_owned());
                rest = after;
            }
            [Token::Name(name), after @ ..] if name.starts_with('"') => {
                texts.push(name.trim_matches('"').to_owned());
                rest = after;
            }
            [Token::Comma, ..] => return Err(wrong("ill-formed list.")),
            [token, ..] => {
                let shown = token.shown();
                return Err(refused(format!(
                    "{WHILE} string value, punctuation, or whitespace, but got different type in list: {shown}"
                )));
            }
            [] => return Err(wrong("ill-formed list.")),
        }
        match rest {
            [Token::Comma, after @ ..] => rest = after,
            [Token::Close, ..] => {}
            _ => return Err(wrong("ill-formed list.")),
        }
    }
}

fn numeric(text: &str) -> Result<Value, Problem> {
    if let Ok(whole) = text.parse() {
        return Ok(Value::Whole(whole));
    }
    let number = text.parse().map_err(|_| refused(format!("`{}` is no number", shorten(text))))?;
    Ok(Value::Decimal(number))
}

fn whole(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| {
        refused(format!(
            "Invalid value for numeric attribute: '{}' is no whole number of 64 bits",
            shorten(text)
        ))
    })
}

fn expected_number(field: &Field, token: Token<'_>) -> Problem {
    let what = if matches!(field, Field::Metric(_)) {
        "metric".to_owned()
    } else {
        format!("numeric attribute: {}", shown(field))
    };
    refused(format!("Expected numeric value type for {what}. Found {}", token.shown()))
}

fn shown(field: &Field) -> String {
    match field {
        Field::Attribute(key) => (*key).to_owned(),
        Field::Metric(key) => format!("metric '{}'", shorten(key)),
        Field::Param(key) => format!("parameter '{}'", shorten(key)),
        Field::Tag(key) => format!("tag '{}'", shorten(key)),
        Field::Dataset(key) => format!("dataset {key}"),
    }
}

/// Whether this field can be compared so.
fn allowed(
    subject: Subject,
    field: &Field,
    kind: Option<Kind>,
    comparator: Comparator,
    value: &Value,
) -> Result<(), Problem> {
    use Comparator::{
        Equal, Greater, GreaterOrEqual, Ilike, In, IsNotNull, IsNull, Less, LessOrEqual, Like,
        NotEqual, NotIn,
    };
    let is_text = match field {
        Field::Attribute(_) => matches!(kind, Some(Kind::Text | Kind::Name | Kind::Id)),
        Field::Metric(_) => false,
        Field::Param(_) | Field::Tag(_) | Field::Dataset(_) => true,
    };
    let takes_lists = match field {
        Field::Attribute(_) => matches!(kind, Some(Kind::Name | Kind::Id)),
        Field::Dataset(_) => true,
        Field::Param(_) | Field::Tag(_) => subject == Subject::LoggedModels,
        Field::Metric(_) => false,
    };
    let fits = match comparator {
        Equal | NotEqual => true,
        Like | Ilike => is_text && kind != Some(Kind::Id),
        In | NotIn => takes_lists,
        Less | LessOrEqual | Greater | GreaterOrEqual => !is_text,
        IsNull | IsNotNull => subject.knows_absence(field),
    };
    if !fits {
        let what = match subject {
            Subject::LoggedModels => "comparison operator",
            Subject::Runs | Subject::Experiments | Subject::Models | Subject::Versions => {
                "comparator"
            }
        };
        let problem =
            refused(format!("Invalid {what} '{}' for {}", comparator.as_str(), shown(field)));
        return Err(if matches!(comparator, IsNull | IsNotNull) {
            problem.hint("IS NULL / IS NOT NULL is only supported for tags and params of runs, and tags of experiments")
        } else {
            problem
        });
    }
    let is_list = matches!(value, Value::List(_));
    if is_list != matches!(comparator, In | NotIn) {
        return Err(refused(format!(
            "Invalid value for {}: a list in parentheses goes with IN and NOT IN, and with nothing else",
            shown(field)
        )));
    }
    let ids = match value {
        Value::Text(id) if kind == Some(Kind::Id) => std::slice::from_ref(id),
        Value::List(ids) if kind == Some(Kind::Id) => ids,
        Value::Nothing | Value::Text(_) | Value::List(_) | Value::Whole(_) | Value::Decimal(_) => {
            &[]
        }
    };
    match ids.iter().find(|id| id.parse::<ExperimentId>().is_err()) {
        Some(id) => Err(no_id(id)),
        None => Ok(()),
    }
}

fn no_id(shown: &str) -> Problem {
    refused(format!("Invalid experiment ID '{}': expected a whole number", shorten(shown)))
}
