//! The engine that asks a process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{Signature, Tensor};

use super::{
    Bounds, Host, Order, Program,
    keeper::{self, Shared, Up},
    link::Trouble,
};
use crate::{Engine, Error};

/// How long after its deadline a program may say that it is late.
const GRACE: Duration = Duration::from_millis(250);
/// How long a request waits for a process that is being started.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a process takes to be seen as ended whose talk has.
const ENDING: Duration = Duration::from_secs(1);

/// A model in a process of its own.
pub struct ProcessEngine {
    shared: Arc<Shared>,
    up: Option<Up>,
    signature: Signature,
}

impl ProcessEngine {
    /// Starts a process and waits until it has loaded its model. `signature` holds where the program tells
    /// none.
    ///
    /// # Errors
    /// [`Error::Worker`]: it could not be started or confined. [`Error::Model`]: what was to answer could
    /// not be loaded, with the cause.
    pub fn start(
        host: &Host,
        program: Program,
        bounds: Bounds,
        signature: Option<Signature>,
    ) -> Result<Self, Error> {
        let (shared, up, told) = keeper::keep(host, Order { program, bounds })?;
        let Some(signature) = told.or(signature) else {
            shared.close();
            return Err(Error::Model("it does not say what goes in and what comes out".to_owned()));
        };
        Ok(Self { shared, up: Some(up), signature })
    }

    fn ask(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        let (mut link, ends) = match self.up.take() {
            Some(up) => up,
            None => self.shared.link(deadline, PATIENCE)?,
        };
        let within = deadline.saturating_duration_since(Instant::now());
        if within.is_zero() {
            self.up = Some((link, ends));
            return Err(Error::Timeout);
        }
        let gone = |why| Err(Error::Gone(why));
        match link.infer(inputs, within, deadline + GRACE) {
            Ok(outputs) => {
                self.up = Some((link, ends));
                Ok(outputs)
            }
            Err(Trouble::Said(error)) => {
                self.up = Some((link, ends));
                Err(error)
            }
            // It ended while nobody asked: the next one is asked.
            Err(Trouble::WasGone) => {
                self.why_ended(ends);
                self.ask(inputs, deadline)
            }
            Err(Trouble::Went) => gone(self.why_ended(ends)),
            Err(Trouble::Silent) => {
                self.shared.end("it did not answer in time");
                Err(Error::Timeout)
            }
            Err(Trouble::Broken(why)) => {
                self.shared.end(&why);
                gone(why)
            }
        }
    }

    fn why_ended(&self, ends: u64) -> String {
        self.shared.why_ended(ends, ENDING).unwrap_or_else(|| {
            let why = "it closed its socket";
            self.shared.end(why);
            why.to_owned()
        })
    }
}

impl Engine for ProcessEngine {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn infer(&mut self, inputs: &[Tensor], deadline: Instant) -> Result<Vec<Tensor>, Error> {
        self.ask(inputs, deadline)
    }

    fn ends_runs_early(&self) -> bool {
        false
    }
}

impl Drop for ProcessEngine {
    fn drop(&mut self) {
        self.shared.close();
    }
}
