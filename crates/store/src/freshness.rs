//! How long what was read of models may be answered out of memory.
//!
//! Until it is changed by this process, which [`Change`](crate::Change) tells before its writer is
//! answered; until another process's notice of a change arrives; for a few seconds at most; and not
//! at all while notices may be missed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    slice,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::Resource;

/// Changes are counted in so many places; a model's name picks one, and shares it with others.
const PLACES: usize = 256;
/// How long an answer may be repeated although nobody told of a change.
const LIFE: Duration = Duration::from_secs(5);
/// How long notices count as heard after a sign of life of the connection that they come by.
const GRACE: Duration = Duration::from_secs(2);
/// The longest name that goes into a notice, in bytes; Postgres takes 8,000 in all.
const LONGEST: usize = 4096;

/// What a database's readers may remember.
pub struct Freshness {
    began: Instant,
    /// How many changes there were.
    changes: [AtomicU64; PLACES],
    /// Until when notices count as heard.
    heard_until: AtomicU64,
}

/// When something was read of a model.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    place: usize,
    changes: u64,
    until: u64,
}

impl Default for Freshness {
    /// Nothing holds until notices are heard.
    fn default() -> Self {
        Self {
            began: Instant::now(),
            changes: [const { AtomicU64::new(0) }; PLACES],
            heard_until: AtomicU64::new(0),
        }
    }
}

impl Freshness {
    /// To be taken before something is read of the model of that name, or of what it lacks.
    #[must_use]
    pub fn mark(&self, model: &str) -> Mark {
        let place = place(model);
        let until = self.millis(Instant::now() + LIFE);
        Mark { place, changes: self.changes[place].load(Ordering::Acquire), until }
    }

    /// Whether what was read after that mark still holds. It asks no more than memory.
    #[must_use]
    pub fn holds(&self, mark: Mark) -> bool {
        let now = self.millis(Instant::now());
        now < mark.until
            && now < self.heard_until.load(Ordering::Acquire)
            && self.changes[mark.place].load(Ordering::Acquire) == mark.changes
    }

    /// Whether notices count as heard now: then, and then only, can a mark hold.
    #[must_use]
    pub fn is_hearing(&self) -> bool {
        self.millis(Instant::now()) < self.heard_until.load(Ordering::Acquire)
    }

    /// All notices of changes that ended before `at` have been heard.
    pub(crate) fn heard(&self, at: Instant) {
        self.heard_until.store(self.millis(at + GRACE), Ordering::Release);
    }

    /// Notices may be missed from now on.
    pub(crate) fn deaf(&self) {
        self.heard_until.store(0, Ordering::Release);
    }

