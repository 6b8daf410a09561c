//! What is taken of an answered request for whoever watches predictions. It decides by memory alone,
//! copies outputs but no inputs, and never waits.

use std::{sync::Arc, time::Instant};

use domain::{
    Tensor,
    capture::{Record, Source, Wanted, beginning, bytes, cut, fitting},
};

use crate::{State, predict::Asked};

/// The tensors of a request, taken before its answer is written.
pub(crate) struct Taken {
    wanted: Wanted,
    rows: usize,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// Takes what the endpoint's owner wants of a request; absent where that is nothing.
pub(crate) fn take(
    source: &Source,
    rows: usize,
    mut inputs: Vec<Tensor>,
    outputs: &[Tensor],
) -> Option<Taken> {
    let wanted = source.wanted()?;
    let keep = fitting(rows, bytes(&inputs) + bytes(outputs));
    cut(&mut inputs, rows, keep);
    Some(Taken { wanted, rows, inputs, outputs: beginning(outputs, rows, keep) })
}

impl Taken {
    /// Hands it on, once it is known that it was answered.
    pub(crate) fn offer(
        self,
        state: &State,
        source: &Arc<Source>,
        asked: &Asked<'_>,
        id: String,
        begun: Instant,
    ) {
        let Self { wanted: Wanted { keep }, rows, inputs, outputs } = self;
        state.given.capture.offer(Record {
            source: Arc::clone(source),
            id,
            at: state.given.database.now(),
            took: begun.elapsed(),
            caller: asked.permit.actor().clone(),
            protocol: asked.protocol,
            shadow: false,
            keep,
            rows,
            inputs,
            outputs,
        });
    }
}
