//! Long polls.

use std::time::Duration;

use domain::Problem;
use serde::Deserialize;
use utoipa::IntoParams;

const LONGEST: u32 = 60;

/// How long to wait for what is on its way.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wait {
    /// Answer only when nothing is on its way any more, or after so many seconds.
    #[param(minimum = 0, maximum = 60, default = 0)]
    wait: Option<u32>,
}

impl Wait {
    /// So many seconds, where the operation has parameters besides.
    pub const fn of(wait: Option<u32>) -> Self {
        Self { wait }
    }

    /// As a duration.
    ///
    /// # Errors
    /// Longer than 60 s.
    pub fn duration(&self) -> Result<Duration, Problem> {
        match self.wait.unwrap_or_default() {
            seconds @ 0..=LONGEST => Ok(Duration::from_secs(seconds.into())),
            seconds => {
                let message = format!("`wait` is {seconds}: expected at most {LONGEST} seconds");
                Err(Problem::invalid("wait", message).hint("ask again when it is over"))
            }
        }
    }
}
