//! Hooks of a release on the way to a version and back, made to fit it as its route is put together.
//!
//! A share without hooks has none of this, and its requests pay for the question alone.

use std::{sync::Arc, time::Instant};

use domain::{
    Problem, Signature, Tensor,
    serving::{
        self,
        hooks::{Change, Fitted},
    },
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use remote::{Failure, Lookup};

use crate::{State, live::Served};

/// One version's, ready to be run.
#[derive(Debug)]
pub(crate) struct Hooks {
    /// What goes in and comes out for callers.
    pub(crate) callers: Signature,
    before: Vec<Step>,
    after: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Change(Change),
    Ask(Lookup, Counts),
    /// It does not fit what was loaded: no request may pass.
    Broken(Problem),
}

impl Hooks {
    /// Those of a release for one of its versions; absent where it has none.
    pub(crate) fn of(
        asked: &serving::Hooks,
        served: &Served,
        endpoint: &str,
        lookups: &Lookups,
    ) -> Option<Arc<Self>> {
        if asked.is_empty() {
            return None;
        }
        let fitted = asked.fit(&served.signature).unwrap_or_else(|problem| {
            tracing::error!(endpoint, error = problem.message, "hooks do not fit their version");
            let callers = served.signature.clone();
            Fitted { callers, before: vec![], after: vec![] }
        });
        let is_broken = fitted.before.is_empty() && fitted.after.is_empty();
        let steps = |steps: Vec<serving::hooks::Step>| -> Vec<Step> {
            steps.into_iter().map(|step| Step::of(step, endpoint, lookups)).collect()
        };
        let mut before = steps(fitted.before);
        if is_broken {
            before.push(Step::Broken(Problem::internal()));
        }
        Some(Arc::new(Self { callers: fitted.callers, before, after: steps(fitted.after) }))
    }

    /// The model's inputs, by those of the caller.
    ///
    /// # Errors
    /// A value that cannot be what the model wants; a server that does not answer as it should.
    pub(crate) async fn before(
        &self,
        state: &State,
        inputs: Vec<Tensor>,
        rows: usize,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, Problem> {
        run(&self.before, state, inputs, rows, deadline).await
    }

    /// What the caller is answered, by the model's outputs.
    ///
    /// # Errors
    /// As for [`Hooks::before`].
    pub(crate) async fn after(
        &self,
        state: &State,
        outputs: Vec<Tensor>,
        rows: usize,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, Problem> {
        // Other models than those of rows have outputs of as many as they like.
        let rows = outputs.first().and_then(|it| it.shape.first()).copied().unwrap_or(rows);
        run(&self.after, state, outputs, rows, deadline).await
    }
}

async fn run(
    steps: &[Step],
    state: &State,
    mut tensors: Vec<Tensor>,
    rows: usize,
    deadline: Instant,
) -> Result<Vec<Tensor>, Problem> {
    for step in steps {
        match step {
            Step::Change(change) => change.apply(&mut tensors, rows)?,
            Step::Ask(lookup, counts) => {
                let asked = lookup.ask(&state.given.remote, &mut tensors, rows, deadline).await;
                match asked {
                    Ok(failure) => counts.count(failure.as_ref(), lookup),
                    Err((failure, problem)) => {
                        counts.count(Some(&failure), lookup);
                        return Err(problem);
                    }
                }
            }
            Step::Broken(problem) => return Err(problem.clone()),
        }
    }
    Ok(tensors)
}

impl Step {
    fn of(step: serving::hooks::Step, endpoint: &str, lookups: &Lookups) -> Self {
        match step {
            serving::hooks::Step::Change(change) => Self::Change(change),
            serving::hooks::Step::Ask(ask) => match Lookup::new(&ask) {
                Ok(lookup) => Self::Ask(lookup, lookups.of(endpoint)),
                Err(failure) => Self::Broken(failure.of(&ask.place)),
            },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    endpoint: String,
    outcome: &'static str,
}

/// `bottega_lookup_total` by endpoint and outcome (`answered`, `late`, `failed`). Only endpoints whose
/// hooks ask servers are there.
#[derive(Debug, Clone)]
pub(crate) struct Lookups(Family<Labels, Counter>);

/// What questions to servers came to, of one endpoint.
#[derive(Debug, Clone)]
struct Counts {
    answered: Counter,
    late: Counter,
    failed: Counter,
}

impl Lookups {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register(
            "bottega_lookup",
            "Questions of hooks to servers, by what came of them",
            family.clone(),
        );
        Self(family)
    }

    fn of(&self, endpoint: &str) -> Counts {
        let count = |outcome| {
            let endpoint = endpoint.to_owned();
            self.0.get_or_create_owned(&Labels { endpoint, outcome })
        };
        Counts { answered: count("answered"), late: count("late"), failed: count("failed") }
    }
}

impl Counts {
    fn count(&self, failure: Option<&Failure>, lookup: &Lookup) {
        match failure {
            None => self.answered.inc(),
            Some(failure) => {
                tracing::debug!(hook = lookup.place(), %failure, "a server did not answer a hook");
                if *failure == Failure::Late { self.late.inc() } else { self.failed.inc() }
            }
        };
    }
}
