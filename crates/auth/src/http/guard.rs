//! Deny by default: no request reaches a route, registered or not, without proof of who sends it,
//! but for the paths that the gate lists as open.

use std::{
    future::{Ready, ready},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    Error, FromRequest, HttpMessage as _, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{
        Extensions, Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready,
    },
    http::{
        Method,
        header::{self, HeaderName},
    },
    web::{self, Bytes, BytesMut},
};
use domain::{Actor, ErrorCode, Problem, quota::Spent};
use futures_util::{TryStreamExt as _, future::LocalBoxFuture};
use rest::ApiError;

use super::{
    Proxies,
    sigv4::{self, Signature},
};
use crate::{Access, Authenticator, Caller, FORWARDED, Identity, Limiter, Origin};

/// The cookie of sessions.
pub(super) const COOKIE: &str = "bottega_session";

/// What tells that a page of ours sends a request.
const CSRF: &str = "x-csrf-token";

/// What tells for whom a service account acts.
const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-bottega-on-behalf-of");

/// What another node says of a request that it hands on.
const HANDED_ON: HeaderName = HeaderName::from_static(FORWARDED);

/// Where AWS's clients call.
const SIGNED: &str = "/endpoints/";

/// How long the body of a signed request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Parameters of a query that others know for tokens.
const TOKENS_IN_URLS: [&str; 3] = ["token", "access_token", "api_key"];

/// Has requests answered by another process, which asks who sends them and counts them.
pub trait Elsewhere: Send + Sync {
    /// Whether that may be so for any request; asked of each.
    fn is_asked(&self) -> bool;

    /// The answer of another process, or nothing for a request that is answered here.
    fn answer<'a>(
        &'a self,
        request: &'a mut ServiceRequest,
        origin: Origin,
    ) -> LocalBoxFuture<'a, Option<HttpResponse>>;
}

/// What the guard needs to know.
pub struct Gate {
    authenticator: Arc<Authenticator>,
    proxies: Proxies,
    limiter: Option<Arc<Limiter>>,
    /// The longest body that is read to check a signature; absent: signed requests are not taken.
    signed: Option<usize>,
    limited: Option<fn(&HttpRequest, &Caller, &Problem)>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    is_open: fn(&Method, &str) -> bool,
    refusal: fn(&str, Problem) -> HttpResponse,
}

impl Gate {
    /// `is_open` says which method and path need no token; `refusal` words a refusal in the shape
    /// of the surface that the path belongs to.
    #[must_use]
    pub fn new(
        authenticator: Arc<Authenticator>,
        is_open: fn(&Method, &str) -> bool,
        refusal: fn(&str, Problem) -> HttpResponse,
    ) -> Self {
        Self {
            authenticator,
            proxies: Proxies::default(),
            limiter: None,
            signed: None,
            limited: None,
            elsewhere: None,
            is_open,
            refusal,
        }
    }

    /// Takes requests to SageMaker's runtime that are signed by SigV4, with bodies up to this limit.
    #[must_use]
    pub fn taking_signed(self, body_limit: usize) -> Self {
        Self { signed: Some(body_limit), ..self }
    }

    /// The same, where callers may send no more than the limiter lets through.
    #[must_use]
    pub fn limited(self, limiter: Arc<Limiter>) -> Self {
        Self { limiter: Some(limiter), ..self }
    }

    /// Tells this of each request that the limiter refuses.
    #[must_use]
    pub fn telling(self, limited: fn(&HttpRequest, &Caller, &Problem)) -> Self {
        Self { limited: Some(limited), ..self }
    }

