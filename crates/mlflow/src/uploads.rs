//! `/upload-artifact`: a small file into a run's folder, for whoever has no more than HTTP.

use actix_web::{
    HttpResponse,
    body::{BodyStream, to_bytes_limited},
    web::{Bytes, Data, Payload, Query, ServiceConfig, post},
};
use auth::{Access, Caller, verbs};
use domain::Resource;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tracking::{State, files};

use crate::refusal::{Answer, Refusal};

/// The longest file in bytes; the artifact proxy takes longer ones.
const LONGEST: usize = 10 << 20;

/// Below `/api/2.0/mlflow`.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/upload-artifact", post().to(upload));
}

#[derive(Debug, Deserialize)]
struct Place {
    run_uuid: Option<String>,
    path: Option<String>,
}

async fn upload(
    caller: Caller,
    access: Data<Access>,
    state: Data<State>,
    Query(place): Query<Place>,
    payload: Payload,
) -> Answer {
    let given = |argument: Option<String>, name: &str| {
        argument
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Refusal::invalid(format!("Request must specify {name}.")))
    };
    let run = given(place.run_uuid, "run_uuid")?;
    let path = files::path(&given(place.path, "path")?)?;
    let root = files::root_of_run(&state, &run).await?;
    let resource = Resource::Experiment(root.experiment.to_string());
    let permit = access.authorize::<verbs::Edit>(&caller, resource)?;
    let data = to_bytes_limited(BodyStream::new(payload), LONGEST)
        .await
        .map_err(|_| {
            Refusal::invalid(
                "Artifact size is too large. Max size is 10MB: use /api/2.0/mlflow-artifacts/artifacts.",
            )
        })?
        .map_err(|_| Refusal::invalid("the body broke off before its end"))?;
    if data.is_empty() {
        return Err(Refusal::invalid("Request must specify data."));
    }
    let path = files::under(&root, path.as_str())?;
    let whole = stream::iter([Ok::<Bytes, domain::Problem>(data)]);
    files::put(&state, &permit, root.experiment, &path, whole).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}
