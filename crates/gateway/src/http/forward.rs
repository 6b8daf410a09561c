//! Requests for endpoints that other nodes hold: handed on as they are, once at most.

mod relay;

use std::{borrow::Cow, sync::LazyLock, time::Duration};

use actix_web::{
    HttpMessage as _, HttpResponse,
    body::SizedStream,
    dev::{Payload, ServiceRequest},
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use auth::{FORWARDED, Origin};
use domain::{ErrorCode, Problem};
use futures_util::{FutureExt as _, future::LocalBoxFuture};
use percent_encoding::percent_decode_str;
use reqwest::redirect::Policy;
use store::serving::Holder;

use self::relay::Relay;
use super::{body, refusal};
use crate::{
    State,
    elsewhere::{Elsewhere, nobody},
    live::Route,
    predict::PATIENCE,
};

/// How long another node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// Connections are closed before the other node does it.
const IDLE: Duration = Duration::from_secs(60);
/// How long an answer may take beside what the request may.
const SLACK: Duration = Duration::from_secs(5);

/// Headers that are of one connection. Nodes agree on their own.
const OF_A_CONNECTION: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Hands requests on to the nodes that hold their endpoints.
pub struct Forwarder {
    state: State,
    client: LazyLock<Option<reqwest::Client>>,
}

impl Forwarder {
    /// For a node.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, client: LazyLock::new(client) }
    }
}

fn client() -> Option<reqwest::Client> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .build();
    client.inspect_err(|error| tracing::error!(%error, "no request can be handed on")).ok()
}

impl auth::http::Elsewhere for Forwarder {
    fn is_asked(&self) -> bool {
        self.state.any_elsewhere.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn answer<'a>(
        &'a self,
        request: &'a mut ServiceRequest,
        origin: Origin,
    ) -> LocalBoxFuture<'a, Option<HttpResponse>> {
        async move {
            let endpoint = endpoint_of(request.path())?.into_owned();
            let route = at_hand(&self.state, &endpoint).await?;
            let answered = self.forward(request, &route, origin).await;
            if let Some(elsewhere) = &route.elsewhere {
                elsewhere.counts.count(answered.is_ok());
            }
            Some(answered.unwrap_or_else(|problem| {
                let answer = refusal(request.path(), problem);
                answer.unwrap_or_else(|problem| {
                    actix_web::ResponseError::error_response(&rest::ApiError(problem))
                })
            }))
        }
        .boxed_local()
    }
}

/// The route to an endpoint that others hold, once it is known who; nothing where this node answers.
pub(crate) async fn at_hand(state: &State, endpoint: &str) -> Option<std::sync::Arc<Route>> {
    let look = || {
        let route = state.live.load().get(endpoint).cloned();
        route.filter(|route| route.elsewhere.is_some())
    };
    let is_awaited = |route: &Route| route.elsewhere.as_ref().is_some_and(|it| it.is_awaited());
    if !is_awaited(&*look()?) {
        return look();
    }
    // A node may have died just now, and others are about to hold it; or it was released just now.
    let mut swaps = state.swapped.subscribe();
    let is_known = |_: &()| look().is_none_or(|route| !is_awaited(&route));
    let _late = tokio::time::timeout(PATIENCE, swaps.wait_for(is_known)).await;
    look()
}

impl Forwarder {
    async fn forward(
        &self,
        request: &mut ServiceRequest,
        route: &Route,
        origin: Origin,
    ) -> Result<HttpResponse, Problem> {
        let gone = || nobody(&route.name);
        let elsewhere = route.elsewhere.as_deref().ok_or_else(gone)?;
        let client = self.client.as_ref().ok_or_else(Problem::internal)?;
        let claim = self.state.given.authenticator.forward(request.method().as_str(), origin);
        let headers = passed_on(request, &claim);
        let patience = request.app_data().copied().unwrap_or_default();
        let payload = request.take_payload();
        let has_body = !matches!(payload, Payload::None) && !request.method().is_safe();
        let relay = Relay::new(payload, patience);
        for (at, holder) in elsewhere.in_turn() {
            let url = format!("{}{}", holder.url, path_of(request));
            let method = converted_method(request.method());
            let mut asked = client.request(method, url).headers(headers.clone());
            if has_body {
                asked = asked.body(reqwest::Body::wrap_stream(relay.stream()));
            }
            // What is asked may wait until it is loaded, and then be computed.
            let longest = route.deadline * 2 + SLACK;
            let late = async {
                if has_body {
                    relay.read().await;
                }
                tokio::time::sleep(longest).await;
            };
            let answer = tokio::select! {
                answer = asked.send() => answer,
                () = late => {
                    elsewhere.avoid(at);
                    return Err(too_late(&route.name));
                }
            };
            match answer {
                Ok(answer) => return Ok(handed_back(answer)),
                Err(error) if error.is_connect() => unreachable(elsewhere, at, holder, &error),
                Err(_) if relay.is_broken() => return Err(body::broken_off()),
                Err(error) => {
                    elsewhere.avoid(at);
                    tracing::warn!(endpoint = route.name, node = holder.url, %error, "a node broke off");
                    return Err(broken_off(&route.name));
                }
            }
        }
        Err(gone())
    }
}

