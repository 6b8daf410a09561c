//! One try of one delivery: signed, sent, and what to make of the answer.

use std::error::Error as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{DeliveryId, Timestamp, WebhookId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;
use store::webhooks::deliveries::Outcome;

use crate::State;

/// How often a delivery is tried.
pub(crate) const TRIES: i32 = 10;
/// How much of an answer is read.
const LONGEST_ANSWER: usize = 4096;
/// The longest pause that a receiver may ask for.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(24);

const DELIVERY_ID: &str = "x-mlflow-delivery-id";
const TIMESTAMP: &str = "x-mlflow-timestamp";
const SIGNATURE: &str = "x-mlflow-signature";

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The beginning of the body.
    pub(crate) body: String,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<TimeDelta>,
}

/// Sends a body once. What is wrong is told in words without secrets, and without the URL, which may
/// hold one.
pub(crate) async fn send(
    state: &State,
    to: (WebhookId, &str),
    sealed: Option<&[u8]>,
    id: DeliveryId,
    body: &Value,
) -> Result<Answer, String> {
    let (webhook, url) = to;
    let url = state.guard.check(url).await.map_err(|problem| problem.message)?;
    let body = body.to_string();
    let id = id.to_string();
    let timestamp = state.database.now().timestamp().to_string();
    let mut request = state
        .http
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(DELIVERY_ID, &id)
        .header(TIMESTAMP, &timestamp);
    if let Some(sealed) = sealed {
        let secret = state.vault.open(webhook.0.as_bytes(), sealed).ok_or(
            "the secret cannot be read: the platform's secret key is another one; set the secret again",
        )?;
        request = request.header(SIGNATURE, sign(&secret, &id, &timestamp, &body));
    }
    let mut response = request.body(body).send().await.map_err(|error| cause(&error))?;
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), state.database.now());
    let mut answer = Vec::new();
    while answer.len() < LONGEST_ANSWER {
        // The status is the answer; a body that breaks off takes nothing from it.
        let Ok(Some(chunk)) = response.chunk().await else { break };
        answer.extend_from_slice(&chunk);
    }
    answer.truncate(LONGEST_ANSWER);
    let body = String::from_utf8_lossy(&answer).replace('\0', "");
    Ok(Answer { status, body, retry_after })
}

/// What `Retry-After` says, in seconds or as a date; nothing where it says neither.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<TimeDelta> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number takes are a long time too.
        text.parse().ok().and_then(TimeDelta::try_seconds).unwrap_or(LONGEST_PAUSE)
    } else {
        DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc) - now
    };
    Some(pause.clamp(TimeDelta::zero(), LONGEST_PAUSE))
}

/// `v1,` and the Base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`.
fn sign(secret: &SecretString, id: &str, timestamp: &str, body: &str) -> String {
    // HMAC takes keys of any length: this cannot fail, and if it did, no signature would match.
    let signature = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .map(|mut mac| {
            mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        })
        .unwrap_or_default();
    format!("v1,{signature}")
}

/// The innermost cause, which is the one that says something.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| "the request could not be sent".to_owned(), ToString::to_string)
}

/// What becomes of a delivery after its try number `attempt`. `chance`, 0 to 1, spreads the next
/// tries of many.
pub(crate) fn judge(
    answer: &Result<Answer, String>,
    attempt: i32,
    now: Timestamp,
    chance: f64,
) -> (Outcome, Option<String>) {
    let mut asked = None;
    let (transient, error) = match answer {
        Ok(Answer { status: 200..=299, .. }) => return (Outcome::Delivered, None),
        Ok(Answer { status: status @ 300..=399, .. }) => {
            (false, format!("the receiver answered {status}: redirects are not followed"))
        }
        Ok(Answer { status, retry_after, .. }) => {
            let transient = matches!(status, 408 | 425 | 429 | 500..);
            asked = retry_after.filter(|_| matches!(status, 429 | 503));
            (transient, format!("the receiver answered {status}"))
        }
        Err(error) => (true, error.clone()),
    };
    let outcome = if transient && attempt < TRIES {
        // Who asks to be left alone for less gets the usual pause: tries are few.
        Outcome::Retry(now + pause(attempt, chance).max(asked.unwrap_or_default()))
    } else {
        Outcome::Dead
    };
    (outcome, Some(error))
}

