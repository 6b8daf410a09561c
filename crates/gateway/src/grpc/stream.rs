//! A stream of predictions: for each request an answer, in their order.
//!
//! A request that fails is answered with its error and its id, and the stream goes on. Some requests
//! are under way at once, so that they share runs; no more are read until the first is answered.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use protocol::v2::grpc::messages::{
    ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use tonic::{Extensions, Request, Status, Streaming, metadata::MetadataMap};

use super::{call::Service, deadline::until, forward::Client, infer::infer};
use crate::{identity::ASKED_ID, refusal::text};

/// Requests of one stream that are under way at once.
const AT_ONCE: usize = 32;

/// What a stream answers.
pub(super) type Answers =
    Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

pub(super) fn answers(service: Service, request: Request<Streaming<ModelInferRequest>>) -> Answers {
    let address = request.remote_addr().map(|address| address.ip());
    let (metadata, _, requests): (MetadataMap, Extensions, _) = request.into_parts();
    // The stream's own deadline is that of all requests in it.
    let until = until(&metadata);
    let answer = move |request: Result<ModelInferRequest, Status>| {
        let (service, metadata) = (service.clone(), metadata.clone());
        async move {
            let request = request?;
            let (id, model_name) = (request.id.clone(), request.model_name.clone());
            let elsewhere = service.elsewhere(&model_name, &metadata).await;
            let answer = match elsewhere {
                Some(route) => {
                    // Each by itself: requests of one stream may be for endpoints of several nodes.
                    let mut metadata = metadata.clone();
                    metadata.remove(ASKED_ID);
                    let asked = (request, metadata, address);
                    let ask = async |mut client: Client, request| client.model_infer(request).await;
                    let answer = Box::pin(service.forward(&route, "ModelInfer", asked, ask)).await;
                    answer.map_err(|status| status.message().to_owned())
                }
                None => {
                    let mut call = service.call_from("ModelStreamInfer", &metadata, address).await;
                    let answer = infer(&mut call, Box::new(request), &metadata, None, until).await;
                    answer.map_err(|problem| text(&problem))
                }
            };
            Ok(match answer {
                Ok(answer) => ModelStreamInferResponse {
                    error_message: String::new(),
                    infer_response: Some(answer.into_inner()),
                },
                Err(error_message) => ModelStreamInferResponse {
                    error_message,
                    infer_response: Some(ModelInferResponse {
                        id,
                        model_name,
                        ..Default::default()
                    }),
                },
            })
        }
    };
    Box::pin(requests.map(answer).buffered(AT_ONCE))
}
