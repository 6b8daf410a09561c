//! MLflow's paths in the OpenAPI document: what is served, in one table.
//!
//! Arguments and answers are those of MLflow's own REST reference; repeating them here would only
//! make a second truth. `docs/mlflow.md` says what differs.

use serde_json::json;
use utoipa::openapi::{
    ContentBuilder, HttpMethod, OpenApi, Response, ResponseBuilder,
    extensions::ExtensionsBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
};

use crate::refusal::Code;

/// Methods, path, and what it does.
type Path = (&'static str, &'static str, &'static str);

/// The paths, by what they ask of their caller: as [`rest::openapi::Actions`] reads it.
const PATHS: &[(&[&str], &[Path])] = &[
    (
        &["view:experiment"],
        &[
            (
                "GET",
                "/api/2.0/mlflow/experiments/get",
                "One experiment, by `experiment_id`, deleted or not",
            ),
            (
                "GET",
                "/api/2.0/mlflow/experiments/get-by-name",
                "One experiment, by `experiment_name`",
            ),
            (
                "GET",
                "/api/2.0/mlflow/runs/get",
                "One run, with its latest metrics, params, tags, inputs and outputs",
            ),
            ("GET", "/api/2.0/mlflow/metrics/get-history", "All points of a metric, paged"),
            (
                "GET",
                "/api/2.0/mlflow/metrics/get-history-bulk",
                "The points of a metric of several runs",
            ),
            (
                "GET",
                "/api/2.0/mlflow/metrics/get-history-bulk-interval",
                "A metric of several runs, sampled over steps",
            ),
            ("GET", "/api/2.0/mlflow/artifacts/list", "The files of a run"),
            ("GET", "/api/2.0/mlflow/logged-models/{model_id}", "One logged model"),
            (
                "GET",
                "/api/2.0/mlflow/logged-models/{model_id}/artifacts/directories",
                "The files of a logged model",
            ),
        ],
    ),
    (
        &["each view:experiment"],
        &[
            (
                "GET,POST",
                "/api/2.0/mlflow/experiments/search",
                "Experiments by filter, in order, paged",
            ),
            (
                "POST",
                "/api/2.0/mlflow/experiments/search-datasets",
                "The datasets that runs of these experiments used",
            ),
            ("POST", "/api/2.0/mlflow/runs/search", "Runs by filter, in order, paged"),
            (
                "POST",
                "/api/2.0/mlflow/logged-models/search",
                "Logged models by filter, in order, paged",
            ),
        ],
    ),
    (
        &["register:experiment"],
        &[
            ("POST", "/api/2.0/mlflow/experiments/create", "Makes an experiment"),
            ("POST", "/api/2.0/mlflow/runs/create", "Starts a run"),
            ("POST", "/api/2.0/mlflow/runs/update", "Changes a run's status, end time or name"),
            ("POST", "/api/2.0/mlflow/runs/log-metric", "Logs one value of a metric"),
            ("POST", "/api/2.0/mlflow/runs/log-parameter", "Logs a param, once"),
            (
                "POST",
                "/api/2.0/mlflow/runs/log-batch",
                "Logs metrics, params and tags, all or none",
            ),
            (
                "POST",
                "/api/2.0/mlflow/runs/log-inputs",
                "Says which datasets and models a run took in",
            ),
            ("POST", "/api/2.0/mlflow/runs/outputs", "Says which models a run put out"),
            (
                "POST",
                "/api/2.0/mlflow/runs/log-model",
                "Says that a run logged a model, as clients of 2.x do",
            ),
            ("POST", "/api/2.0/mlflow/runs/set-tag", "Sets a tag"),
            ("POST", "/api/2.0/mlflow/runs/delete-tag", "Deletes a tag"),
        ],
    ),
    (
        &["edit:experiment"],
        &[
            ("POST", "/api/2.0/mlflow/experiments/update", "Renames an experiment"),
            ("POST", "/api/2.0/mlflow/experiments/set-experiment-tag", "Sets a tag"),
            ("POST", "/api/2.0/mlflow/experiments/delete-experiment-tag", "Deletes a tag"),
            ("POST", "/api/2.0/mlflow/logged-models", "Makes a logged model"),
            (
                "PATCH",
                "/api/2.0/mlflow/logged-models/{model_id}",
                "Ends the making of a logged model",
            ),
            ("PATCH", "/api/2.0/mlflow/logged-models/{model_id}/tags", "Sets tags"),
            ("DELETE", "/api/2.0/mlflow/logged-models/{model_id}/tags/{tag_key}", "Deletes a tag"),
            ("POST", "/api/2.0/mlflow/logged-models/{model_id}/params", "Logs params, once"),
            ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{path}", "Stores a file"),
            (
                "DELETE",
                "/api/2.0/mlflow-artifacts/artifacts/{path}",
                "Deletes a file, or what is below a folder",
            ),
            (
                "POST",
                "/api/2.0/mlflow-artifacts/mpu/create/{path}",
                "Begins an upload in parts, where artifacts lie on S3",
            ),
            ("POST", "/api/2.0/mlflow-artifacts/mpu/complete/{path}", "Ends an upload in parts"),
            ("POST", "/api/2.0/mlflow-artifacts/mpu/abort/{path}", "Gives an upload in parts up"),
        ],
    ),
    (
        &["delete:experiment"],
        &[
            (
                "POST",
                "/api/2.0/mlflow/experiments/delete",
                "Deletes an experiment and its runs, until they are restored",
            ),
            (
                "POST",
                "/api/2.0/mlflow/experiments/restore",
                "Restores a deleted experiment and its runs",
            ),
            ("POST", "/api/2.0/mlflow/runs/delete", "Deletes a run, until it is restored"),
            ("POST", "/api/2.0/mlflow/runs/restore", "Restores a deleted run"),
            ("DELETE", "/api/2.0/mlflow/logged-models/{model_id}", "Deletes a logged model"),
        ],
    ),
    (
        &["register:model", "view:model when the name is taken"],
        &[("POST", "/api/2.0/mlflow/registered-models/create", "Makes a model")],
    ),
    (
        &["view:model"],
        &[
            ("GET", "/api/2.0/mlflow/registered-models/get", "One model"),
            (
                "GET,POST",
                "/api/2.0/mlflow/registered-models/get-latest-versions",
                "The newest version in each stage",
            ),
            (
                "GET",
                "/api/2.0/mlflow/registered-models/alias",
                "The version that an alias points to",
            ),
            ("GET", "/api/2.0/mlflow/model-versions/get", "One version"),
            (
                "GET",
                "/api/2.0/mlflow/model-versions/get-download-uri",
                "Where a version's files are",
            ),
        ],
    ),
    (
        &["each view:model"],
        &[
            (
                "GET",
                "/api/2.0/mlflow/registered-models/search",
                "Models by filter, in order, paged",
            ),
            ("GET", "/api/2.0/mlflow/model-versions/search", "Versions by filter, in order, paged"),
        ],
    ),
    (
        &["edit:model", "view:model"],
        &[
            ("POST", "/api/2.0/mlflow/registered-models/rename", "Renames a model"),
            ("PATCH", "/api/2.0/mlflow/registered-models/update", "Changes a model's description"),
        ],
    ),
    (
        &["delete:model"],
        &[("DELETE", "/api/2.0/mlflow/registered-models/delete", "Deletes a model")],
    ),
    (
        &["edit:model"],
        &[
            ("POST", "/api/2.0/mlflow/registered-models/set-tag", "Sets a tag"),
            ("DELETE", "/api/2.0/mlflow/registered-models/delete-tag", "Deletes a tag"),
            ("PATCH", "/api/2.0/mlflow/model-versions/update", "Changes a version's description"),
            ("POST", "/api/2.0/mlflow/model-versions/set-tag", "Sets a tag"),
            ("DELETE", "/api/2.0/mlflow/model-versions/delete-tag", "Deletes a tag"),
        ],
    ),
    (
        &["promote:model"],
        &[
            (
                "POST",
                "/api/2.0/mlflow/registered-models/alias",
                "Points an alias to a version; endpoints that follow it get a release",
            ),
            (
                "POST",
                "/api/2.0/mlflow/model-versions/transition-stage",
                "Moves a version to a stage; endpoints that follow it get a release",
            ),
        ],
    ),
    (
        &["promote:model", "view:model when it is not set"],
        &[("DELETE", "/api/2.0/mlflow/registered-models/alias", "Unsets an alias")],
    ),
    (
        &[
            "register:model",
            "view:experiment when its files are a run's",
            "view:model when its files are another version's",
        ],
        &[("POST", "/api/2.0/mlflow/model-versions/create", "Registers a version")],
    ),
    (
        &["delete:model", "promote:model"],
        &[("DELETE", "/api/2.0/mlflow/model-versions/delete", "Deletes a version")],
    ),
    (
        &["administer:platform"],
        &[
            ("GET", "/api/2.0/mlflow/webhooks", "Webhooks, paged"),
            ("POST", "/api/2.0/mlflow/webhooks", "Makes a webhook"),
            ("GET", "/api/2.0/mlflow/webhooks/{webhook_id}", "One webhook"),
            ("PATCH", "/api/2.0/mlflow/webhooks/{webhook_id}", "Changes a webhook"),
            ("DELETE", "/api/2.0/mlflow/webhooks/{webhook_id}", "Deletes a webhook"),
            ("POST", "/api/2.0/mlflow/webhooks/{webhook_id}/test", "Sends a webhook an example"),
        ],
    ),
    (
        &[
            "view:experiment when it is a run's or a logged model's",
            "view:model when it is a version's",
        ],
        &[
            ("GET", "/api/2.0/mlflow-artifacts/artifacts", "What is below a folder"),
            (
                "GET,HEAD",
                "/api/2.0/mlflow-artifacts/artifacts/{path}",
                "A file's bytes; `Range` and `If-None-Match` are understood",
            ),
            (
                "GET",
                "/api/2.0/mlflow-artifacts/presigned/{path}",
                "A URL that downloads a file from S3",
            ),
        ],
    ),
    (
        &["none because it names the server and what it can do"],
        &[("GET", "/api/3.0/mlflow/server-info", "What this server can do")],
    ),
    // What these ask depends on the user that they are about; `docs/mlflow.md` says it.
    (
        &["administer:platform"],
        &[
            ("POST", "/api/2.0/mlflow/users/create", "Makes a user with a password"),
            (
                "PATCH",
                "/api/2.0/mlflow/users/update-admin",
                "Makes a user an administrator of the platform, or takes that back",
            ),
            ("DELETE", "/api/2.0/mlflow/users/delete", "Deletes a user"),
            ("POST", "/api/3.0/mlflow/roles/create", "Makes a role"),
            ("PATCH", "/api/3.0/mlflow/roles/update", "Changes a role's name or description"),
            ("DELETE", "/api/3.0/mlflow/roles/delete", "Deletes a role with what it permits"),
            ("POST", "/api/3.0/mlflow/roles/assign", "Gives a role to a user"),
            ("DELETE", "/api/3.0/mlflow/roles/unassign", "Takes a role from a user"),
            (
                "DELETE",
                "/api/3.0/mlflow/roles/permissions/remove",
                "Takes a permission from a role",
            ),
            ("PATCH", "/api/3.0/mlflow/roles/permissions/update", "Changes a role's permission"),
        ],
    ),
    (
        &["audit|administer:platform when it is about somebody else"],
        &[
            ("GET", "/api/2.0/mlflow/users/get", "A user"),
            (
                "GET",
                "/api/3.0/mlflow/users/permissions/list",
                "What a user and their roles were given",
            ),
            ("GET", "/api/3.0/mlflow/users/roles/list", "A user's roles"),
        ],
    ),
    (
        &["audit|administer:platform"],
        &[
            ("GET", "/api/2.0/mlflow/users/list", "All users with their roles"),
            ("GET", "/api/3.0/mlflow/roles/list", "All roles"),
            ("GET", "/api/3.0/mlflow/roles/users/list", "Who has a role"),
        ],
    ),
    (
        &["self"],
        &[
            ("GET", "/api/2.0/mlflow/users/current", "Who calls"),
            ("GET", "/api/3.0/mlflow/users/current/permissions", "What the caller was given"),
        ],
    ),
    (
        &["administer:platform when it is somebody else's"],
        &[("PATCH", "/api/2.0/mlflow/users/update-password", "Gives a user another password")],
    ),
    (
        &["administer:experiment"],
        &[
            (
                "POST",
                "/api/2.0/mlflow/experiments/permissions/create",
                "Gives a user a permission on an experiment",
            ),
            (
                "GET",
                "/api/2.0/mlflow/experiments/permissions/get",
                "What a user was given on an experiment",
            ),
            (
                "PATCH",
                "/api/2.0/mlflow/experiments/permissions/update",
                "Gives a user another permission on an experiment",
            ),
            (
                "DELETE",
                "/api/2.0/mlflow/experiments/permissions/delete",
                "Takes a user's permission on an experiment back",
            ),
        ],
    ),
    (
        &["administer:model"],
        &[
            (
                "POST",
                "/api/2.0/mlflow/registered-models/permissions/create",
                "Gives a user a permission on a model",
            ),
            (
                "GET",
                "/api/2.0/mlflow/registered-models/permissions/get",
                "What a user was given on a model",
            ),
            (
                "PATCH",
                "/api/2.0/mlflow/registered-models/permissions/update",
                "Gives a user another permission on a model",
            ),
            (
                "DELETE",
                "/api/2.0/mlflow/registered-models/permissions/delete",
                "Takes a user's permission on a model back",
            ),
        ],
    ),
    (
        &["administer:any"],
        &[
            (
                "POST",
                "/api/3.0/mlflow/users/permissions/grant",
                "Gives a user a permission on an experiment, a model, or all of them",
            ),
            ("POST", "/api/3.0/mlflow/users/permissions/revoke", "Takes a user's permission back"),
        ],
    ),
    (
        &["administer:any", "audit|administer:platform when the caller does not administer it"],
        &[(
            "GET",
            "/api/3.0/mlflow/users/permissions/get",
            "What a user may in the end, roles, teams and policies taken together",
        )],
    ),
    (
        &["audit|administer:platform when the role is not the caller's"],
        &[
            ("GET", "/api/3.0/mlflow/roles/get", "A role with what it permits"),
            ("GET", "/api/3.0/mlflow/roles/permissions/list", "What a role permits"),
        ],
    ),
    (
        &["administer:platform", "administer:any when the role is there"],
        &[("POST", "/api/3.0/mlflow/roles/permissions/add", "Adds a permission to a role")],
    ),
];

/// Errors that every path may answer.
const REFUSALS: &[(Code, &str)] = &[
    (Code::InvalidParameterValue, "an argument is missing or wrong"),
    (Code::Unauthenticated, "no credentials, or none that we know"),
    (Code::PermissionDenied, "not allowed, or a promotion rule or quota says no"),
    (Code::ResourceDoesNotExist, "what it is about is not there"),
    (Code::InternalError, "our fault"),
    (Code::TemporarilyUnavailable, "a dependency is away"),
];

fn paths() -> impl Iterator<Item = (&'static [&'static str], &'static Path)> {
    PATHS.iter().flat_map(|(needs, paths)| paths.iter().map(move |path| (*needs, path)))
}

