//! A call under way: who calls, what they may, and how they are answered.

use std::net::IpAddr;

use auth::{Caller, Origin, Permit, Verb, verbs};
use domain::{ErrorCode, Problem, RequestId, capture::Protocol};
use rest::TraceParent;
use tonic::{
    Request, Response, Status,
    codegen::http::{HeaderName, HeaderValue, header::AUTHORIZATION},
    metadata::MetadataMap,
};

use super::{forward::Channels, status::status};
use crate::{
    Headers, State, admission::admit, identity::unrepeated, refusal::text as text_of,
    repository::Unsupported, spans::Traced, told,
};

/// Who handed a call on.
pub(super) const FORWARDED: HeaderName = HeaderName::from_static(auth::FORWARDED);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ON_BEHALF_OF: HeaderName = HeaderName::from_static("x-bottega-on-behalf-of");
const TRACE: HeaderName = HeaderName::from_static(TraceParent::RESPONSE);

/// The service: all of it is what the node has.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) state: State,
    pub(super) channels: Channels,
}

/// A call under way: who calls is known, and every answer will carry the call's id.
pub(super) struct Call<'a> {
    pub(super) state: &'a State,
    method: &'static str,
    id: RequestId,
    pub(super) caller: Result<Caller, Problem>,
    /// Who it is where the limiter refused them.
    limited: Option<Caller>,
    /// The trace that is recorded of it, if one is: the answer names it.
    pub(super) traced: Option<Traced>,
}

impl Service {
    pub(super) fn new(state: State) -> Self {
        Self { state, channels: Channels::default() }
    }

    pub(super) async fn call<T>(&self, method: &'static str, request: &Request<T>) -> Call<'_> {
        let address = request.remote_addr().map(|address| address.ip());
        self.call_from(method, request.metadata(), address).await
    }

    /// A call, or one of many in a stream: each is looked at by itself, since a token may be revoked
    /// while the stream goes on.
    pub(super) async fn call_from(
        &self,
        method: &'static str,
        metadata: &MetadataMap,
        address: Option<IpAddr>,
    ) -> Call<'_> {
        let id = text(metadata, &REQUEST_ID).and_then(RequestId::from_caller).unwrap_or_default();
        let mut limited = None;
        let caller = match origin(&self.state, method, metadata, address).await {
            Ok(origin) => self.caller(metadata, origin, id.clone(), &mut limited).await,
            Err(problem) => Err(problem),
        };
        Call { state: &self.state, method, id, caller, limited, traced: None }
    }

    /// Refuses, in words, what is not there; strangers are told no more than that they are strangers.
    pub(super) async fn unsupported<Q, A>(
        &self,
        method: &'static str,
        request: &Request<Q>,
        what: Unsupported,
    ) -> Result<Response<A>, Status> {
        let call = self.call(method, request).await;
        if let Err(problem) = &call.caller {
            return call.answer(Err(problem.clone()));
        }
        let mut status = Status::unimplemented(text_of(&what.problem()));
        put_new(status.metadata_mut(), REQUEST_ID, call.id.as_str());
        Err(status)
    }

    async fn caller(
        &self,
        metadata: &MetadataMap,
        origin: Origin,
        id: RequestId,
        limited: &mut Option<Caller>,
    ) -> Result<Caller, Problem> {
        let given = &self.state.given;
        let header = text(metadata, &AUTHORIZATION);
        let identity = given.authenticator.identify(header, origin.address).await?.settled()?;
        let caller = Caller::new(identity, origin, id);
        if let Err(problem) = given.limiter.admit(&caller.actor).await {
            if let Some(spent) = problem.spent() {
                given.access.over_quota(&caller, spent);
            }
            *limited = Some(caller);
            return Err(problem);
        }
        match text(metadata, &ON_BEHALF_OF) {
            // Boxed, as few do.
            Some(for_whom) => Box::pin(caller.speaking_for(&given.access, for_whom)).await,
            None => Ok(caller),
        }
    }
}

