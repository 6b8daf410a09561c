//! What goes out: the answer's body, packed if the caller wants that, with what it says of itself.

use std::io;

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY},
    web::Payload,
};
use auth::{Caller, verbs};
use domain::{Problem, Signature, Tensor, capture::Protocol};
use inference::Priority;
use protocol::v2::InferRequest;
use serde_json::Value;

use super::{body, encoding::Encoding};
use crate::{
    State,
    admission::admit,
    identity::Labels,
    predict::{Answered, Asked, Foreseen, Version, predict},
    refusal::with_example,
    routing::Headers,
    spans::Traced,
};

/// Room for an answer of a few dozen numbers; larger ones grow.
pub(super) const FIRST_CAPACITY: usize = 1024;

/// What bodies are that are no bytes.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer that says which version made it, and what it is called.
pub(super) fn labelled(labels: &Labels, id: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    for header in labels.http(id) {
        response.insert_header(header);
    }
    response
}

/// Sends a body, packed if the caller wants that and it gains by it.
///
/// # Errors
/// It cannot be packed.
pub(super) async fn send(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    body: Vec<u8>,
) -> Result<HttpResponse, Problem> {
    let Some(encoding) = Encoding::of_answer(request.headers(), body.len()) else {
        return Ok(response.body(body));
    };
    let packed = tokio::task::spawn_blocking(move || encoding.pack(&body)).await;
    let packed = packed.map_err(io::Error::other).flatten().map_err(|_| Problem::internal())?;
    response.insert_header((CONTENT_ENCODING, encoding.name()));
    Ok(response.insert_header((VARY, ACCEPT_ENCODING.as_str())).body(packed))
}

/// The trace that is recorded of a prediction, if one is: the answer will name it.
pub(super) fn traced(request: &HttpRequest, state: &State) -> Option<Traced> {
    let traced = state.trace(Headers::Http(request.headers()))?;
    request.extensions_mut().insert(traced.own);
    Some(traced)
}

/// A request whose body is answered by one in JSON that is laid out as it was.
pub(super) struct Exchange<'a> {
    pub request: &'a HttpRequest,
    pub payload: Payload,
    pub caller: &'a Caller,
    pub state: &'a State,
    pub endpoint: String,
    pub version: Version,
    pub protocol: Protocol,
    /// What a request that fits looks like.
    pub example: fn(&Signature) -> Value,
}

impl Exchange<'_> {
    /// Predicts: `decode` reads the inputs and how they were laid out, `encode` writes the outputs so.
    /// The number of the version comes with the answer.
    ///
    /// # Errors
    /// As for [`predict`], and for the body.
    pub async fn answer<L: Copy>(
        self,
        decode: impl FnOnce(&[u8], &Signature) -> Result<(Vec<Tensor>, L), Problem>,
        encode: impl FnOnce(&mut Vec<u8>, L, &[Tensor]) -> Result<(), Problem>,
    ) -> Result<(HttpResponseBuilder, Vec<u8>, i32), Problem> {
        let Self { request, payload, caller, state, endpoint, version, protocol, example } = self;
        let permit = admit::<verbs::Invoke>(state, caller, endpoint)?;
        let body = body::read_for(state, permit.resource().name(), request, payload).await?;
        let traced = traced(request, state);
        let asked = Asked {
            permit: &permit,
            version,
            headers: Headers::Http(request.headers()),
            bytes_in: body.len(),
            until: None,
            protocol,
            id: body::asked_id(request.headers())?,
            traced,
            // These protocols have none.
            priority: Foreseen::AtMost(Priority::default()),
        };
        let layout = std::cell::Cell::new(None);
        let decode = |signature: &Signature| {
            let read = decode(&body, signature);
            let (inputs, laid_out) = read.map_err(|problem| {
                with_example(problem, permit.resource().name(), || example(signature))
            })?;
            layout.set(Some(laid_out));
            Ok(InferRequest::of(inputs))
        };
        predict(state, &asked, decode, |answered| {
            let Answered { served, id, outputs, .. } = answered;
            let mut body = Vec::with_capacity(FIRST_CAPACITY);
            // Nothing is answered that was not read.
            let layout = layout.get().ok_or_else(Problem::internal)?;
            encode(&mut body, layout, &outputs)?;
            let mut response = labelled(&served.labels, id);
            response.insert_header((CONTENT_TYPE, JSON));
            let size = body.len();
            Ok(((response, body, served.number), size))
        })
        .await
    }
}