/// Adds MLflow's paths to a document. Each is served under `/ajax-api` as well.
pub fn describe(document: &mut OpenApi) {
    for (needs, (methods, path, summary)) in paths() {
        for method in methods.split(',') {
            let Some(method) = http_method(method) else { continue };
            let told = ExtensionsBuilder::new().add("x-bottega-action", json!(needs));
            let mut operation = OperationBuilder::new()
                .tag("mlflow")
                .summary(Some(*summary))
                .extensions(Some(told.build()))
                .response("200", ResponseBuilder::new().description("As MLflow answers"));
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                operation = operation.parameter(
                    ParameterBuilder::new()
                        .name(name.trim_end_matches('}'))
                        .parameter_in(ParameterIn::Path),
                );
            }
            for (code, meaning) in REFUSALS {
                operation = operation.response(code.status().as_str(), refusal(*code, meaning));
            }
            document.paths.add_path_operation(*path, vec![method], operation.build());
        }
    }
}

fn refusal(code: Code, meaning: &str) -> Response {
    let example = json!({"error_code": code.as_str(), "message": meaning});
    ResponseBuilder::new()
        .description(format!("`{}`: {meaning}", code.as_str()))
        .content("application/json", ContentBuilder::new().example(Some(example)).build())
        .build()
}

fn http_method(name: &str) -> Option<HttpMethod> {
    Some(match name {
        "GET" => HttpMethod::Get,
        "HEAD" => HttpMethod::Head,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        http::{Method, StatusCode},
        test,
    };

    use super::*;

    #[actix_web::test]
    async fn every_path_of_the_document_is_taken_by_a_handler() {
        let app = test::init_service(App::new().configure(crate::routes)).await;
        for (_, (methods, path, _)) in paths() {
            for method in methods.split(',') {
                let method: Method = method.parse().unwrap();
                let uri = path.replace(['{', '}'], "");
                let request = test::TestRequest::with_uri(&uri).method(method.clone());
                let status = test::call_service(&app, request.to_request()).await.status();
                // Without its states a handler ends in 500, or refuses for want of a caller.
                let nobody = [StatusCode::NOT_FOUND, StatusCode::NOT_IMPLEMENTED];
                assert!(!nobody.contains(&status), "{method} {path}: {status}");
            }
        }
    }
}