/// Where a call comes from: from the connection's other end, or from where the node says that handed it on.
async fn origin(
    state: &State,
    method: &str,
    metadata: &MetadataMap,
    address: Option<IpAddr>,
) -> Result<Origin, Problem> {
    match metadata.as_ref().get(&FORWARDED) {
        None => Ok(Origin::from(address)),
        Some(claim) => {
            let claim = claim.to_str().unwrap_or_default();
            // Boxed, as few carry one.
            Box::pin(state.given.authenticator.forwarded(method, claim)).await
        }
    }
}

/// Metadata that is text.
pub(super) fn text<'a>(metadata: &'a MetadataMap, name: &HeaderName) -> Option<&'a str> {
    metadata.as_ref().get(name).and_then(|value| value.to_str().ok())
}

impl Call<'_> {
    pub(super) fn permit<V: Verb>(&self, endpoint: String) -> Result<Permit<V>, Problem> {
        admit(self.state, &self.caller.clone()?, endpoint)
    }

    /// Admits the caller to an endpoint's predictions. That the limiter refuses them is told.
    pub(super) fn invoking(
        &self,
        endpoint: String,
        headers: Headers<'_>,
    ) -> Result<Permit<verbs::Invoke>, Problem> {
        if let (Err(problem), Some(caller)) = (&self.caller, &self.limited) {
            told::refused(self.state, caller, endpoint, (Protocol::Grpc, headers), problem);
            return Err(problem.clone());
        }
        self.permit(endpoint)
    }

    /// Signs the answer with the call's id, and logs it.
    pub(super) fn answer<T>(
        &self,
        result: Result<Response<T>, Problem>,
    ) -> Result<Response<T>, Status> {
        let (method, request_id) = (self.method, self.id.as_str());
        let mut answer = match result {
            Ok(answer) => {
                tracing::debug!(target: "request", method, request_id, "answered");
                Ok(answer)
            }
            Err(problem) => {
                let code = problem.code.as_str();
                match problem.code {
                    // Under overload they are too many, and refusing must cost little.
                    ErrorCode::Unavailable => {
                        tracing::debug!(target: "request", method, request_id, code, error = %problem, "answered");
                    }
                    ErrorCode::Internal | ErrorCode::ModelFailed | ErrorCode::Timeout => {
                        tracing::error!(target: "request", method, request_id, code, error = %problem, "answered");
                    }
                    ErrorCode::Unauthenticated
                    | ErrorCode::Forbidden
                    | ErrorCode::NotFound
                    | ErrorCode::Conflict
                    | ErrorCode::Invalid
                    | ErrorCode::TooLarge
                    | ErrorCode::GateRefused
                    | ErrorCode::QuotaExceeded
                    | ErrorCode::RateLimited => {
                        tracing::info!(target: "request", method, request_id, code, "answered");
                    }
                }
                let mut status = status(&problem);
                if let (Some(spent), Ok(caller)) = (problem.spent(), &self.caller) {
                    self.state.given.access.over_quota(caller, spent);
                }
                for (name, value) in problem.spent().map(rest::quota_headers).into_iter().flatten()
                {
                    if let Ok(name) = HeaderName::from_bytes(name.as_str().as_bytes()) {
                        put(status.metadata_mut(), name, &value);
                    }
                }
                Err(status)
            }
        };
        let metadata = match &mut answer {
            Ok(answer) => answer.metadata_mut(),
            Err(status) => status.metadata_mut(),
        };
        put_new(metadata, REQUEST_ID, request_id);
        if let Some(traced) = &self.traced {
            put_new(metadata, TRACE, &traced.own.header());
        }
        answer
    }
}

/// All our values are visible ASCII, which every header takes.
pub(super) fn put(metadata: &mut MetadataMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        metadata.as_mut().insert(name, value);
    }
}

/// The same for a value that no other answer has.
fn put_new(metadata: &mut MetadataMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        unrepeated(&mut value);
        metadata.as_mut().insert(name, value);
    }
}
