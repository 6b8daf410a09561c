//! Deny by default: no request reaches a route, registered or not, without a token that we know,
//! but for the paths that the gate lists as open.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    Error, FromRequest, HttpMessage as _, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    web,
};
use domain::Problem;
use rest::ApiError;

use crate::{Authenticator, Caller};

/// What the guard needs to know.
pub struct Gate {
    authenticator: Arc<Authenticator>,
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
        Self { authenticator, is_open, refusal }
    }
}

/// The guard, for `actix_web::middleware::from_fn`.
///
/// # Errors
/// Whatever comes from behind it; its own refusals are answers.
pub async fn guard<B: MessageBody + 'static>(
    gate: web::Data<Gate>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if !(gate.is_open)(request.method(), request.path()) {
        let credentials = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str());
        let identity = match credentials {
            // Bytes beyond ASCII are in no token of ours.
            Some(Err(_)) => gate.authenticator.caller(Some("")),
            Some(Ok(header)) => gate.authenticator.caller(Some(header)),
            None => gate.authenticator.caller(None),
        };
        match identity {
            Ok(identity) => {
                let address = request.peer_addr().map(|peer| peer.ip());
                let mut extensions = request.extensions_mut();
                // The request's log line names the actor.
                extensions.insert(identity.actor.clone());
                extensions.insert(Caller::new(identity, address, rest::request_id()));
            }
            Err(problem) => {
                let refusal = (gate.refusal)(request.path(), problem);
                return Ok(request.into_response(refusal).map_into_right_body());
            }
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Handlers take the caller; on an open path there is none, and asking for one is refused.
impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let caller = request.extensions().get().cloned();
        let refusal = || Problem::new(domain::ErrorCode::Unauthenticated, "this needs a token");
        ready(caller.ok_or_else(|| refusal().into()))
    }
}
