//! Lists and items, page by page.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Source, SourceError,
    wire::{Experiment, LoggedModel, Metric, ModelVersion, RegisteredModel, Run},
};
use crate::path;

const API: &str = "/api/2.0/mlflow";
/// Experiments, models and logged models on a page.
const PAGE: u32 = 100;
/// Runs on a page: each with all its params and tags.
const RUNS: u32 = 100;
/// Points on a page, as MLflow's own client asks for them.
const POINTS: u32 = 25_000;
/// What marks the texts that MLflow keeps as models.
const PROMPTS: &str = "tag.`mlflow.prompt.is_prompt` = 'true'";

/// What comes page by page, and the token of the next page.
pub type Page<T> = (Vec<T>, Option<String>);

fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

impl Source {
    /// Asks for something small, to know who answers, and in which version.
    ///
    /// # Errors
    /// Nobody, or nobody who speaks MLflow, or not with us.
    pub async fn greet(&self) -> Result<Option<String>, SourceError> {
        self.experiments_page(1, None).await?;
        let request = self.request(Method::GET, "/version");
        let Ok(answer) = request.send().await else { return Ok(None) };
        let text = self.body(answer).await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let is_version = text.len() < 40 && text.starts_with(|c: char| c.is_ascii_digit());
        Ok(is_version.then_some(text))
    }

    /// Whether it answers at all.
    pub(super) async fn is_alive(&self) -> bool {
        self.experiments_page(1, None).await.is_ok()
    }

