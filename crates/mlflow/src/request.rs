//! Arguments, as lenient as protobuf's JSON: 64-bit numbers may be texts, unknown fields are
//! skipped (newer clients send more), every field may be absent until the handler asks for it.
//!
//! A handler takes [`Args`] of a struct whose fields are all `Option`s (or `Vec`s with `#[serde(default)]`)
//! and asks with [`required`] for those it needs. GET has its arguments in the query string, every
//! other method in a JSON body.

use std::{fmt, str::FromStr};

use actix_web::{
    FromRequest, HttpRequest,
    body::{BodyStream, to_bytes_limited},
    dev::Payload,
    http::{Method, header},
};
use futures_util::future::LocalBoxFuture;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Visitor},
};
use serde_json::Value;
use serde_path_to_error::Segment;

use crate::refusal::Refusal;

/// The longest JSON body in bytes: long enough to read what is too long, and to say which field it was.
pub const LONGEST_BODY: usize = 64 << 20;

/// The arguments of a request.
#[derive(Debug)]
pub struct Args<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Args<T> {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if request.method() == Method::GET {
            let args = query(request.query_string()).map(Self);
            return Box::pin(async { args });
        }
        if let Err(refusal) = is_json(request) {
            return Box::pin(async { Err(refusal) });
        }
        let payload = payload.take();
        Box::pin(async move {
            let body = to_bytes_limited(BodyStream::new(payload), LONGEST_BODY)
                .await
                .map_err(|_| {
                    Refusal::invalid(format!("the body is longer than {LONGEST_BODY} bytes"))
                })?
                .map_err(|_| Refusal::invalid("the body broke off before its end"))?;
            decode(&body).map(Self)
        })
    }
}

/// A page elsewhere can have a browser post a form or a text here with its credentials, but no JSON.
fn is_json(request: &HttpRequest) -> Result<(), Refusal> {
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        return Ok(());
    }
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else {
        return Err(Refusal::invalid(
            "Bad Request. Content-Type header is missing: expected application/json.",
        ));
    };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::invalid("Bad Request. Content-Type must be one of ['application/json']."))
}

/// Reads a query string. Lists are repeated fields: `order_by=a&order_by=b`.
fn query<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    if let Ok(args) = serde_html_form::from_str(text) {
        return Ok(args);
    }
    let form = serde_html_form::Deserializer::from_bytes(text.as_bytes());
    let refused = match serde_path_to_error::deserialize::<_, T>(form) {
        Ok(args) => return Ok(args),
        Err(refused) => refused,
    };
    let name = refused.path().to_string();
    let fields: Vec<(String, String)> = serde_html_form::from_str(text).unwrap_or_default();
    let Some((_, value)) = fields.into_iter().find(|(field, _)| *field == name) else {
        return Err(Refusal::invalid(format!("the query string is wrong: {}", refused.inner())));
    };
    let shown = Value::String(value.chars().take(300).collect());
    let why = refused.inner();
    Err(Refusal::invalid(format!("Invalid value {shown} for parameter '{name}' supplied: {why}")))
}

/// Reads a JSON body. An empty one has no arguments.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    // Keeping account of where one is takes longer than reading: only who refuses needs to know.
    if let Ok(args) = serde_json::from_slice(body) {
        return Ok(args);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let Err(refused) = serde_path_to_error::deserialize::<_, T>(&mut json) else {
        // Something follows it.
        return Err(no_object());
    };
    match serde_json::from_slice::<Value>(body) {
        // Old clients send JSON in a JSON text.
        Ok(Value::String(inner)) => serde_json::from_str(&inner).map_err(|_| no_object()),
        Ok(sent @ Value::Object(_)) => Err(wrong_value(&sent, &refused)),
        _ => Err(no_object()),
    }
}

fn no_object() -> Refusal {
    Refusal::invalid("the body is not a JSON object: expected one, as {\"run_id\": \"…\"}")
}

