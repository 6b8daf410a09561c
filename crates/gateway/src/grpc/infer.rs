//! One prediction, alone or as a part of a stream.

use std::time::Instant;

use domain::{Problem, Signature, capture::Protocol, serving::BodyLimit};
use inference::Priority;
use prost::Message as _;
use protocol::v2::{
    grpc::{
        Contents, decode, encode,
        messages::{
            InferParameter, ModelInferRequest, ModelInferResponse, infer_parameter::ParameterChoice,
        },
    },
    json,
};
use tonic::{Extensions, Response, metadata::MetadataMap};

use super::call::Call;
use crate::{
    admission::body_limit,
    identity,
    predict::{Asked, Foreseen, Version, predict, version_number},
    refusal::{too_large, with_example},
    routing::Headers,
};

/// Marks the last answer to a request of a stream, for whoever asked for the mark.
const FINAL: &str = "triton_final_response";

pub(super) async fn infer(
    call: &mut Call<'_>,
    // Boxed, so that what is waited with is small: see `predict`.
    mut request: Box<ModelInferRequest>,
    metadata: &MetadataMap,
    asked_id: Option<&[u8]>,
    until: Option<Instant>,
) -> Result<Response<ModelInferResponse>, Problem> {
    let headers = Headers::Grpc(metadata);
    let permit = call.invoking(std::mem::take(&mut request.model_name), headers)?;
    call.traced = call.state.trace(headers);
    let bytes_in = request.encoded_len();
    if bytes_in as u64 > BodyLimit::MIN {
        let limit = body_limit(call.state, permit.resource().name());
        if bytes_in > limit {
            return Err(too_large(limit));
        }
    }
    let version = match request.model_version.as_str() {
        "" => Version::Any,
        number => Version::Number(version_number(number)?),
    };
    let contents = Contents::of(&request);
    let name = permit.resource().name();
    let says = request.parameters.contains_key("priority");
    let priority = Foreseen::AtMost(if says { Priority::High } else { Priority::default() });
    let (protocol, id, traced) = (Protocol::Grpc, identity::asked_id(asked_id)?, call.traced);
    let asked = Asked {
        permit: &permit,
        version,
        headers,
        bytes_in,
        until,
        protocol,
        id,
        traced,
        priority,
    };
    let read = move |signature: &Signature| {
        decode(*request, signature)
            .map_err(|problem| with_example(problem, name, || json::example(signature)))
    };
    predict(call.state, &asked, read, |answered| {
        let (labels, own_id) = (&answered.served.labels, answered.request.id.clone());
        let marked = answered.request.marks_final();
        let version = labels.version.as_str();
        let mut message = encode(name, version, own_id, answered.outputs.into_owned(), contents)?;
        if marked {
            let last = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
            message.parameters.insert(FINAL.to_owned(), last);
        }
        let size = message.encoded_len();
        let metadata = labels.grpc(answered.id);
        Ok((Response::from_parts(metadata, message, Extensions::default()), size))
    })
    .await
}
