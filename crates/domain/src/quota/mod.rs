//! Quotas: how much of what a subject may have, and how fast.

mod amount;
mod bucket;
mod spent;
mod tenant;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use amount::Amount;
pub use bucket::{Bucket, Lease};
pub use spent::{Pace, Spent};
pub use tenant::Tenant;

use crate::{Problem, Timestamp, version::words};

words! {
    /// What a quota limits.
    Key, "quota" {
        /// Models, deleted ones too until they are purged.
        Models = "models",
        /// Versions of models, deleted ones too until they are purged.
        Versions = "versions",
        /// Bytes of the files of versions, each version counted whole.
        ArtifactBytes = "artifact_bytes",
        /// Endpoints.
        Endpoints = "endpoints",
        /// Versions that endpoints have loaded on each gateway.
        Replicas = "replicas",
        /// Cores that replicas may use.
        Cpu = "cpu",
        /// Memory that replicas may use.
        MemoryBytes = "memory_bytes",
        /// Requests a second.
        RequestsPerSecond = "requests_per_second",
        /// Requests that may come at once.
        Burst = "burst",
        /// Requests for a prediction in a calendar month.
        PredictionsPerMonth = "predictions_per_month",
        /// Rows that are captured in a day.
        CapturedRowsPerDay = "captured_rows_per_day",
        /// Points of metrics that are logged in a day.
        TrackingPointsPerDay = "tracking_points_per_day",
        /// How large a share of what is busy, beside others'.
        Weight = "weight",
    }
}

/// How a quota is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is there is counted in the transaction that adds to it.
    Objects,
    /// A token bucket.
    Rate,
    /// What flows is counted from the beginning of a period.
    Period(Period),
    /// No limit, but a share where there is not enough for all.
    Share,
    /// It cannot be set yet.
    Absent,
}

impl Key {
    /// How it is kept.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Models
            | Self::Versions
            | Self::ArtifactBytes
            | Self::Endpoints
            | Self::Replicas => Kind::Objects,
            Self::RequestsPerSecond | Self::Burst => Kind::Rate,
            Self::PredictionsPerMonth => Kind::Period(Period::Month),
            Self::CapturedRowsPerDay | Self::TrackingPointsPerDay => Kind::Period(Period::Day),
            Self::Weight => Kind::Share,
            Self::Cpu | Self::MemoryBytes => Kind::Absent,
        }
    }

    /// What holds where nobody set anything.
    #[must_use]
    pub const fn unset(self) -> Amount {
        match self.kind() {
            Kind::Share => Amount::AtMost(1),
            Kind::Objects | Kind::Rate | Kind::Period(_) | Kind::Absent => Amount::Unlimited,
        }
    }

    /// Whether its values are bytes.
    #[must_use]
    pub const fn is_bytes(self) -> bool {
        matches!(self, Self::ArtifactBytes | Self::MemoryBytes)
    }
}

/// After what a count begins anew, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Period {
    /// When the period began that this instant is in.
    #[must_use]
    pub fn start(self, now: Timestamp) -> Timestamp {
        use chrono::{Datelike as _, NaiveTime};
        let day = now.date_naive();
        let first = match self {
            Self::Day => day,
            Self::Month => day.with_day(1).unwrap_or(day),
        };
        first.and_time(NaiveTime::MIN).and_utc()
    }

    /// When the next one begins.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Timestamp {
        use chrono::{Days, Months};
        let start = self.start(now);
        let next = match self {
            Self::Day => start.checked_add_days(Days::new(1)),
            Self::Month => start.checked_add_months(Months::new(1)),
        };
        next.unwrap_or(Timestamp::MAX_UTC)
    }
}

/// Whom limits are set for: a subject, or all of a kind that have none of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// One subject.
    Subject(crate::access::Subject),
    /// `default:user`, `default:team`, `default:service`.
    Default(crate::access::SubjectKind),
}

impl Holder {
    const fn kind(&self) -> crate::access::SubjectKind {
        match self {
            Self::Subject(subject) => subject.kind,
            Self::Default(kind) => *kind,
        }
    }
}

impl FromStr for Holder {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        match text.strip_prefix("default:") {
            Some(kind) => crate::access::SubjectKind::parse(kind).map(Self::Default),
            None => text.parse().ok().map(Self::Subject),
        }
        // What a group's members have and send is theirs.
        .filter(|holder| holder.kind() != crate::access::SubjectKind::Group)
        .ok_or_else(|| {
            let message = format!(
                "`{text}`: expected user:NAME, team:NAME, service:NAME, or default:user, default:team or default:service"
            );
            Problem::invalid("subject", message)
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Default(kind) => write!(f, "default:{}", kind.as_str()),
        }
    }
}

words! {
    /// How far a request for more has come.
    RequestState, "state" {
        /// Nobody has decided.
        Open = "open",
        /// An administrator gave it.
        Granted = "granted",
        /// An administrator did not.
        Refused = "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_at_midnight_and_end_where_the_next_begins() {
        for (now, day, month) in [
            ("2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02-29T12:00:00Z", "2028-03-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2026-01-31T12:00:00Z", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"),
        ] {
            let now: Timestamp = now.parse().unwrap();
            let ends = [Period::Day, Period::Month].map(|period| {
                assert!(period.start(now) <= now && now < period.end(now));
                assert_eq!(period.start(period.end(now)), period.end(now));
                period.end(now)
            });
            let parsed: [Timestamp; 2] = [day, month].map(|at| at.parse().unwrap());
            assert_eq!(ends, parsed);
        }
        assert_eq!(Period::Month.end(Timestamp::MAX_UTC), Timestamp::MAX_UTC);
    }

    #[test]
    fn a_holder_is_a_subject_or_a_kind() {
        for text in ["user:ana", "team:fraud", "service:ci", "default:user", "default:team"] {
            assert_eq!(text.parse::<Holder>().unwrap().to_string(), text);
        }
        for wrong in ["default:system", "default:", "ana", "system:start", ""] {
            assert_eq!(wrong.parse::<Holder>().unwrap_err().field.as_deref(), Some("subject"));
        }
    }
}
