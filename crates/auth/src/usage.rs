//! What was used, by whom, and what it costs.

use std::{collections::BTreeMap, time::Duration};

use chrono::NaiveDate;
use domain::{
    Problem, Resource, Streak,
    access::{Subject, SubjectKind},
};
use serde_json::json;
use store::{
    Change, Database,
    usage::{self, COLUMNS, Filter, Prices, Total},
};
use tokio_util::sync::CancellationToken;

use crate::{Access, Caller, Permit, quotas::may_see, verbs};

/// How often the bytes that each subject has are looked at.
const SAMPLE: Duration = Duration::from_secs(3_600);

/// What may have a price.
pub const UNITS: [&str; 6] =
    ["requests", "rows", "cpu_seconds", "bytes_in", "bytes_out", "artifact_byte_days"];

/// Which use is asked for.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Whose: an account's, or of what a team owns; absent: of all.
    pub subject: Option<Subject>,
    /// From which day on.
    pub since: Option<NaiveDate>,
    /// Before which day.
    pub until: Option<NaiveDate>,
    /// Of which model.
    pub model: Option<String>,
    /// Through which endpoint.
    pub endpoint: Option<String>,
    /// What it is told apart by; the rest is summed up.
    pub by: Vec<String>,
}

/// Sums up use: one's own, that of what one's teams own, or as an administrator any.
///
/// # Errors
/// The caller may not see it; a column that there is none of; the database is away.
pub async fn totals(
    access: &Access,
    database: &Database,
    caller: &Caller,
    question: &Question,
    (offset, limit): (i64, i64),
) -> Result<Vec<Total>, Problem> {
    if let Some(other) = question.by.iter().find(|column| !COLUMNS.contains(&column.as_str())) {
        let message = format!("`{other}`: expected one or more of {}", COLUMNS.join(", "));
        return Err(Problem::invalid("by", message));
    }
    let mut filter = Filter {
        since: question.since,
        until: question.until,
        model: question.model.clone(),
        endpoint: question.endpoint.clone(),
        ..Filter::default()
    };
    match &question.subject {
        None => {
            access.authorize::<verbs::Administer>(caller, Resource::Platform).await?;
        }
        Some(subject) => {
            may_see(access, database, caller, subject).await?;
            match subject.kind {
                SubjectKind::Team => filter.team = Some(subject.name.clone()),
                SubjectKind::User | SubjectKind::Service => {
                    filter.subject = Some(subject.to_string());
                }
                SubjectKind::Group => {
                    let message = format!("`{subject}`: use is of users, services and teams");
                    return Err(Problem::invalid("subject", message));
                }
            }
        }
    }
    Ok(usage::totals(database, &filter, &question.by, offset, limit).await?)
}

/// What use costs, if anything: everybody may know.
///
/// # Errors
/// The database is away.
pub async fn prices(database: &Database) -> Result<Option<Prices>, Problem> {
    Ok(usage::prices(database).await?)
}

/// Sets what use costs: all prices at once, so that they are of one currency.
///
/// # Errors
/// A unit that there is none of, a price that is none; the database is away.
pub async fn set_prices(
    database: &Database,
    permit: &Permit<verbs::Administer>,
    currency: &str,
    units: &BTreeMap<String, String>,
) -> Result<Option<Prices>, Problem> {
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let message = format!("`{currency}`: expected three capitals, like EUR");
        return Err(Problem::invalid("currency", message));
    }
    for (unit, price) in units {
        if !UNITS.contains(&unit.as_str()) {
            let message = format!("`{unit}`: expected one of {}", UNITS.join(", "));
            return Err(Problem::invalid(format!("prices.{unit}"), message));
        }
        if !is_price(price) {
            let message = format!(
                "`{price}`: expected a decimal number of at most 12 digits before and 18 behind the point, like 0.00025"
            );
            return Err(Problem::invalid(format!("prices.{unit}"), message));
        }
    }
    let before = usage::prices(database).await?.map(|prices| json!(prices.units));
    let mut change = Change::begin(database).await?;
    usage::set_prices(&mut change, currency, units, permit.actor()).await?;
    let detail = json!({"currency": currency});
    let event =
        permit.event("prices.changed", detail).changed(before.as_ref(), Some(&json!(units)));
    change.commit(&event).await?;
    prices(database).await
}

fn is_price(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str, most: usize| {
        (1..=most).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_number(whole, 12) && is_number(part, 18)
}

/// Looks at how many bytes each subject has, until told to stop. Any number of processes may.
pub async fn sample_forever(database: &Database, stop: CancellationToken) {
    let mut away = Streak::default();
    loop {
        match usage::sample_artifacts(database).await {
            Ok(()) => drop(away.ended()),
            Err(error) => {
                away.failed();
                if away.is_news() {
                    tracing::warn!(%error, "what files take up cannot be noted");
                }
            }
        }
        if stop.run_until_cancelled(tokio::time::sleep(SAMPLE)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_a_plain_decimal_number() {
        for price in ["0", "1", "0.00025", "123456789012.123456789012345678"] {
            assert!(is_price(price), "{price}");
        }
        for wrong in [
            "",
            "-1",
            "1e3",
            "NaN",
            ".5",
            "5.",
            "1,5",
            "1.2.3",
            "1234567890123",
            "0.1234567890123456789",
        ] {
            assert!(!is_price(wrong), "{wrong}");
        }
    }
}