    pub(crate) fn touch(&self, touched: &Touched) {
        let touched = match touched {
            Touched::Nothing => &[],
            Touched::Model(name) => slice::from_ref(&self.changes[place(name)]),
            Touched::Everything => &self.changes[..],
        };
        for changes in touched {
            changes.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

fn place(model: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    model.hash(&mut hasher);
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
    let hash = hasher.finish() as usize;
    hash % PLACES
}

/// What a change may have altered of that which readers remember of models.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Touched {
    #[default]
    Nothing,
    /// One model, its versions and aliases.
    Model(String),
    Everything,
}

impl Touched {
    /// Adds what a change of that resource may alter.
    pub fn add(&mut self, resource: &Resource) {
        match resource {
            Resource::Model(name) => match self {
                Self::Nothing => *self = Self::Model(name.clone()),
                Self::Model(other) if other == name => {}
                Self::Model(_) | Self::Everything => *self = Self::Everything,
            },
            // Settings are part of what is told of a version; a team has models.
            Resource::Platform | Resource::Team(_) => *self = Self::Everything,
            Resource::Endpoint(_) | Resource::Experiment(_) => {}
        }
    }

    /// How a notice says it.
    pub fn notice(&self) -> String {
        match self {
            Self::Nothing => "-".to_owned(),
            Self::Model(name) if name.len() <= LONGEST => format!("model:{name}"),
            Self::Model(_) | Self::Everything => String::new(),
        }
    }

    /// What a notice says; one that says nothing may be about anything.
    pub fn of_notice(notice: &str) -> Self {
        match notice.strip_prefix("model:") {
            Some(name) => Self::Model(name.to_owned()),
            None if notice == "-" => Self::Nothing,
            None => Self::Everything,
        }
    }
}

/// A change that is being committed. What it touches is forgotten when this is dropped: also where
/// nobody waits for the end any more, or the end is not known.
pub(crate) struct Committing {
    pub freshness: Arc<Freshness>,
    pub touched: Touched,
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.freshness.touch(&self.touched);
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn hearing() -> Freshness {
        let freshness = Freshness::default();
        freshness.heard(Instant::now() + Duration::from_secs(60));
        freshness
    }

    #[test]
    fn nothing_holds_unless_notices_are_heard() {
        let freshness = Freshness::default();
        let mark = freshness.mark("fraud");
        assert!(!freshness.holds(mark));
        freshness.heard(Instant::now() + Duration::from_secs(60));
        assert!(freshness.is_hearing() && freshness.holds(mark));
        freshness.deaf();
        assert!(!freshness.is_hearing() && !freshness.holds(mark));
    }

    #[test]
    fn an_old_sign_of_life_is_none() {
        let freshness = Freshness::default();
        let Some(before) = freshness.began.checked_sub(GRACE) else { return };
        freshness.heard(before);
        assert!(!freshness.is_hearing());
    }

    #[test]
    fn what_was_read_before_a_change_ended_does_not_hold_after_it() {
        let freshness = hearing();
        let mark = freshness.mark("fraud");
        freshness.touch(&Touched::Nothing);
        assert!(freshness.holds(mark));
        freshness.touch(&Touched::Model("fraud".to_owned()));
        assert!(!freshness.holds(mark));
        let mark = freshness.mark("fraud");
        freshness.touch(&Touched::Everything);
        assert!(!freshness.holds(mark));
        assert!(freshness.holds(freshness.mark("fraud")));
    }

    #[test]
    fn a_change_of_one_model_leaves_most_others_alone() {
        let freshness = hearing();
        let marks: Vec<_> = (0..1000).map(|n| freshness.mark(&format!("model {n}"))).collect();
        freshness.touch(&Touched::Model("model 7".to_owned()));
        assert!(!freshness.holds(marks[7]));
        assert!(marks.into_iter().filter(|mark| !freshness.holds(*mark)).count() < 50);
    }

    #[test]
    fn an_answer_lives_for_some_seconds_only() {
        let freshness = hearing();
        let mark = Mark { until: freshness.millis(Instant::now()), ..freshness.mark("fraud") };
        assert!(!freshness.holds(mark));
    }

    #[test]
    fn a_change_is_told_by_the_resources_of_its_events() {
        let touched = |resources: &[Resource]| {
            let mut touched = Touched::default();
            resources.iter().for_each(|resource| touched.add(resource));
            assert_eq!(Touched::of_notice(&touched.notice()), touched);
            touched
        };
        let model = |name: &str| Resource::Model(name.to_owned());
        let (endpoint, one) = (Resource::Endpoint("fraud".to_owned()), "fraud".to_owned());
        assert_eq!(touched(&[]), Touched::Nothing);
        assert_eq!(touched(from_ref(&endpoint)), Touched::Nothing);
        assert_eq!(touched(&[Resource::Experiment("0".to_owned())]), Touched::Nothing);
        assert_eq!(touched(&[model("fraud"), endpoint, model("fraud")]), Touched::Model(one));
        assert_eq!(touched(&[model("fraud"), model("churn")]), Touched::Everything);
        assert_eq!(touched(&[Resource::Platform, model("fraud")]), Touched::Everything);
    }

    #[test]
    fn a_notice_that_says_nothing_is_about_anything() {
        for notice in ["", "something newer"] {
            assert_eq!(Touched::of_notice(notice), Touched::Everything, "{notice:?}");
        }
        let long = Touched::Model("m".repeat(LONGEST + 1));
        assert_eq!(Touched::of_notice(&long.notice()), Touched::Everything);
    }
}
