//! Parameters in a URL's path and query.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use domain::{ErrorCode, Problem};
use serde::{Deserialize, de::DeserializeOwned};

use super::{refusal, text};
use crate::ApiError;

/// The parameters of a route's pattern, percent-decoded, as a struct with their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<T>(pub T);

/// A URL's query as a struct with the parameters' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T>(pub T);

/// For operations without parameters in the query: any is refused by name, not passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoQuery;

impl<T: DeserializeOwned> FromRequest for Path<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let names = request.match_info().iter().map(|(name, _)| name.to_owned());
        ready(match web::Path::<Vec<String>>::extract(request).into_inner() {
            Ok(texts) => decode(names.zip(texts.into_inner())).map(Self).map_err(ApiError),
            Err(_) => Err(unreadable("path")),
        })
    }
}

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        ready(match pairs {
            Ok(pairs) => decode(pairs.into_inner()).map(Self).map_err(ApiError),
            Err(_) => Err(unreadable("query")),
        })
    }
}

impl FromRequest for NoQuery {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let found = Query::<Nothing>::from_request(request, payload).into_inner();
        ready(found.map(|Query(Nothing {})| Self))
    }
}

fn unreadable(what: &str) -> ApiError {
    ApiError(Problem::new(ErrorCode::Invalid, format!("the URL's {what} cannot be read")))
}

fn decode<T: DeserializeOwned>(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> Result<T, Problem> {
    serde_path_to_error::deserialize(text::deserializer(pairs))
        .map_err(|error| refusal(error.path(), &error.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, HttpResponse};
    use domain::{ModelName, Stage, Timestamp};

    use super::*;
    use crate::PageQuery;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct VersionPath {
        name: ModelName,
        version: i32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        search: Option<String>,
        force: Option<bool>,
        stage: Option<Stage>,
        since: Option<Timestamp>,
        ratio: Option<f32>,
    }

    async fn path(uri: &str) -> String {
        let show = |Path(path): Path<VersionPath>| async move {
            HttpResponse::Ok().body(format!("{}|{}", path.name, path.version))
        };
        let app = App::new().route("/models/{name}/versions/{version}", web::get().to(show));
        let app = init_service(app).await;
        let answer = call_service(&app, TestRequest::with_uri(uri).to_request()).await;
        String::from_utf8(read_body(answer).await.to_vec()).unwrap()
    }

    async fn query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
        let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
        Query::<T>::extract(&request).await.map(|Query(query)| query).map_err(|error| error.0)
    }

    #[actix_web::test]
    async fn names_in_a_path_are_decoded_once() {
        for (uri, expected) in [
            ("/models/fraud/versions/3", "fraud|3"),
            ("/models/credit%20risk/versions/3", "credit risk|3"),
            ("/models/%C5%BEivotn%C3%AD/versions/3", "životní|3"),
            ("/models/100%2525/versions/3", "100%25|3"),
        ] {
            assert_eq!(path(uri).await, expected);
        }
    }

    #[actix_web::test]
    async fn a_wrong_parameter_of_a_path_is_refused_by_name() {
        let refusal = |body: &str| {
            let body: crate::ErrorBody = serde_json::from_str(body).unwrap();
            (body.error.field.unwrap(), body.error.message)
        };
        for (uri, field, message) in [
            (
                "/models/fraud/versions/x",
                "version",
                "`x`: expected a whole number from -2147483648 to 2147483647",
            ),
            ("/models/a%2Fb/versions/3", "name", "a model's name may not hold `/`: `a/b`"),
        ] {
            assert_eq!(refusal(&path(uri).await), (field.to_owned(), message.to_owned()));
        }
    }

    #[actix_web::test]
    async fn a_good_query_is_taken() {
        let good = "search=a+b%26&force=true&stage=Staging&since=2026-01-02T03:04:05Z&ratio=0.5";
        let filter: Filter = query(good).await.unwrap();
        assert_eq!(filter.search.as_deref(), Some("a b&"));
        assert_eq!(
            (filter.force, filter.stage),
            (Some(true), Some("Staging".parse::<Stage>().unwrap()))
        );
        assert_eq!(filter.since.unwrap().to_rfc3339(), "2026-01-02T03:04:05+00:00");
        assert_eq!(filter.ratio, Some(0.5));
        let page: PageQuery = query("cursor=62&limit=5").await.unwrap();
        assert_eq!((page.cursor.as_deref(), page.limit), (Some("62"), Some(5)));
    }

    #[actix_web::test]
    async fn a_wrong_parameter_of_a_query_is_refused_by_name() {
        for (wrong, field, message) in [
            (
                "sarch=a",
                "sarch",
                "unknown field `sarch`, expected one of `search`, `force`, `stage`, `since`, `ratio`",
            ),
            ("force=yes", "force", "`yes`: expected `true` or `false`"),
            ("ratio=x", "ratio", "`x`: expected a number"),
            ("stage=a/b", "stage", "a stage may not hold `/`: `a/b`"),
            ("search=a&search=b", "search", "duplicate field `search`"),
        ] {
            let problem = query::<Filter>(wrong).await.unwrap_err();
            assert_eq!(
                (problem.field.as_deref(), problem.message.as_str()),
                (Some(field), message)
            );
        }
        let request = TestRequest::with_uri("/?as_of=x").to_http_request();
        let problem = NoQuery::extract(&request).await.unwrap_err().0;
        assert_eq!(problem.field.as_deref(), Some("as_of"));
        let request = TestRequest::with_uri("/").to_http_request();
        assert!(NoQuery::extract(&request).await.is_ok());
        let problem = query::<PageQuery>("limit=-1").await.unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("limit"));
        assert_eq!(problem.message, "`-1`: expected a whole number from 0 to 4294967295");
    }
}