/// 10 s, 40 s, … and from the seventh on 6 h, each up to a fifth shorter or longer.
fn pause(attempt: i32, chance: f64) -> TimeDelta {
    let power = u32::try_from(attempt.clamp(1, 8) - 1).unwrap_or_default();
    let seconds = f64::from(10 * 4_u32.pow(power)).min(21_600.0) * (0.8 + 0.4 * chance);
    #[expect(clippy::cast_possible_truncation, reason = "less than eight hours")]
    TimeDelta::milliseconds((seconds * 1000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_mlflows_documentation_verifies() {
        // hmac.new(b"hush", b"id.1700000000.{}", sha256), by Python.
        let signature = sign(&"hush".to_owned().into(), "id", "1700000000", "{}");
        assert_eq!(signature, "v1,qdtxxVvrfdwYILHv96ewQy8f2NH64kvg5epIaAq1VYY=");
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_refused_is_not() {
        let now = Timestamp::UNIX_EPOCH;
        let status = |status, attempt| {
            let answer = Answer { status, body: String::new(), retry_after: None };
            judge(&Ok(answer), attempt, now, 0.5).0
        };
        for code in [200, 201, 204, 299] {
            assert_eq!(status(code, 1), Outcome::Delivered, "{code}");
        }
        for code in [301, 302, 307, 400, 401, 403, 404, 410, 422] {
            assert_eq!(status(code, 1), Outcome::Dead, "{code}");
        }
        for code in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(status(code, 1), Outcome::Retry(now + TimeDelta::seconds(10)), "{code}");
            assert_eq!(status(code, TRIES), Outcome::Dead, "{code}");
        }
        let lost = judge(&Err("connection refused".to_owned()), 2, now, 0.5);
        assert_eq!(lost.0, Outcome::Retry(now + TimeDelta::seconds(40)));
        assert_eq!(lost.1.as_deref(), Some("connection refused"));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_but_not_for_more_than_a_day() {
        let now = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let next = |status, text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            let retry_after = retry_after(&headers, now);
            let answer = Answer { status, body: String::new(), retry_after };
            let outcome = judge(&Ok(answer), 1, now, 0.5).0;
            let Outcome::Retry(at) = outcome else { panic!("{outcome:?}") };
            (at - now).num_seconds()
        };
        let usual = 10;
        for status in [429, 503] {
            assert_eq!(next(status, "120"), 120);
            assert_eq!(next(status, " 120 "), 120);
            // 600 s later than now, by Python's email.utils.format_datetime.
            assert_eq!(next(status, "Tue, 14 Nov 2023 22:23:20 GMT"), 600);
            assert_eq!(next(status, "Fri, 31 Dec 9999 23:59:59 GMT"), 86_400);
            assert_eq!(next(status, "99999999999999999999999999"), 86_400);
            for unheard in ["0", "3", "Tue, 14 Nov 2023 22:00:00 GMT", "-5", "1.5", "soon", ""] {
                assert_eq!(next(status, unheard), usual, "{unheard}");
            }
        }
        assert_eq!(next(500, "120"), usual, "only who is overloaded may ask");
    }

    #[test]
    fn tries_span_about_a_day() {
        let total = |chance| {
            (1..TRIES).map(|attempt| pause(attempt, chance)).fold(TimeDelta::zero(), |a, b| a + b)
        };
        assert!(total(0.0) > TimeDelta::hours(16), "{}", total(0.0));
        assert!(total(1.0) < TimeDelta::hours(30), "{}", total(1.0));
    }
}
