//! What versions printed that run in processes of their own, until it is written down.

use std::sync::{Mutex, PoisonError};

use store::printed::Line;

/// So many lines are kept of a second; the others are in the node's own log alone.
const MOST: usize = 1000;

/// Lines that wait.
#[derive(Debug, Default)]
pub(crate) struct Printed(Mutex<Vec<Line>>);

impl Printed {
    /// Keeps a line, if there is room.
    pub(crate) fn note(&self, line: Line) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MOST {
            lines.push(line);
        }
    }

    /// Takes all that wait.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
