//! Where aliases point, for many callers at once: who asks while a look into the database is on its
//! way shares the next one. Nothing is remembered: an answer is never older than its question.

use std::{
    mem,
    sync::{Mutex, PoisonError},
};

use domain::{AliasName, ModelName, Problem};
use store::{
    Database,
    versions::{self, Version},
};
use tokio::sync::{Mutex as Turn, oneshot};

use crate::{Error, Result};

type Answer = Result<Option<Version>, Problem>;

/// The questions that wait for the next look.
#[derive(Default)]
pub(crate) struct Lookups {
    waiting: Mutex<Vec<Question>>,
    /// Held by whoever looks.
    turn: Turn<()>,
}

struct Question {
    asked: (ModelName, AliasName),
    answer: oneshot::Sender<Answer>,
}

impl Lookups {
    /// The version that an alias points to; absent where there is no such model, or it has no such
    /// alias.
    ///
    /// # Errors
    /// The database is away.
    pub async fn ask(
        &self,
        database: &Database,
        model: &ModelName,
        alias: &AliasName,
    ) -> Result<Option<Version>> {
        loop {
            let (answer, mut answered) = oneshot::channel();
            let asked = (model.clone(), alias.clone());
            self.with_waiting(|waiting| waiting.push(Question { asked, answer }));
            tokio::select! {
                biased;
                Ok(answer) = &mut answered => return Ok(answer?),
                _turn = self.turn.lock() => {
                    look(database, self.with_waiting(mem::take)).await;
                    if let Ok(answer) = answered.try_recv() {
                        return Ok(answer?);
                    }
                }
            }
            // Whoever had taken the question was cut off while they looked.
        }
    }

    fn with_waiting<T>(&self, with: impl FnOnce(&mut Vec<Question>) -> T) -> T {
        with(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Answers all questions.
async fn look(database: &Database, questions: Vec<Question>) {
    let (asked, answers): (Vec<_>, Vec<_>) =
        questions.into_iter().map(|question| (question.asked, question.answer)).unzip();
    // Who does not wait any more does not mind either.
    match versions::get_by_aliases(database, &asked).await {
        Ok(found) => {
            for (answer, version) in answers.into_iter().zip(found) {
                let _ = answer.send(Ok(version));
            }
        }
        Err(error) => {
            let problem = Problem::from(Error::from(error));
            for answer in answers {
                let _ = answer.send(Err(problem.clone()));
            }
        }
    }
}
