//! A short look at a loaded model: may its requests share a run, and how fast is it?
//!
//! Requests are joined only if the model gives two different rows, run together, the answers that
//! it gives to each alone. A signature cannot tell that: a model may normalise over the batch, or
//! count something over all rows.

mod alike;
mod inputs;

use std::time::{Duration, Instant};

use domain::Tensor;
use serde::{Deserialize, Serialize};

use self::inputs::make_up;
pub(crate) use self::{alike::alike, inputs::two_rows};
use crate::{
    Engine, Error, batch,
    padded::{Padded, fixed_rows},
};

/// No larger batches are tried.
const MAX_BATCH: usize = 64;
/// A batch that takes longer would make the first of its callers wait too long.
const MAX_BATCH_TIME: Duration = Duration::from_millis(50);
/// A model whose first run takes longer is not looked at further: it computes so much that
/// batches would not help, and the look would take many runs.
const SLOW: Duration = Duration::from_secs(1);
/// The look takes about this long at most, besides a handful of runs.
const BUDGET: Duration = Duration::from_millis(250);
/// What a model is taken to need that could not be run for want of an example.
const UNKNOWN: Duration = Duration::from_millis(5);

/// What the look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Whether requests may share a run.
    pub batchable: bool,
    /// How long one row takes alone.
    pub single: Duration,
    /// How many rows to run together at most.
    pub max_batch: usize,
    /// How long a row takes in a run of `max_batch` rows.
    pub per_row: Duration,
}

/// Looks at a model, by an example if there is one, else by values made up from its signature.
/// With the profile comes the answer to the example; there is none to made-up values.
///
/// # Errors
/// The model fails on the example. A failure on made-up values is no error, unless the model takes
/// more time or memory than it may: it is then taken to be slow and not batchable.
pub fn probe(
    engine: &mut dyn Engine,
    example: Option<&[Tensor]>,
    deadline: Instant,
) -> Result<(Profile, Vec<Tensor>), Error> {
    let start = Instant::now();
    if let Some(example) = example {
        let outputs = engine.infer(example, deadline)?;
        return Ok((look(engine, example, start.elapsed(), deadline)?, outputs));
    }
    let made_up: Option<Vec<Tensor>> = engine.signature().inputs.iter().map(make_up).collect();
    let profile = match made_up.map(|inputs| (engine.infer(&inputs, deadline), inputs)) {
        Some((Ok(_), inputs)) => look(engine, &inputs, start.elapsed(), deadline)?,
        Some((Err(error @ (Error::Memory | Error::Timeout)), _)) => return Err(error),
        Some((Err(_), _)) | None => alone(UNKNOWN),
    };
    Ok((profile, Vec::new()))
}

/// A model that is ready to be served.
pub(crate) struct Prepared {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) profile: Profile,
    /// The fixed number of rows that other copies of it are to be padded to.
    pub(crate) rows: Option<usize>,
}

/// Looks at a model that is to be served: one that takes a fixed number of rows and keeps them apart is
/// served for any number.
///
/// # Errors
/// As for [`probe`].
pub(crate) fn prepare(
    mut engine: Box<dyn Engine>,
    example: Option<&[Tensor]>,
    deadline: Instant,
) -> Result<Prepared, Error> {
    let (profile, _) = probe(engine.as_mut(), example, deadline)?;
    let Some(rows) = fixed_rows(engine.signature()).filter(|_| profile.single <= SLOW) else {
        return Ok(Prepared { engine, profile, rows: None });
    };
    let made_up = || engine.signature().inputs.iter().map(make_up).collect();
    let Some(inputs) = example.map(<[Tensor]>::to_vec).or_else(made_up) else {
        return Ok(Prepared { engine, profile, rows: None });
    };
    let mut padded = Padded::new(engine, rows);
    if !padded.keeps_rows_apart(&inputs, deadline) {
        return Ok(Prepared { engine: padded.into_inner(), profile, rows: None });
    }
    // A run takes as long for one row as for all.
    let per_row = profile.single / u32::try_from(rows).unwrap_or(u32::MAX);
    let profile = Profile { batchable: true, max_batch: rows, per_row, ..profile };
    Ok(Prepared { engine: Box::new(padded), profile, rows: Some(rows) })
}

/// The profile of a model whose requests run one by one.
fn alone(single: Duration) -> Profile {
    Profile { batchable: false, single, max_batch: 1, per_row: single }
}

/// The look itself, at a model that has answered these inputs once, in `first`, and so is warm.
fn look(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    first: Duration,
    deadline: Instant,
) -> Result<Profile, Error> {
    if first > SLOW {
        return Ok(alone(first));
    }
    let begin = Instant::now();
    let joined = batch::may_join(engine.signature())
        .then(|| two_rows(inputs))
        .flatten()
        .filter(|rows| keeps_rows_apart(engine, rows, deadline));
    let Some(rows) = joined else { return fastest(engine, inputs, begin, deadline).map(alone) };
    let single = fastest(engine, &rows[0], begin, deadline)?;
    let mut profile = Profile { batchable: true, ..alone(single) };
    let mut size = 2;
    while size <= MAX_BATCH && begin.elapsed() < BUDGET {
        let many: Vec<&[Tensor]> = rows.iter().cycle().take(size).map(Vec::as_slice).collect();
        // What is too much in one run shows how far to go, and is no fault of the model.
        let Ok(took) = fastest(engine, &batch::join(&many), begin, deadline) else { break };
        if took > MAX_BATCH_TIME {
            break;
        }
        let per_row = took / u32::try_from(size).unwrap_or(u32::MAX);
        // Larger only where it pays: at least a tenth.
        if per_row * 10 <= profile.per_row * 9 {
            profile.max_batch = size;
            profile.per_row = per_row;
        }
        size *= 2;
    }
    Ok(profile)
}

/// The shortest of a few runs, fewer if the budget is spent.
fn fastest(
    engine: &mut dyn Engine,
    inputs: &[Tensor],
    begin: Instant,
    deadline: Instant,
) -> Result<Duration, Error> {
    let mut shortest = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        engine.infer(inputs, deadline)?;
        shortest = shortest.min(start.elapsed());
        if begin.elapsed() > BUDGET {
            break;
        }
    }
    Ok(shortest)
}

/// Whether two rows run together give what each gives alone. A model that fails on one of them
/// proves nothing, so it counts as no.
fn keeps_rows_apart(engine: &mut dyn Engine, rows: &[Vec<Tensor>; 2], deadline: Instant) -> bool {
    let [first, second] = rows;
    let mut run = |inputs: &[Tensor]| engine.infer(inputs, deadline).ok();
    let Some(alone) = run(first).zip(run(second)) else { return false };
    let Some(together) = run(&batch::join(&[first, second])) else { return false };
    match batch::split(together, &[1, 1]).as_deref() {
        Ok([one, two]) => alike(&one.take(), &alone.0) && alike(&two.take(), &alone.1),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