/// The next node is asked instead, as nothing was sent yet.
fn unreachable(elsewhere: &Elsewhere, at: usize, holder: &Holder, error: &reqwest::Error) {
    tracing::debug!(node = holder.url, %error, "a node cannot be reached");
    elsewhere.pass_over(at);
}

/// The node that was asked went away, and nobody knows how far it had come.
pub(crate) fn broken_off(endpoint: &str) -> Problem {
    Problem::unavailable(format!("the node that holds endpoint `{endpoint}` broke off"))
        .hint("try again")
}

pub(crate) fn too_late(endpoint: &str) -> Problem {
    let message = format!("the node that holds endpoint `{endpoint}` did not answer in time");
    Problem::new(ErrorCode::Timeout, message)
}

fn path_of(request: &ServiceRequest) -> &str {
    request.uri().path_and_query().map_or("/", |path| path.as_str())
}

fn converted_method(method: &Method) -> reqwest::Method {
    reqwest::Method::from_bytes(method.as_str().as_bytes()).unwrap_or_default()
}

/// The caller's headers, and where the request came from.
fn passed_on(request: &ServiceRequest, claim: &str) -> reqwest::header::HeaderMap {
    use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
    let mut headers = HeaderMap::with_capacity(request.headers().len() + 3);
    for (name, value) in request.headers() {
        if is_passed_on(request.headers(), name)
            && let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_str().as_bytes()),
                HeaderValue::from_bytes(value.as_bytes()),
            )
        {
            headers.append(name, value);
        }
    }
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    // Signatures are of the name that the caller used, which HTTP/2 has elsewhere.
    put(HOST, request.connection_info().host());
    put(HeaderName::from_static("x-request-id"), rest::request_id().as_str());
    put(HeaderName::from_static(FORWARDED), claim);
    headers
}

/// Whether a header is not of the connection that it came by.
fn is_passed_on(all: &HeaderMap, name: &HeaderName) -> bool {
    let is_named = || {
        let mut lines = all.get_all(header::CONNECTION).filter_map(|line| line.to_str().ok());
        lines.any(|line| line.split(',').any(|it| it.trim().eq_ignore_ascii_case(name.as_str())))
    };
    !OF_A_CONNECTION.contains(name) && !is_named()
}

/// The other node's answer as ours.
fn handed_back(answer: reqwest::Response) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status().as_u16());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::BAD_GATEWAY));
    for (name, value) in answer.headers() {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        let (Ok(name), Ok(value)) = (name, value) else { continue };
        if !OF_A_CONNECTION.contains(&name) && name != header::CONTENT_LENGTH {
            response.append_header((name, value));
        }
    }
    match answer.content_length() {
        Some(length) => response.body(SizedStream::new(length, answer.bytes_stream())),
        None => response.streaming(answer.bytes_stream()),
    }
}

/// The endpoint that a path is about.
fn endpoint_of(path: &str) -> Option<Cow<'_, str>> {
    let parts: Vec<_> = path.split('/').skip(1).take(6).collect();
    let name = match parts[..] {
        // The statistics of all.
        ["v2", "models", "stats"] => return None,
        ["v2", "models", name, ..] | ["v2", "repository", "models", name, ..] => name,
        ["v1", "models", name, ..] => name.split(':').next()?,
        ["serve", name, _, ..] | ["endpoints", name, "invocations"] => name,
        ["api", "v1", "endpoints", name, "schema"] => name,
        _ => return None,
    };
    percent_decode_str(name).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_which_endpoint_it_is_about() {
        for path in [
            "/v2/models/fraud",
            "/v2/models/fraud/infer",
            "/v2/models/fraud/versions/3/infer",
            "/v2/models/fraud/stats",
            "/v2/repository/models/fraud/load",
            "/v1/models/fraud",
            "/v1/models/fraud:predict",
            "/v1/models/fraud/labels/champion:predict",
            "/serve/fraud/invocations",
            "/serve/fraud/ping",
            "/endpoints/fraud/invocations",
            "/api/v1/endpoints/fraud/schema",
            "/v2/models/f%72aud/infer",
        ] {
            assert_eq!(endpoint_of(path).as_deref(), Some("fraud"), "{path}");
        }
        for path in [
            "/",
            "/v2",
            "/v2/models",
            "/v2/models/stats",
            "/v2/health/ready",
            "/v2/repository/index",
            "/health/ready",
            "/api/v1/endpoints/fraud",
            "/api/v1/endpoints/fraud/releases",
            "/api/2.0/mlflow/runs/get",
        ] {
            assert_eq!(endpoint_of(path), None, "{path}");
        }
    }
}