    /// Hands requests on that are answered by other processes, and believes those what they say of requests
    /// that they hand on.
    #[must_use]
    pub fn handing_on(self, elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// Takes the word of these proxies for where a request comes from.
    #[must_use]
    pub fn trusting(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Where a request comes from, and whether another process handed it on.
    async fn origin(&self, request: &ServiceRequest) -> Result<(Origin, bool), Problem> {
        let handed_on = self.elsewhere.as_ref().and_then(|_| request.headers().get(&HANDED_ON));
        if let Some(claim) = handed_on {
            let claim = claim.to_str().unwrap_or_default();
            let origin = self.authenticator.forwarded(request.method().as_str(), claim).await?;
            return Ok((origin, true));
        }
        let peer = request.peer_addr().map(|peer| peer.ip());
        Ok((self.proxies.origin(peer, request.headers())?, false))
    }

    /// Lets a request through, with who sends it; nobody does where the path is open. Or answers it, if
    /// another process does.
    async fn admit(&self, request: &mut ServiceRequest) -> Result<Option<HttpResponse>, Problem> {
        let (origin, is_handed_on) = self.origin(request).await?;
        if let Some(elsewhere) = &self.elsewhere
            && elsewhere.is_asked()
            && !is_handed_on
            && let Some(answer) = elsewhere.answer(request, origin).await
        {
            return Ok(Some(answer));
        }
        refuse_token_in_url(request.query_string())?;
        if (self.is_open)(request.method(), request.path()) {
            request.extensions_mut().insert(origin);
            return Ok(None);
        }
        let caller = self.caller(request, origin).await?;
        request.extensions_mut().insert(caller);
        Ok(None)
    }

    async fn caller(
        &self,
        request: &mut ServiceRequest,
        origin: Origin,
    ) -> Result<Caller, Problem> {
        let identity = self.identify(request, origin).await?;
        let identity = match (request.method().as_str(), request.path()) {
            // What somebody needs who must change their password.
            ("GET", "/api/v1/me")
            | ("PUT", "/api/v1/me/password")
            | ("GET" | "DELETE", "/api/v1/sessions/current") => identity,
            _ => identity.settled()?,
        };
        let caller = Caller::new(identity, origin, rest::request_id());
        if let Some(limiter) = &self.limiter {
            let admitted = limiter.admit(&caller.actor).await;
            admitted.inspect_err(|problem| {
                record(request.request(), &caller, problem.spent());
                if let Some(limited) = self.limited {
                    limited(request.request(), &caller, problem);
                }
            })?;
        }
        let for_whom = request.headers().get(&ON_BEHALF_OF).map(|value| value.to_str());
        let Some(for_whom) = for_whom else { return Ok(caller) };
        // Without the policies at hand nobody may.
        let access = request.app_data::<web::Data<Access>>();
        let access = access
            .ok_or_else(|| Problem::new(ErrorCode::Forbidden, "nobody acts for others here"))?;
        Box::pin(caller.speaking_for(access, for_whom.unwrap_or_default())).await
    }

    async fn identify(
        &self,
        request: &mut ServiceRequest,
        origin: Origin,
    ) -> Result<Identity, Problem> {
        if let Some(limit) = self.signed
            && request.path().starts_with(SIGNED)
            && sigv4::is_signed(request.head())
        {
            return Box::pin(self.by_signature(request, limit)).await;
        }
        let header = request.headers().get(header::AUTHORIZATION);
        if let (None, Some(cookie)) = (header, cookie(request.headers(), COOKIE)) {
            let identity = Box::pin(self.authenticator.by_session(cookie)).await?;
            if !request.method().is_safe() {
                let given = request.headers().get(CSRF).and_then(|value| value.to_str().ok());
                self.authenticator.check_csrf(cookie, given)?;
            }
            return Ok(identity);
        }
        // Bytes beyond ASCII are in no token of ours.
        let header = header.map(|value| value.to_str().unwrap_or_default());
        self.authenticator.identify(header, origin.address).await
    }

    /// Whose token signed a request. Its body is read for that, and put back.
    async fn by_signature(
        &self,
        request: &mut ServiceRequest,
        limit: usize,
    ) -> Result<Identity, Problem> {
        let payload = request.take_payload();
        let signature = Signature::read(request.head(), self.authenticator.now())?;
        // Nothing is read for somebody whom nobody knows.
        let secret = self.authenticator.signing_secret(signature.token);
        let secret = secret.ok_or_else(sigv4::no_match)?;
        let reading = read(payload, rest::body::length(request.request()), limit);
        let body = tokio::time::timeout(PATIENCE, reading).await.map_err(|_| {
            Problem::new(ErrorCode::Timeout, "the body did not come in time").hint("send it again")
        })??;
        signature.check(request.head(), &body, &secret)?;
        let identity = self.authenticator.by_id(signature.token)?;
        request.set_payload(body.into());
        Ok(identity)
    }
}

/// A body that is no longer than it may be.
async fn read(payload: Payload, length: Option<u64>, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        Problem::new(ErrorCode::TooLarge, message).hint("send fewer rows at a time")
    };
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut chunks = pin!(rest::body::stream(payload));
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.try_next().await? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Records that a quota refused the caller, if one did.
fn record(request: &HttpRequest, caller: &Caller, spent: Option<&Spent>) {
    if let (Some(access), Some(spent)) = (request.app_data::<web::Data<Access>>(), spent) {
        access.over_quota(caller, spent);
    }
}

/// What is in a URL is in logs, histories and referrers.
fn refuse_token_in_url(query: &str) -> Result<(), Problem> {
    if query.is_empty() {
        return Ok(());
    }
    let Ok(pairs) = web::Query::<Vec<(String, String)>>::from_query(query) else { return Ok(()) };
    let found = pairs.iter().find(|(key, _)| TOKENS_IN_URLS.contains(&key.as_str()));
    let Some((key, _)) = found else { return Ok(()) };
    Err(Problem::invalid(key, format!("`{key}` in the URL: a token does not belong there"))
        .hint("send `Authorization: Bearer TOKEN`, and revoke this token: logs have it by now"))
}

/// The value of a cookie, if the request carries it.
pub(super) fn cookie<'a>(headers: &'a header::HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whom the guard let through, for whoever logs the request.
#[must_use]
pub fn actor(extensions: &Extensions) -> Option<&Actor> {
    extensions.get::<Caller>().map(|caller| &caller.actor)
}

/// The guard, to be wrapped around all routes. Cheap to clone.
#[derive(Clone)]
pub struct Guard(Arc<Gate>);

impl Guard {
    /// Lets through whom the gate lets through.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        Self(Arc::new(gate))
    }
}

impl<S, B> Transform<S, ServiceRequest> for Guard
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Guarded<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Guarded { service: Rc::new(service), gate: Arc::clone(&self.0) }))
    }
}

