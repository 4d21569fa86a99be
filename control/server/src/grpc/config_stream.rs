//! `StreamConfigEvents`: checks the session, then hands the connection encoded events.
//!
//! The generated server would encode every event for every subscriber and keep a buffer for each. Here one
//! encoding is shared, so this one method is answered before the generated code sees it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use greyhound_proto::datadog::api::v1::agent_secure_server::{self, AgentSecureServer};
use greyhound_proto::datadog::model::v1::ConfigStreamRequest;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, Streaming};
use tonic::server::NamedService;
use tonic_prost::ProstCodec;
use tower::Service;
use tracing::info;

use super::GrpcParts;
use super::outcome::Outcome;
use super::secure::Secure;
use crate::configstream::SUBSCRIBERS_MAX;
use crate::shown::shown;

const PATH: &str = "/datadog.api.v1.AgentSecure/StreamConfigEvents";
/// The request holds a name.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The generated server, and the one method it does not answer.
#[derive(Clone)]
pub(super) struct WithStream {
    others: AgentSecureServer<Secure>,
    parts: GrpcParts,
}

// === impl WithStream ===

impl WithStream {
    pub(super) fn new(others: AgentSecureServer<Secure>, parts: GrpcParts) -> Self {
        Self { others, parts }
    }
}

impl NamedService for WithStream {
    const NAME: &'static str = agent_secure_server::SERVICE_NAME;
}

impl Service<Request<Body>> for WithStream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.others, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != PATH {
            return self.others.call(request);
        }
        let parts = self.parts.clone();
        Box::pin(async move {
            let opened = open(&parts, request).await;
            Ok(opened.unwrap_or_else(|status| status.into_http()))
        })
    }
}

/// The answer to a request for the stream. Its headers leave at once, with no event to wait for.
async fn open(parts: &GrpcParts, request: Request<Body>) -> Result<Response<Body>, Status> {
    let (head, body) = request.into_parts();
    // The session is checked first: a stranger's body is not read.
    let session = parts
        .registry
        .authorize(session_id(&head.headers)?, Instant::now())?;
    let decoder = ProstCodec::<(), ConfigStreamRequest>::default().decoder();
    let mut messages = Streaming::new_request(decoder, body, None, Some(REQUEST_BYTES_MAX));
    let request = messages.message().await?.unwrap_or_default();
    let subscriber = parts
        .streams
        .subscribe()
        .map_err(|_| Outcome::TooManyStreams(SUBSCRIBERS_MAX))?;
    info!(
        agent = session.label(),
        name = %shown(&request.name),
        subscriber = subscriber.id(),
        "New subscriber joining the config stream"
    );
    let mut response = Response::new(Body::new(subscriber.into_body(session)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

/// What `session_id` says; of several the first.
fn session_id(headers: &HeaderMap) -> Result<&str, Outcome> {
    let id = headers.get("session_id").ok_or(Outcome::SessionMissing)?;
    match id.to_str() {
        Ok("") => Err(Outcome::SessionEmpty),
        Ok(id) => Ok(id),
        // No id of ours has other letters.
        Err(_) => Err(Outcome::SessionUnknown(String::new())),
    }
}
