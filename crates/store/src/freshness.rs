//! How long what was read of models, endpoints and experiments may be answered out of memory.
//!
//! Until it is changed by this process, which [`Change`](crate::Change) tells before its writer is
//! answered; until another process's notice of a change arrives; for a few seconds at most; and not
//! at all while notices may be missed.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::Resource;

/// Changes are counted in so many places; a thing's name picks one, and shares it with others.
const PLACES: usize = 256;
/// How many things a notice names; one about more is about everything.
const MOST: usize = 16;
/// How long an answer may be repeated although nobody told of a change.
const LIFE: Duration = Duration::from_secs(5);
/// How long notices count as heard after a sign of life of the connection that they come by.
const GRACE: Duration = Duration::from_secs(2);
/// The longest notice, in bytes; Postgres takes 8,000 in all.
const LONGEST: usize = 4096;

/// What a database's readers may remember.
pub struct Freshness {
    began: Instant,
    /// How many changes there were.
    changes: [AtomicU64; PLACES],
    /// Until when notices count as heard.
    heard_until: AtomicU64,
}

/// When something was read of a thing.
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
    /// To be taken before something is read of that resource, or of what it lacks.
    #[must_use]
    pub fn mark(&self, resource: &Resource) -> Mark {
        let place = place(resource);
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
        match touched {
            Touched::These(resources) => {
                for resource in resources {
                    self.changes[place(resource)].fetch_add(1, Ordering::AcqRel);
                }
            }
            Touched::Everything => {
                for changes in &self.changes {
                    changes.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }
}

fn place(resource: &Resource) -> usize {
    let mut hasher = DefaultHasher::new();
    resource.hash(&mut hasher);
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
    let hash = hasher.finish() as usize;
    hash % PLACES
}

/// What a change may have altered of that which readers remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touched {
    /// These, each with what belongs to it: a model with its versions and aliases.
    These(Vec<Resource>),
    Everything,
}

impl Default for Touched {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Touched {
    pub const NOTHING: Self = Self::These(Vec::new());

    /// Adds what a change with an event on that resource may alter.
    pub fn add(&mut self, resource: &Resource) {
        match resource {
            // Settings are part of what is told of a version.
            Resource::Platform => *self = Self::Everything,
            // What runs do is no change of their experiment, and a notice for each would hold up
            // all that commit: whoever changes an experiment says so.
            Resource::Experiment(_) => {}
            Resource::Model(_) | Resource::Endpoint(_) | Resource::Team(_) => self.put(resource),
        }
    }

    /// Adds a resource that is altered.
    pub fn put(&mut self, resource: &Resource) {
        let Self::These(resources) = self else { return };
        if resources.contains(resource) {
            return;
        }
        if resources.len() == MOST {
            *self = Self::Everything;
        } else {
            resources.push(resource.clone());
        }
    }

    /// How a notice says it: a resource a line.
    pub fn notice(&self) -> String {
        match self {
            Self::These(resources) if resources.is_empty() => "-".to_owned(),
            Self::These(resources) => {
                let lines: Vec<_> = resources.iter().map(ToString::to_string).collect();
                let notice = lines.join("\n");
                if notice.len() <= LONGEST { notice } else { String::new() }
            }
            Self::Everything => String::new(),
        }
    }

    /// What a notice says; one that says nothing may be about anything.
    pub fn of_notice(notice: &str) -> Self {
        if notice == "-" {
            return Self::NOTHING;
        }
        let resources: Option<Vec<_>> = notice.lines().map(|line| line.parse().ok()).collect();
        match resources {
            Some(resources) if !resources.is_empty() => Self::These(resources),
            _ => Self::Everything,
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
        let mark = freshness.mark(&fraud());
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
        let mark = freshness.mark(&fraud());
        freshness.touch(&Touched::NOTHING);
        assert!(freshness.holds(mark));
        freshness.touch(&Touched::These(vec![fraud()]));
        assert!(!freshness.holds(mark));
        let mark = freshness.mark(&fraud());
        freshness.touch(&Touched::Everything);
        assert!(!freshness.holds(mark));
        assert!(freshness.holds(freshness.mark(&fraud())));
    }

    #[test]
    fn a_change_of_one_model_leaves_most_others_alone() {
        let freshness = hearing();
        let marks: Vec<_> =
            (0..1000).map(|n| freshness.mark(&model(&format!("model {n}")))).collect();
        freshness.touch(&Touched::These(vec![model("model 7")]));
        assert!(!freshness.holds(marks[7]));
        assert!(marks.into_iter().filter(|mark| !freshness.holds(*mark)).count() < 50);
    }

    #[test]
    fn an_answer_lives_for_some_seconds_only() {
        let freshness = hearing();
        let mark = Mark { until: freshness.millis(Instant::now()), ..freshness.mark(&fraud()) };
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
        let (endpoint, other) = (Resource::Endpoint("fraud".to_owned()), model("a b:c"));
        assert_eq!(touched(&[]), Touched::NOTHING);
        assert_eq!(touched(from_ref(&endpoint)), Touched::These(vec![endpoint.clone()]));
        let both = Touched::These(vec![fraud(), endpoint.clone(), other.clone()]);
        assert_eq!(touched(&[fraud(), endpoint, fraud(), other]), both);
        assert_eq!(touched(&[Resource::Experiment("0".to_owned())]), Touched::NOTHING);
        assert_eq!(touched(&[Resource::Platform, fraud()]), Touched::Everything);
        let many: Vec<_> = (0..=MOST).map(|n| model(&n.to_string())).collect();
        assert_eq!(touched(&many), Touched::Everything);
    }

    #[test]
    fn a_notice_that_says_nothing_is_about_anything() {
        for notice in ["", "something newer", "model:a\nsomething newer"] {
            assert_eq!(Touched::of_notice(notice), Touched::Everything, "{notice:?}");
        }
        let long = Touched::These(vec![model(&"m".repeat(LONGEST + 1))]);
        assert_eq!(Touched::of_notice(&long.notice()), Touched::Everything);
    }

    fn model(name: &str) -> Resource {
        Resource::Model(name.to_owned())
    }

    fn fraud() -> Resource {
        model("fraud")
    }
}
