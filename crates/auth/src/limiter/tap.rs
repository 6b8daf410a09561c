//! The rate of one subject: what this process has leased of its token bucket.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use domain::{
    Problem,
    quota::{Bucket, Key, Lease, Pace, Spent},
};
use store::{Database, quotas};
use tokio::{sync::Mutex, time::timeout};

use super::{
    Meter,
    link::{Link, PATIENCE, Standing},
};

/// After an empty bucket nobody asks again sooner, but for small buckets: tokens that flow in are
/// leased together.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);

pub(super) struct Tap {
    bucket: Bucket,
    /// What is left of the last lease, which is good until then.
    tokens: AtomicU64,
    good_until: AtomicU64,
    /// Until then asking for more is of no use.
    dry_until: AtomicU64,
    /// How many requests wait for a lease.
    waiting: AtomicU64,
    history: Mutex<History>,
}

/// What the last leases were. Whoever holds it asks for all.
#[derive(Default)]
struct History {
    /// Tokens a second; absent before the first lease.
    rate: Option<f64>,
    leased_at: u64,
    /// What is gone by while the database is away.
    alone: Option<(Lease, u64)>,
}

/// Counts a request that waits, for as long as it does.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Tap {
    pub(super) fn new(bucket: Bucket) -> Self {
        Self {
            bucket,
            tokens: AtomicU64::new(0),
            good_until: AtomicU64::new(0),
            dry_until: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            history: Mutex::default(),
        }
    }

    pub(super) fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// Takes a token of the last lease, if one is left.
    pub(super) fn take(&self, now: u64) -> bool {
        let one = |tokens: u64| tokens.checked_sub(1);
        now < self.good_until.load(Relaxed)
            && self.tokens.fetch_update(Relaxed, Relaxed, one).is_ok()
    }

    /// How long it is of no use to ask.
    fn dry(&self, now: u64) -> Option<Duration> {
        let left = self.dry_until.load(Relaxed).checked_sub(now)?;
        Some(Duration::from_nanos(left))
    }

    /// Lets one request through for which no token was left.
    pub(super) async fn wait(
        &self,
        link: &Link,
        database: &Database,
        meter: &Meter,
    ) -> Result<(), Problem> {
        if self.bucket.rate == 0 {
            return Err(self.refusal(meter, Duration::from_secs(60)));
        }
        let _waiting = Waiting::begin(&self.waiting);
        let mut history = self.history.lock().await;
        let now = link.now();
        if self.take(now) {
            return Ok(());
        }
        if let Standing::Here = link.standing()? {
            if let Some(wait) = self.dry(now) {
                return Err(self.refusal(meter, wait));
            }
            if let Some(result) = self.lease(&mut history, link, database, meter).await {
                return result;
            }
        }
        match link.standing()? {
            Standing::Here | Standing::Open => Ok(()),
            Standing::Alone => self.alone(&mut history, link.now(), meter),
        }
    }

    /// Leases for all who wait, and takes one; absent if the database is away.
    async fn lease(
        &self,
        history: &mut History,
        link: &Link,
        database: &Database,
        meter: &Meter,
    ) -> Option<Result<(), Problem>> {
        let bucket = self.bucket;
        let want = bucket.lease().max(self.waiting.load(Relaxed)).min(bucket.burst);
        let left = self.tokens.swap(0, Relaxed);
        let asked = quotas::lease_tokens(database, meter.id, bucket, want, left);
        let Ok(Ok(leased)) = timeout(PATIENCE, asked).await else {
            link.lost();
            return None;
        };
        link.back();
        let now = link.now();
        history.note(bucket, leased.granted, want, now);
        if leased.granted < want {
            let gather = bucket.burst as f64 / 2.0 / bucket.rate as f64;
            let gather = Duration::try_from_secs_f64(gather).unwrap_or(SHORTEST_WAIT);
            let wait = leased.until_next.max(SHORTEST_WAIT.min(gather));
            self.dry_until.store(after(now, wait), Relaxed);
        }
        match leased.granted.checked_sub(1) {
            None => Some(Err(self.refusal(meter, leased.until_next))),
            Some(more) => {
                self.good_until.store(after(now, Bucket::LEASE), Relaxed);
                self.tokens.store(more, Relaxed);
                Some(Ok(()))
            }
        }
    }

    /// Goes on at the rate of the last leases; where there was none, at the whole rate.
    fn alone(&self, history: &mut History, now: u64, meter: &Meter) -> Result<(), Problem> {
        let rate = history.rate.unwrap_or(self.bucket.rate as f64);
        let (lease, at) = history.alone.unwrap_or((Lease { rate, tokens: 1.0 }, now));
        let mut lease = lease.after(Duration::from_nanos(now.saturating_sub(at)));
        let has = lease.take();
        history.alone = Some((lease, now));
        if has {
            return Ok(());
        }
        let wait = (1.0 - lease.tokens) / rate.max(f64::MIN_POSITIVE);
        Err(self.refusal(meter, Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)))
    }

    fn refusal(&self, meter: &Meter, retry_after: Duration) -> Problem {
        // Nobody is told to come back in a year.
        let retry_after = retry_after.min(Duration::from_secs(3_600));
        Spent {
            subject: meter.subject.to_string(),
            quota: Key::RequestsPerSecond,
            limit: self.bucket.rate,
            used: self.bucket.rate,
            resets_at: None,
            pace: Some(Pace { retry_after, burst: self.bucket.burst }),
        }
        .refusal()
    }
}

impl History {
    /// Notes what was leased, so that it can go on so.
    fn note(&mut self, bucket: Bucket, granted: u64, want: u64, now: u64) {
        let since = Duration::from_nanos(now.saturating_sub(self.leased_at));
        // A lease that was granted whole says no more than that its rate was not too high.
        let over =
            if granted == want { Bucket::LEASE } else { since.clamp(SHORTEST_WAIT, Bucket::LEASE) };
        let rate = (granted as f64 / over.as_secs_f64()).min(bucket.rate as f64);
        self.rate = Some(self.rate.map_or(rate, |before| 0.8 * before + 0.2 * rate));
        self.leased_at = now;
        self.alone = None;
    }
}

fn after(now: u64, wait: Duration) -> u64 {
    now.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX))
}
