//! The one middleware that every request passes through.
//!
//! It gives the request an id (the caller's, if that is sound), makes the id known to all that
//! runs for the request ([`request_id`], and the span `request` that log lines stand in), puts it
//! on every answer, writes one log line at the end and counts the answer. Whoever records a trace of a
//! request puts its [`TraceParent`] into the extensions: the answer and the log line name it.
//!
//! HEAD is answered wherever GET is: behind here it is a GET, whose body the server leaves away. Paths that
//! have HEAD and no GET are [kept](RequestContext::keeping_head).
//!
//! Predictions pass through here by the ten thousand a second: a request costs one look into a
//! map and a few small allocations, and predictions and probes that succeed are logged at `debug`
//! only.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::dev::{
    Extensions, Service, ServiceRequest, ServiceResponse, Transform, forward_ready,
};
use actix_web::error::InternalError;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::{Error, HttpMessage as _};
use domain::{Actor, RequestId};
use futures_util::future::LocalBoxFuture;
use tracing::{Instrument as _, Level, Span};

use crate::in_flight::{Counter, InFlight};
use crate::metrics::{HttpMetrics, Recorder};
use crate::trace::TraceParent;

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
const TRACE_PARENT_HEADER: HeaderName = HeaderName::from_static(TraceParent::REQUEST);
const TRACE_HEADER: HeaderName = HeaderName::from_static(TraceParent::RESPONSE);

tokio::task_local! {
    static REQUEST_ID: RequestId;
}

/// Marks a GET of whose answer nobody wants more than its head: a body need not be opened for it.
pub(crate) struct HeadOnly;

/// The id of the request that is being answered; a fresh one where there is none.
#[must_use]
pub fn request_id() -> RequestId {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

/// The middleware; to be wrapped around the whole application, outermost.
#[derive(Debug, Clone)]
pub struct RequestContext {
    metrics: HttpMetrics,
    in_flight: InFlight,
    actor: Named,
    has_own_head: fn(&str) -> bool,
}

/// Who sent a request, by what was put into its extensions.
type Named = fn(&Extensions) -> Option<&Actor>;

impl RequestContext {
    /// Counts into these metrics.
    #[must_use]
    pub fn new(metrics: HttpMetrics) -> Self {
        let in_flight = InFlight::default();
        Self { metrics, in_flight, actor: |_| None, has_own_head: |_| false }
    }

    /// Counts who is being answered here, for whoever waits for the last of them.
    #[must_use]
    pub fn counting(self, in_flight: InFlight) -> Self {
        Self { in_flight, ..self }
    }

    /// Log lines name whom this finds.
    #[must_use]
    pub fn naming(self, actor: Named) -> Self {
        Self { actor, ..self }
    }

    /// Leaves HEAD as it is on paths that have it for themselves.
    #[must_use]
    pub fn keeping_head(self, has_own_head: fn(&str) -> bool) -> Self {
        Self { has_own_head, ..self }
    }
}

impl<S, B> Transform<S, ServiceRequest> for RequestContext
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = ContextService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let recorder = Rc::new(Recorder::new(self.metrics.clone()));
        let counter = Rc::new(self.in_flight.worker());
        let (actor, has_own_head) = (self.actor, self.has_own_head);
        let service = Rc::new(service);
        ready(Ok(ContextService { service, recorder, counter, actor, has_own_head }))
    }
}

/// One worker's [`RequestContext`].
pub struct ContextService<S> {
    service: Rc<S>,
    recorder: Rc<Recorder>,
    counter: Rc<Counter>,
    actor: Named,
    has_own_head: fn(&str) -> bool,
}