    async fn experiments_page(
        &self,
        most: u32,
        token: Option<&str>,
    ) -> Result<Page<Experiment>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            experiments: Vec<Experiment>,
            next_page_token: Option<String>,
        }
        let mut body =
            json!({"view_type": "ALL", "max_results": most, "order_by": ["experiment_id ASC"]});
        put_token(&mut body, token);
        let make = || self.request(Method::POST, &format!("{API}/experiments/search")).json(&body);
        let answer: Answer = self.json("experiments", make).await?;
        Ok((answer.experiments, next(answer.next_page_token)))
    }

    /// All experiments, deleted ones too.
    ///
    /// # Errors
    /// The server fails.
    pub async fn experiments(&self) -> Result<Vec<Experiment>, SourceError> {
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let (page, next) = self.experiments_page(PAGE, token.as_deref()).await?;
            all.extend(page);
            if next.is_none() || next == token {
                return Ok(sorted(all));
            }
            token = next;
        }
    }

    /// A page of the runs of an experiment, deleted ones too, the first ones first.
    ///
    /// # Errors
    /// The server fails.
    pub async fn runs(
        &self,
        experiment: &str,
        token: Option<&str>,
    ) -> Result<Page<Run>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            runs: Vec<Run>,
            next_page_token: Option<String>,
        }
        // The oldest first: runs that are made meanwhile come behind the last page.
        let mut body = json!({
            "experiment_ids": [experiment], "run_view_type": "ALL", "max_results": RUNS,
            "order_by": ["attributes.start_time ASC"],
        });
        put_token(&mut body, token);
        let make = || self.request(Method::POST, &format!("{API}/runs/search")).json(&body);
        let answer: Answer =
            self.json(&format!("the runs of experiment {experiment}"), make).await?;
        Ok((answer.runs.into_iter().map(ordered_run).collect(), next(answer.next_page_token)))
    }

    /// One run.
    ///
    /// # Errors
    /// It is not there; the server fails.
    pub async fn run(&self, id: &str) -> Result<Run, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            run: Run,
        }
        let make = || {
            self.request(Method::GET, &format!("{API}/runs/get"))
                .query(&[("run_id", id), ("run_uuid", id)])
        };
        let answer: Answer = self.json(&format!("run {id}"), make).await?;
        Ok(ordered_run(answer.run))
    }

    /// A page of the points of a metric. Servers of 2.x answer all of them at once.
    ///
    /// # Errors
    /// The server fails.
    pub async fn history(
        &self,
        run: &str,
        key: &str,
        token: Option<&str>,
    ) -> Result<Page<Metric>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            metrics: Vec<Metric>,
            next_page_token: Option<String>,
        }
        let make = || {
            let most = POINTS.to_string();
            let request =
                self.request(Method::GET, &format!("{API}/metrics/get-history")).query(&[
                    ("run_id", run),
                    ("run_uuid", run),
                    ("metric_key", key),
                    ("max_results", &most),
                ]);
            match token {
                Some(token) => request.query(&[("page_token", token)]),
                None => request,
            }
        };
        let answer: Answer = self.json(&format!("the metric `{key}` of run {run}"), make).await?;
        Ok((answer.metrics, next(answer.next_page_token)))
    }

    /// A page of the logged models of an experiment; none where the server knows none.
    ///
    /// # Errors
    /// The server fails.
    pub async fn logged_models(
        &self,
        experiment: &str,
        token: Option<&str>,
    ) -> Result<Page<LoggedModel>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            models: Vec<LoggedModel>,
            next_page_token: Option<String>,
        }
        let mut body = json!({"experiment_ids": [experiment], "max_results": 50});
        put_token(&mut body, token);
        let make =
            || self.request(Method::POST, &format!("{API}/logged-models/search")).json(&body);
        let what = format!("the logged models of experiment {experiment}");
        match self.json::<Answer>(&what, make).await {
            Ok(answer) => Ok((
                answer.models.into_iter().map(ordered_model).collect(),
                next(answer.next_page_token),
            )),
            // Before MLflow 3 there is no such path.
            Err(SourceError::NotMlflow { status: 404 | 405, .. })
            | Err(SourceError::Refused { status: 404 | 405, .. }) => Ok((Vec::new(), None)),
            Err(error) => Err(error),
        }
    }

    /// One logged model.
    ///
    /// # Errors
    /// It is not there; the server fails.
    pub async fn logged_model(&self, id: &str) -> Result<LoggedModel, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            model: LoggedModel,
        }
        let address = format!("{API}/logged-models{}", path(&[id]));
        let make = || self.request(Method::GET, &address);
        let answer: Answer = self.json(&format!("logged model {id}"), make).await?;
        Ok(ordered_model(answer.model))
    }

    /// All registered models, and the texts that MLflow keeps as such.
    ///
    /// # Errors
    /// The server fails.
    pub async fn models(&self) -> Result<Vec<RegisteredModel>, SourceError> {
        let mut all = self.models_where(None).await?;
        match self.models_where(Some(PROMPTS)).await {
            Ok(prompts) => all.extend(prompts),
            // Before there were such texts, the filter cannot be read.
            Err(SourceError::Refused { status: 400, .. }) => {}
            Err(error) => return Err(error),
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        Ok(all)
    }

    /// One registered model.
    ///
    /// # Errors
    /// It is not there; the server fails.
    pub async fn registered_model(&self, name: &str) -> Result<RegisteredModel, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            registered_model: RegisteredModel,
        }
        let make = || {
            self.request(Method::GET, &format!("{API}/registered-models/get"))
                .query(&[("name", name)])
        };
        let answer: Answer = self.json(&format!("model `{name}`"), make).await?;
        let mut model = answer.registered_model;
        model.tags.sort();
        model.aliases.sort();
        Ok(model)
    }

    async fn models_where(
        &self,
        filter: Option<&str>,
    ) -> Result<Vec<RegisteredModel>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            registered_models: Vec<RegisteredModel>,
            next_page_token: Option<String>,
        }
        let (mut all, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("max_results", PAGE.to_string())];
            query.extend(filter.map(|filter| ("filter", filter.to_owned())));
            query.extend(token.clone().map(|token| ("page_token", token)));
            let make = || {
                self.request(Method::GET, &format!("{API}/registered-models/search")).query(&query)
            };
            let answer: Answer = self.json("registered models", make).await?;
            all.extend(answer.registered_models.into_iter().map(|mut model| {
                model.tags.sort();
                model.aliases.sort();
                model
            }));
            let next = next(answer.next_page_token);
            if next.is_none() || next == token {
                return Ok(all);
            }
            token = next;
        }
    }

    /// All versions of a model, by number.
    ///
    /// # Errors
    /// A name that no filter can hold; the server fails.
    pub async fn versions(&self, model: &str) -> Result<Vec<ModelVersion>, SourceError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            model_versions: Vec<ModelVersion>,
            next_page_token: Option<String>,
        }
        let what = format!("the versions of model `{model}`");
        let quote = match (model.contains('\''), model.contains('"')) {
            (false, _) => '\'',
            (true, false) => '"',
            (true, true) => {
                let message = "a name with both kinds of quotes cannot be asked for".to_owned();
                return Err(SourceError::Odd { what, message });
            }
        };
        let filter = format!("name={quote}{model}{quote}");
        let (mut all, mut token) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("filter", filter.clone()), ("max_results", "1000".to_owned())];
            query.extend(token.clone().map(|token| ("page_token", token)));
            let make =
                || self.request(Method::GET, &format!("{API}/model-versions/search")).query(&query);
            let answer: Answer = self.json(&what, make).await?;
            all.extend(answer.model_versions.into_iter().map(|mut version| {
                version.tags.sort();
                version
            }));
            let next = next(answer.next_page_token);
            if next.is_none() || next == token {
                break;
            }
            token = next;
        }
        all.sort_by_key(|version| version.version.parse::<i64>().unwrap_or(i64::MAX));
        Ok(all)
    }
}

fn put_token(body: &mut Value, token: Option<&str>) {
    if let (Some(token), Value::Object(fields)) = (token, body) {
        fields.insert("page_token".to_owned(), json!(token));
    }
}

/// By number, as people made them.
fn sorted(mut all: Vec<Experiment>) -> Vec<Experiment> {
    all.iter_mut().for_each(|experiment| experiment.tags.sort());
    all.sort_by_key(|experiment| experiment.experiment_id.parse::<i64>().unwrap_or(i64::MAX));
    all.dedup_by(|a, b| a.experiment_id == b.experiment_id);
    all
}

/// In an order that does not depend on the server's mood.
fn ordered_run(mut run: Run) -> Run {
    run.data.metrics.sort_by(|a, b| a.key.cmp(&b.key));
    run.data.params.sort();
    run.data.tags.sort();
    run.inputs.model_inputs.sort();
    run.outputs.model_outputs.sort();
    for input in &mut run.inputs.dataset_inputs {
        input.tags.sort();
    }
    run
}

fn ordered_model(mut model: LoggedModel) -> LoggedModel {
    model.info.tags.sort();
    model.data.params.sort();
    model.data.metrics.sort_by(|a, b| {
        (&a.key, &a.run_id, a.timestamp, a.step).cmp(&(&b.key, &b.run_id, b.timestamp, b.step))
    });
    model
}
