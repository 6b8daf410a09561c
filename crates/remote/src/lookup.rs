//! A question of a hook: columns by columns, as V2's JSON both ways.

use std::time::{Duration, Instant};

use domain::{
    Dim, Problem, Signature, Tensor, TensorSpec,
    serving::hooks::{Ask, OnFailure},
};
use protocol::v2::json;

use crate::{Asks as _, Failure, Remote, Server};

/// The most bytes of an answer.
const MOST: usize = 16 << 20;

/// A question, made ready.
#[derive(Debug)]
pub struct Lookup {
    place: String,
    server: Server,
    send: Vec<String>,
    drop: Vec<String>,
    get: Signature,
    timeout: Duration,
    on_failure: OnFailure,
}

impl Lookup {
    /// The question of a hook.
    ///
    /// # Errors
    /// Its URL is none.
    pub fn new(ask: &Ask) -> Result<Self, Failure> {
        Ok(Self {
            place: ask.place.clone(),
            server: Server::new(&ask.url, ask.headers.clone())?,
            send: ask.send.clone(),
            drop: ask.drop.clone(),
            get: Signature::new(ask.get.clone(), Vec::new()),
            timeout: ask.timeout,
            on_failure: ask.on_failure,
        })
    }

    /// Where it is asked, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Adds to a request, or an answer, of so many rows what the server gives. Answers why it gave nothing,
    /// where that is no reason to fail.
    ///
    /// # Errors
    /// The server did not answer as it should, and the request fails by it.
    pub async fn ask(
        &self,
        remote: &Remote,
        tensors: &mut Vec<Tensor>,
        rows: usize,
        deadline: Instant,
    ) -> Result<Option<Failure>, (Failure, Problem)> {
        let given = self.given(remote, tensors, rows, deadline).await;
        tensors.retain(|tensor| !self.drop.contains(&tensor.name));
        match (given, self.on_failure) {
            (Ok(given), _) => {
                tensors.extend(given);
                Ok(None)
            }
            // Who has no more time has none for the model either.
            (Err(Failure::Late), OnFailure::Continue) if Instant::now() >= deadline => {
                Err(self.refusal(Failure::Late))
            }
            (Err(failure), OnFailure::Continue) => Ok(Some(failure)),
            (Err(failure), OnFailure::Fail) => Err(self.refusal(failure)),
        }
    }

    fn refusal(&self, failure: Failure) -> (Failure, Problem) {
        let host = self.server.url().host_str().unwrap_or_default();
        let problem = failure.of(&format!("the server `{host}` of the hook `{}`", self.place));
        (failure, problem)
    }

    async fn given(
        &self,
        remote: &Remote,
        tensors: &[Tensor],
        rows: usize,
        deadline: Instant,
    ) -> Result<Vec<Tensor>, Failure> {
        let sent: Vec<&Tensor> =
            tensors.iter().filter(|tensor| self.send.contains(&tensor.name)).collect();
        let mut body = Vec::new();
        json::encode_request(&mut body, &sent).map_err(Failure::Input)?;
        let until = deadline.min(Instant::now() + self.timeout);
        let answer = remote.post(&self.server, body, MOST, until).await?;
        let answer =
            json::decode_answer(&answer).map_err(|problem| Failure::Wrong(problem.message))?;
        taken(&self.get, answer, rows)
    }
}

/// The tensors that were asked for, which are what they were to be; what else there is goes unseen.
fn taken(wanted: &Signature, answer: Vec<Tensor>, rows: usize) -> Result<Vec<Tensor>, Failure> {
    let is_wanted = |tensor: &Tensor| wanted.inputs.iter().any(|spec| spec.name == tensor.name);
    let found: Vec<Tensor> = answer.into_iter().filter(is_wanted).collect();
    wanted.check(&found).map_err(|problem| {
        Failure::Wrong(problem.message.replace("the model expects", "expected is"))
    })?;
    let is_other = |spec: &&TensorSpec| {
        let size = found.iter().find(|it| it.name == spec.name).and_then(|it| it.shape.first());
        spec.shape.first().is_some_and(Dim::is_dynamic) && size != Some(&rows)
    };
    if let Some(spec) = wanted.inputs.iter().find(is_other) {
        return Err(Failure::Wrong(format!(
            "`{}` does not have the {rows} rows of the request",
            spec.name
        )));
    }
    Ok(found)
}