impl<S, B> Service<ServiceRequest> for ContextService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let (service, recorder) = (Rc::clone(&self.service), Rc::clone(&self.recorder));
        let (counter, counted) = (Rc::clone(&self.counter), self.counter.begin());
        let actor = self.actor;
        let mut seen = Seen::of(&request);
        let span = seen.span();
        if seen.method == Method::HEAD && !(self.has_own_head)(request.path()) {
            request.extensions_mut().insert(HeadOnly);
            request.head_mut().method = Method::GET;
        }
        Box::pin(async move {
            // Until the answer is made, or whoever asked has left.
            let _counted = counted;
            let inner = async move { service.call(request).await };
            match REQUEST_ID.scope(seen.id.clone(), inner.instrument(span)).await {
                Ok(mut answer) => {
                    seen.recorded = answer.request().extensions().get().copied();
                    seen.sign(answer.headers_mut());
                    if counter.is_stopping() {
                        // Else the client would send its next request to somebody who is gone.
                        let head = answer.response_mut().head_mut();
                        head.set_connection_type(ConnectionType::Close);
                    }
                    let request = answer.request();
                    let (route, status) = (request.match_pattern(), answer.status());
                    seen.log(route.as_deref(), status, actor(&request.extensions()));
                    recorder.record(&seen.method, route.as_deref(), status, seen.elapsed());
                    Ok(answer)
                }
                // Another middleware refused, and its answer is not made yet. It is made here,
                // where the request's id is known.
                Err(error) => {
                    let mut answer =
                        REQUEST_ID.sync_scope(seen.id.clone(), || error.error_response());
                    seen.sign(answer.headers_mut());
                    seen.log(None, answer.status(), None);
                    recorder.record(&seen.method, None, answer.status(), seen.elapsed());
                    Err(InternalError::from_response(error, answer).into())
                }
            }
        })
    }
}

/// What is kept of a request until it is answered.
struct Seen {
    id: RequestId,
    trace: Option<TraceParent>,
    /// Ours, where a trace is recorded.
    recorded: Option<TraceParent>,
    method: Method,
    kind: Kind,
    at: Instant,
}

impl Seen {
    fn of(request: &ServiceRequest) -> Self {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        Self {
            id: header(&REQUEST_ID_HEADER).and_then(RequestId::from_caller).unwrap_or_default(),
            trace: header(&TRACE_PARENT_HEADER).and_then(TraceParent::parse),
            recorded: None,
            method: request.method().clone(),
            kind: Kind::of(request.path()),
            at: Instant::now(),
        }
    }

    /// What the request's log lines stand in. Making one costs as much as parsing a prediction: those
    /// have one where `debug` is logged.
    fn span(&self) -> Span {
        macro_rules! span {
            ($level:expr) => {
                tracing::span!(
                    target: "request", $level, "request",
                    request_id = %self.id, trace_id = self.trace.map(tracing::field::display)
                )
            };
        }
        match self.kind {
            Kind::Prediction => span!(Level::DEBUG),
            Kind::Probe | Kind::Control => span!(Level::INFO),
        }
    }

    fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }

    /// Puts the id on the answer, and that browsers are not to guess what it is.
    fn sign(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(self.id.as_str()) {
            headers.insert(REQUEST_ID_HEADER, value);
        }
        if let Some(Ok(value)) = self.recorded.map(|it| HeaderValue::from_str(&it.header())) {
            headers.insert(TRACE_HEADER, value);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }

    fn log(&self, route: Option<&str>, status: StatusCode, actor: Option<&Actor>) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "request", $level,
                    method = %self.method,
                    route = route.unwrap_or("unmatched"),
                    status = status.as_u16(),
                    duration_ms = self.elapsed().as_secs_f64() * 1000.0,
                    request_id = %self.id,
                    actor = actor.map(tracing::field::display),
                    trace_id = self.recorded.or(self.trace).map(tracing::field::display),
                    "answered"
                )
            };
        }
        match self.kind.level(status) {
            Level::ERROR => line!(Level::ERROR),
            Level::DEBUG => line!(Level::DEBUG),
            _ => line!(Level::INFO),
        }
    }
}

/// How much noise a request may make in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Health and metrics: asked all the time, and 503 is one of their answers.
    Probe,
    /// A prediction: too many to log each.
    Prediction,
    /// Everything else.
    Control,
}

impl Kind {
    fn of(path: &str) -> Self {
        const PROBES: [&str; 3] = ["/health", "/metrics", "/v2/health/"];
        const PREDICTIONS: [&str; 4] = ["/v2/", "/v1/models/", "/serve/", "/endpoints/"];
        if PROBES.iter().any(|prefix| path.starts_with(prefix)) {
            Self::Probe
        } else if PREDICTIONS.iter().any(|prefix| path.starts_with(prefix)) {
            Self::Prediction
        } else {
            Self::Control
        }
    }

    fn level(self, status: StatusCode) -> Level {
        match self {
            Self::Probe if status == StatusCode::SERVICE_UNAVAILABLE => Level::INFO,
            // Under overload they are too many as well, and refusing must cost little.
            Self::Prediction if status == StatusCode::SERVICE_UNAVAILABLE => Level::DEBUG,
            _ if status.is_server_error() => Level::ERROR,
            _ if status.is_client_error() => Level::INFO,
            Self::Probe | Self::Prediction => Level::DEBUG,
            Self::Control => Level::INFO,
        }
    }
}
