//! Calls for endpoints that other nodes hold: made there, and answered as they answer.

use std::{
    collections::HashMap,
    error::Error as _,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use auth::Origin;
use tonic::{
    ConnectError, Request, Response, Status, TimeoutExpired,
    metadata::MetadataMap,
    transport::{Channel, Endpoint},
};

use super::{
    call::{FORWARDED, Service, put},
    deadline::late,
    generated::grpc_inference_service_client::GrpcInferenceServiceClient,
    status::status,
};
use crate::{
    elsewhere::nobody,
    http::forward::{at_hand, broken_off},
    live::Route,
};

/// How long another node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);

pub(super) type Client = GrpcInferenceServiceClient<Channel>;

/// Connections to other nodes, by their addresses; each takes many calls at a time.
#[derive(Clone, Default)]
pub(super) struct Channels(Arc<Mutex<HashMap<String, Channel>>>);

impl Channels {
    fn to(&self, address: &str) -> Option<Client> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
                let channel = endpoint.connect_timeout(CONNECT).tcp_nodelay(true).connect_lazy();
                channels.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        let client = Client::new(channel);
        Some(client.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
    }
}

impl Service {
    /// The route to an endpoint that others hold; nothing where the call is answered here, as one is that
    /// another node handed on.
    pub(super) async fn elsewhere(
        &self,
        endpoint: &str,
        metadata: &MetadataMap,
    ) -> Option<Arc<Route>> {
        let is_asked = self.state.any_elsewhere.load(std::sync::atomic::Ordering::Relaxed);
        if !is_asked || metadata.as_ref().contains_key(&FORWARDED) {
            return None;
        }
        Box::pin(at_hand(&self.state, endpoint)).await
    }

    /// Makes a call at a node that holds its endpoint: at the next one where one cannot be reached.
    pub(super) async fn forward<Q: Clone, A>(
        &self,
        route: &Route,
        method: &'static str,
        (message, mut metadata, address): (Q, MetadataMap, Option<IpAddr>),
        ask: impl AsyncFn(Client, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<Response<A>, Status> {
        let claim = self.state.given.authenticator.forward(method, Origin::from(address));
        put(&mut metadata, FORWARDED, &claim);
        // Messages are packed between two ends of a connection.
        for packing in ["grpc-encoding", "grpc-accept-encoding"] {
            metadata.remove(packing);
        }
        let Some(elsewhere) = route.elsewhere.as_deref() else {
            return Err(status(&nobody(&route.name)));
        };
        for (at, holder) in elsewhere.in_turn() {
            let Some(client) = self.channels.to(&holder.grpc) else { continue };
            let mut request = Request::new(message.clone());
            *request.metadata_mut() = metadata.clone();
            match ask(client, request).await {
                Ok(answer) => {
                    elsewhere.counts.count(true);
                    return Ok(answer);
                }
                // The connection keeps the call's own deadline too.
                Err(error) if comes_of::<TimeoutExpired>(&error) => {
                    elsewhere.counts.count(false);
                    return Err(late());
                }
                Err(error) if comes_of::<ConnectError>(&error) => {
                    tracing::debug!(node = holder.grpc, %error, "a node cannot be reached");
                    elsewhere.pass_over(at);
                }
                // What the node itself says has no source.
                Err(error) if error.source().is_some() => {
                    tracing::warn!(endpoint = route.name, node = holder.grpc, %error, "a node broke off");
                    elsewhere.avoid(at);
                    elsewhere.counts.count(false);
                    return Err(status(&broken_off(&route.name)));
                }
                Err(theirs) => {
                    elsewhere.counts.count(true);
                    return Err(theirs);
                }
            }
        }
        elsewhere.counts.count(false);
        Err(status(&nobody(&route.name)))
    }
}

/// Whether that is why: that no connection was made, so that nothing was sent, or that it took too long.
fn comes_of<E: std::error::Error + 'static>(status: &Status) -> bool {
    std::iter::successors(status.source(), |&error| error.source()).any(|error| error.is::<E>())
}
