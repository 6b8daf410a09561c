//! A quota of a period: what this process has leased of it.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use domain::{
    Problem, Timestamp,
    quota::{Key, Kind, Period, Spent},
};
use store::{Database, quotas};
use tokio::{sync::Mutex, time::timeout};

use super::{
    Meter,
    link::{Link, PATIENCE, Standing},
};

/// The most that is leased at a time, unless more is needed at once.
const LARGEST: u64 = 1_000;
/// A lease is at most that part of the limit, so that little of it lies idle.
const PART: u64 = 100;
/// How long a spent quota is taken for spent: more may have been granted.
const SPENT_FOR: Duration = Duration::from_secs(1);

pub(super) struct Count {
    pub(super) key: Key,
    pub(super) limit: u64,
    left: AtomicU64,
    /// When the period ends that it was leased in, in milliseconds since 1970.
    ends_at: AtomicI64,
    ledger: Mutex<Ledger>,
}

#[derive(Default, Clone, Copy)]
struct Ledger {
    /// Used while the database was away.
    owed: u64,
    /// Until then the quota is taken for spent, at that use.
    spent: Option<(u64, u64)>,
}

impl Count {
    pub(super) fn new(key: Key, limit: u64) -> Self {
        let (left, ends_at) = (AtomicU64::new(0), AtomicI64::new(0));
        Self { key, limit, left, ends_at, ledger: Mutex::default() }
    }

    /// Goes on with what another one of the same quota has left and owes.
    pub(super) fn take_over(&self, old: &Self) {
        self.left.store(old.left.swap(0, Relaxed), Relaxed);
        self.ends_at.store(old.ends_at.load(Relaxed), Relaxed);
        if let (Ok(mut new), Ok(mut old)) = (self.ledger.try_lock(), old.ledger.try_lock()) {
            new.owed = std::mem::take(&mut old.owed);
        }
    }

    fn period(&self) -> Period {
        match self.key.kind() {
            Kind::Period(period) => period,
            Kind::Objects | Kind::Rate | Kind::Share | Kind::Absent => Period::Day,
        }
    }

    /// Uses `amount` of the last lease, if so much is left.
    pub(super) fn has(&self, now: Timestamp, amount: u64) -> bool {
        let take = |left: u64| left.checked_sub(amount);
        amount == 0
            || now.timestamp_millis() < self.ends_at.load(Relaxed)
                && self.left.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Uses `amount`, of which not so much was left.
    pub(super) async fn take(
        &self,
        link: &Link,
        database: &Database,
        meter: &Meter,
        amount: u64,
    ) -> Result<(), Problem> {
        let mut ledger = self.ledger.lock().await;
        let now = database.now();
        if self.has(now, amount) {
            return Ok(());
        }
        if let Standing::Here = link.standing()? {
            if let Some((until, used)) = ledger.spent.filter(|(until, _)| link.now() < *until) {
                let _ = until;
                return Err(self.refusal(meter, now, used));
            }
            if let Some(result) = self.lease(&mut ledger, link, database, meter, amount).await {
                return result;
            }
        }
        link.standing()?;
        ledger.owed = ledger.owed.saturating_add(amount);
        Ok(())
    }

    /// Leases at least `amount`, and uses it; absent if the database is away.
    async fn lease(
        &self,
        ledger: &mut Ledger,
        link: &Link,
        database: &Database,
        meter: &Meter,
        amount: u64,
    ) -> Option<Result<(), Problem>> {
        let (now, period) = (database.now(), self.period());
        let ends_at = period.end(now);
        if self.ends_at.swap(ends_at.timestamp_millis(), Relaxed) != ends_at.timestamp_millis() {
            // What was left of the last period is of no use in this one.
            self.left.store(0, Relaxed);
        }
        let left = self.left.swap(0, Relaxed);
        let chunk = (self.limit / PART).clamp(1, LARGEST);
        let want = amount.saturating_sub(left).max(chunk);
        let owed = i64::try_from(ledger.owed).unwrap_or(i64::MAX);
        let start = period.start(now);
        let asked =
            quotas::lease_count(database, meter.id, self.key, start, self.limit, want, owed);
        let Ok(Ok(leased)) = timeout(PATIENCE, asked).await else {
            link.lost();
            self.left.fetch_add(left, Relaxed);
            return None;
        };
        link.back();
        *ledger = Ledger::default();
        let has = left.saturating_add(leased.granted);
        Some(match has.checked_sub(amount) {
            Some(rest) => {
                self.left.fetch_add(rest, Relaxed);
                Ok(())
            }
            None => {
                self.left.fetch_add(has, Relaxed);
                let used = leased.used.saturating_sub(has);
                let until = u64::try_from(SPENT_FOR.as_nanos()).unwrap_or_default();
                ledger.spent = Some((link.now().saturating_add(until), used));
                Err(self.refusal(meter, now, used))
            }
        })
    }

    fn refusal(&self, meter: &Meter, now: Timestamp, used: u64) -> Problem {
        Spent {
            subject: meter.subject.to_string(),
            quota: self.key,
            limit: self.limit,
            used,
            resets_at: Some(self.period().end(now)),
            pace: None,
        }
        .refusal()
    }

    /// Gives back what is left, if it is still of this period, and counts what is owed.
    pub(super) async fn give_back(&self, database: &Database, meter: &Meter) {
        let (now, mut ledger) = (database.now(), self.ledger.lock().await);
        let left = self.left.swap(0, Relaxed);
        let is_fresh = now.timestamp_millis() < self.ends_at.load(Relaxed);
        let left = if is_fresh { left } else { 0 };
        let owed = i64::try_from(ledger.owed).unwrap_or(i64::MAX);
        let owed = owed.saturating_sub_unsigned(left);
        if owed != 0 {
            let start = self.period().start(now);
            let told =
                quotas::lease_count(database, meter.id, self.key, start, self.limit, 0, owed);
            if !matches!(timeout(PATIENCE, told).await, Ok(Ok(_))) {
                tracing::warn!(quota = %self.key, subject = %meter.subject, "a lease could not be given back");
            }
        }
        *ledger = Ledger::default();
    }
}