/// Says which value was wrong, as MLflow's server says it.
fn wrong_value(sent: &Value, refused: &serde_path_to_error::Error<serde_json::Error>) -> Refusal {
    let path = refused.path();
    let value = path.iter().try_fold(sent, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let shown: String =
        value.map(ToString::to_string).unwrap_or_default().chars().take(300).collect();
    Refusal::invalid(format!(
        "Invalid value {shown} for parameter '{path}' supplied: {}",
        refused.inner()
    ))
}

/// An argument that must be there. An empty text is as good as none.
///
/// # Errors
/// It is not.
pub fn required<T: Argument>(value: Option<T>, name: &str) -> Result<T, Refusal> {
    value.filter(|value| !value.is_blank()).ok_or_else(|| {
        Refusal::invalid(format!(
            "Missing value for required parameter '{name}'. See the API docs for more information about request parameters."
        ))
    })
}

/// What can be asked for with [`required`].
pub trait Argument {
    /// Whether it is as good as absent.
    fn is_blank(&self) -> bool {
        false
    }
}

impl Argument for String {
    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl Argument for i64 {}
impl Argument for f64 {}
impl Argument for bool {}
impl<T> Argument for Vec<T> {}

/// `#[serde(default, deserialize_with = "request::number")]`: a number, or a text that is one, as
/// protobuf writes 64-bit integers; for `f64` also `"NaN"`, `"Infinity"` and `"-Infinity"`.
///
/// # Errors
/// Anything else.
pub fn number<'de, D: Deserializer<'de>, T: Number>(from: D) -> Result<Option<T>, D::Error> {
    Option::<Lenient<T>>::deserialize(from).map(|value| value.map(|value| value.0))
}

/// What [`number`] reads.
pub trait Number: Sized + FromStr {
    /// What was expected, for refusals.
    const EXPECTED: &'static str;
    /// From a whole number.
    fn from_i64(value: i64) -> Option<Self>;
    /// From a decimal.
    fn from_f64(value: f64) -> Option<Self>;
}

impl Number for i64 {
    const EXPECTED: &'static str = "a whole number of 64 bits";

    fn from_i64(value: i64) -> Option<Self> {
        Some(value)
    }

    #[expect(clippy::cast_possible_truncation, reason = "only whole numbers in range get here")]
    fn from_f64(value: f64) -> Option<Self> {
        (value.fract() == 0.0 && value.abs() < 9.0e15).then_some(value as Self)
    }
}

impl Number for f64 {
    const EXPECTED: &'static str = "a number, \"NaN\", \"Infinity\" or \"-Infinity\"";

    #[expect(clippy::cast_precision_loss, reason = "what a float can hold of it is what was meant")]
    fn from_i64(value: i64) -> Option<Self> {
        Some(value as Self)
    }

    fn from_f64(value: f64) -> Option<Self> {
        Some(value)
    }
}

struct Lenient<T>(T);

impl<'de, T: Number> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reads<T>(std::marker::PhantomData<T>);

        impl<T: Number> Visitor<'_> for Reads<T> {
            type Value = Lenient<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                T::from_i64(value)
                    .map(Lenient)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                i64::try_from(value)
                    .ok()
                    .and_then(T::from_i64)
                    .or_else(|| {
                        #[expect(clippy::cast_precision_loss, reason = "as for smaller numbers")]
                        T::from_f64(value as f64)
                    })
                    .map(Lenient)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                T::from_f64(value)
                    .map(Lenient)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                value
                    .parse()
                    .map(Lenient)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(value), &self))
            }
        }

        from.deserialize_any(Reads(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Point {
        #[serde(default, deserialize_with = "number")]
        step: Option<i64>,
        #[serde(default, deserialize_with = "number")]
        value: Option<f64>,
    }

    #[test]
    fn numbers_may_be_texts_and_floats_may_be_infinite() {
        let read = |json: &str| decode::<Point>(json.as_bytes());
        let point = read(r#"{"step": "9223372036854775807", "value": "NaN", "new": 1}"#).unwrap();
        assert_eq!(point.step, Some(i64::MAX));
        assert!(point.value.unwrap().is_nan());
        let point = read(r#"{"step": 3.0, "value": "-Infinity"}"#).unwrap();
        assert_eq!((point.step, point.value), (Some(3), Some(f64::NEG_INFINITY)));
        assert!(read(r#"{"step": null}"#).unwrap().step.is_none());
        assert!(read("").unwrap().value.is_none());
        for bad in [r#"{"step": 1.5}"#, r#"{"step": "x"}"#, r#"{"step": true}"#, "[1", "3"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let said = |json| read(json).unwrap_err().message;
        assert!(
            said(r#"{"step": "x"}"#)
                .starts_with(r#"Invalid value "x" for parameter 'step' supplied"#)
        );
        assert!(
            said(r#"{"value": [1]}"#)
                .starts_with("Invalid value [1] for parameter 'value' supplied")
        );
        assert!(said("[1").contains("not a JSON object"));
    }

    #[test]
    fn a_wrong_argument_of_a_query_is_named_with_its_value() {
        assert_eq!(query::<Point>("step=7&new=1").unwrap().step, Some(7));
        let refused = query::<Point>("value=1&step=x").unwrap_err().message;
        let begin = r#"Invalid value "x" for parameter 'step' supplied"#;
        assert!(refused.starts_with(begin), "{refused}");
    }

    #[test]
    fn json_in_a_json_text_is_read_too() {
        assert_eq!(decode::<Point>(br#""{\"step\": 7}""#).unwrap().step, Some(7));
        assert!(decode::<Point>(br#""no""#).is_err());
    }

    #[test]
    fn an_empty_text_is_as_good_as_none() {
        assert!(required(Some(String::new()), "key").is_err());
        assert!(required(None::<i64>, "step").unwrap_err().message.contains("'step'"));
        assert_eq!(required(Some(0), "step").unwrap(), 0);
    }
}