/// One worker's routes behind the [`Guard`].
pub struct Guarded<S> {
    service: Rc<S>,
    gate: Arc<Gate>,
}

impl<S, B> Service<ServiceRequest> for Guarded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let (service, gate) = (Rc::clone(&self.service), Arc::clone(&self.gate));
        Box::pin(async move {
            let admitted = gate.admit(&mut request).await;
            let answer =
                admitted.unwrap_or_else(|problem| Some((gate.refusal)(request.path(), problem)));
            if let Some(answer) = answer {
                return Ok(request.into_response(answer).map_into_right_body());
            }
            let answer = service.call(request).await?;
            if let Some(spent) = answer.response().extensions().get::<Spent>()
                && let Some(caller) = answer.request().extensions().get::<Caller>()
            {
                record(answer.request(), caller, Some(spent));
            }
            Ok(answer.map_into_left_body())
        })
    }
}

/// Handlers take the caller; on an open path there is none, and asking for one is refused.
impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let caller = request.extensions().get().cloned();
        let refusal = || Problem::new(ErrorCode::Unauthenticated, "this needs a token");
        ready(caller.ok_or_else(|| refusal().into()))
    }
}

/// Handlers take where a request comes from.
impl FromRequest for Origin {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let of_caller = || extensions.get::<Caller>().map(|caller| caller.origin);
        let origin = extensions.get().copied().or_else(of_caller);
        ready(origin.ok_or_else(|| Problem::internal().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_the_url_is_found_in_every_spelling() {
        for query in ["token=x", "a=1&access_token=", "api%5Fkey=x", "%74oken=x"] {
            assert!(refuse_token_in_url(query).is_err(), "{query}");
        }
        for query in ["", "page_token=x", "tokens=1", "filter=token%3D1"] {
            assert!(refuse_token_in_url(query).is_ok(), "{query}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = header::HeaderMap::new();
        let line =
            header::HeaderValue::from_static("a=1; bottega_session=bs_x; bottega_sessions=y");
        headers.insert(header::COOKIE, line);
        assert_eq!(cookie(&headers, COOKIE), Some("bs_x"));
        assert_eq!(cookie(&headers, "b"), None);
    }
}
