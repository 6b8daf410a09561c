//! Runs a request on the version that was picked, and on the fallback where that fails.

use std::time::Instant;

use domain::Tensor;
use inference::{Answer, Ask, Error};

use super::{Pick, Routing, shadow::Copied};
use crate::{State, live::Route};

impl<'r> Pick<'r> {
    /// The answer, by the deadline; afterwards the pick's version is the one that it is from. A copy for
    /// the shadow comes with it, if one was made.
    ///
    /// # Errors
    /// What the picked version said, whatever the fallback says.
    pub(crate) async fn detour(
        &mut self,
        state: &State,
        (route, routing): (&'r Route, &'r Routing),
        inputs: Vec<Tensor>,
        ask: Ask,
    ) -> Result<(Answer, Option<Copied>), Error> {
        let shadow = routing.shadow.as_ref();
        let copied =
            shadow.and_then(|shadow| shadow.copy(route, self.share, &inputs, &state.shadows));
        let picked = self.share;
        let answer = self.or_fall_back(state, (route, routing), inputs, ask).await?;
        // Compared is what the weights and rules chose.
        Ok((answer, copied.filter(|_| std::ptr::eq(picked, self.share))))
    }

    async fn or_fall_back(
        &mut self,
        state: &State,
        (route, routing): (&'r Route, &'r Routing),
        inputs: Vec<Tensor>,
        ask: Ask,
    ) -> Result<Answer, Error> {
        let picked = self.share;
        let fallback = routing.fallback.as_ref().zip(routing.counted.fallback.as_ref());
        let other = fallback.and_then(|(fallback, counts)| {
            let share = route.shares.get(fallback.at)?;
            (!std::ptr::eq(share, picked)).then_some((share, fallback.after, counts))
        });
        let Some((other, after, counts)) = other else {
            return picked.served.replica.infer(inputs, ask).await;
        };
        let begun = Instant::now();
        let deadline = ask.deadline;
        let first = after.map_or(deadline, |after| deadline.min(begun + after));
        let first = Ask { deadline: first, ..ask };
        let error = match picked.served.replica.infer(inputs.clone(), first).await {
            Ok(answer) => return Ok(answer),
            Err(error) if falls_back(&error) && Instant::now() < deadline => error,
            Err(error) => return Err(error),
        };
        picked.statistics.count(None, begun.elapsed(), state.given.database.now(), None);
        let answer = other.served.replica.infer(inputs, ask).await;
        // The request ends with it, whether it answers or not.
        self.share = other;
        match answer {
            Ok(answer) => {
                counts.answered.inc();
                Ok(answer)
            }
            Err(_) => {
                counts.failed.inc();
                Err(error)
            }
        }
    }
}

/// Whether it is the version that failed, and another one may answer: not where the request itself does
/// not fit, or asks for too much.
const fn falls_back(error: &Error) -> bool {
    match error {
        Error::Input(_) | Error::OutputTooLarge { .. } => false,
        Error::Library(_)
        | Error::Model(_)
        | Error::Run(_)
        | Error::Failed(_)
        | Error::Gone(_)
        | Error::Memory
        | Error::Timeout
        | Error::Overloaded
        | Error::Draining
        | Error::Worker(_)
        | Error::Thread(_)
        | Error::Fetch(_)
        | Error::Cache { .. } => true,
    }
}
