//! Whether more comes in than can be answered.
//!
//! That many wait does not tell: a hundred callers who each wait for their answer before they ask
//! again keep a long queue that grows no longer, and all of them are served as fast as can be. A
//! queue that grows is another matter: each who joins it waits longer than the one before. So it is
//! looked at in windows: two in a row in which clearly more came in than went out, with a wait above
//! the target all the time, are overload. From then on whoever would wait longer than the target is
//! refused, until no more comes in, refused ones counted, than goes out.

use std::time::{Duration, Instant};

/// How many windows in a row it takes.
const GROWING: u8 = 2;
/// After so many windows without anybody all is forgotten.
const QUIET: u32 = 3;

#[derive(Debug)]
pub(crate) struct Gauge {
    begun: Instant,
    /// Rows that came in, and that went out to be computed.
    came: usize,
    went: usize,
    /// Whether somebody in this window found a wait within the target.
    is_calm: bool,
    growing: u8,
    is_overloaded: bool,
    /// The rows of those who came lately, on average.
    usual: f32,
}

/// What somebody who comes finds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) rows: usize,
    /// Whether they would wait longer than the target.
    pub(crate) waits_long: bool,
    /// How long a window is.
    pub(crate) window: Duration,
    /// Rows that one run of all threads takes: the two counts may differ by that at any time.
    pub(crate) slack: usize,
}

impl Gauge {
    pub(crate) fn new(now: Instant) -> Self {
        let (is_calm, is_overloaded) = (false, false);
        Self { begun: now, came: 0, went: 0, is_calm, growing: 0, is_overloaded, usual: 1.0 }
    }

    /// Somebody comes. Whether there is overload, and whether it begins just now.
    pub(crate) fn comes(&mut self, arrival: &Arrival) -> (bool, bool) {
        let before = self.is_overloaded;
        self.turn_over(arrival);
        self.came += arrival.rows;
        self.usual += (arrival.rows as f32 - self.usual) / 16.0;
        self.is_calm |= !arrival.waits_long;
        (self.is_overloaded, self.is_overloaded && !before)
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.is_overloaded
    }

    /// How many rows somebody has whose request nobody has read.
    pub(crate) fn usual(&self) -> usize {
        (self.usual.round() as usize).max(1)
    }

    /// So many rows go out to be computed.
    pub(crate) fn goes(&mut self, rows: usize) {
        self.went += rows;
    }

    fn turn_over(&mut self, arrival: &Arrival) {
        let age = arrival.at.saturating_duration_since(self.begun);
        if age < arrival.window {
            return;
        }
        let (growing, is_overloaded) = if age > arrival.window * QUIET {
            (0, false)
        } else if self.is_overloaded {
            // A tenth is noise.
            (0, self.came * 10 > self.went * 11)
        } else if !self.is_calm && self.came * 4 > self.went * 5 + arrival.slack * 4 {
            (self.growing + 1, self.growing + 1 >= GROWING)
        } else {
            (0, false)
        };
        let usual = self.usual;
        *self = Self { growing, is_overloaded, usual, ..Self::new(arrival.at) };
    }
}
