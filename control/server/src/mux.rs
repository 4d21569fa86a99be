//! One port, two protocols: a request over HTTP/2 whose content type is gRPC's goes to the services, all
//! others to the route table. Both only after their sender showed a right token, or came over the Unix
//! socket as root or as ourselves.

mod answer;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;
use tracing::{debug, warn};

use crate::auth::{self, Authority, Refusal};
use crate::credentials::Credentials;
use crate::listen::seats::Seat;
use crate::rest::request::Peer;
use crate::rest::response;
use crate::rest::table::Table;
use crate::telemetry::{ApiTelemetry, Labels};

/// Handlers that block, at once.
const BLOCKING_MAX: usize = 8;

/// One connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    pub(crate) seat: Arc<Seat>,
}

/// What stands behind a door.
pub(crate) struct Service {
    /// `CMD`, `IPC`, or one of our own.
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    pub(crate) grpc: Option<Routes>,
    pub(crate) authority: Authority,
    /// None = only the peers of the Unix socket are let in.
    pub(crate) credentials: Option<Arc<Credentials>>,
    /// Nobody needs a token: probes, and counters on loopback.
    pub(crate) is_open: bool,
    /// User ids whose Unix connections need no token.
    pub(crate) trusted: HashSet<u32>,
    pub(crate) telemetry: Arc<ApiTelemetry>,
    pub(crate) request_timeout: Duration,
    pub(crate) blocking: Arc<Semaphore>,
}

// === impl Service ===

impl Service {
    /// Room for handlers that block, to be shared by all doors.
    pub(crate) fn blocking() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(BLOCKING_MAX))
    }

    /// Answers one request. Never fails; a connection that has to go is cut.
    pub(crate) async fn answer(
        self: Arc<Self>,
        link: Arc<Link>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let _busy = link.seat.begin();
        if is_grpc(&request) {
            return self.grpc(&link, request).await;
        }
        let began = Instant::now();
        let method = known_method(request.method());
        let (path, answer) = match self.judge(&link, &request, auth::check_rest) {
            Ok(()) => answer::rest(&self, &link.peer, request).await,
            Err(refusal) => {
                self.punish(&link, &refusal).await;
                ("refused", refusal.rest())
            }
        };
        let took = began.elapsed();
        let auth = if path == "refused" {
            "none"
        } else {
            link.proof()
        };
        let status = answer.status.as_u16();
        if status >= 500 {
            warn!(method, path, status, ?took, "control request failed");
        } else {
            debug!(method, path, status, ?took, peer = ?link.peer.address, "control request");
        }
        let labels = Labels {
            server: self.name,
            status,
            method,
            path,
            auth,
        };
        self.telemetry.record(labels, took);
        whole(answer)
    }

    async fn grpc(&self, link: &Link, mut request: Request<Incoming>) -> Response<Body> {
        let Some(routes) = &self.grpc else {
            return Status::unimplemented("no gRPC here").into_http();
        };
        if !auth::is_method(request.uri().path()) {
            return Status::unimplemented("malformed method name").into_http();
        }
        let uri = request.uri().clone();
        let check = |headers: &_, token: Option<&_>| auth::check_grpc(&uri, headers, token);
        if let Err(refusal) = self.judge(link, &request, check) {
            self.punish(link, &refusal).await;
            return refusal.grpc().into_http();
        }
        request.extensions_mut().insert(link.peer.clone());
        let mut routes = routes.clone();
        match routes.call(request.map(Body::new)).await {
            Ok(answer) => answer.map(Body::new),
            Err(never) => match never {},
        }
    }

    /// Whether the request may be looked at.
    fn judge(
        &self,
        link: &Link,
        request: &Request<Incoming>,
        check: impl Fn(&hyper::HeaderMap, Option<&auth::token::Token>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let is_trusted =
            self.is_open || link.peer.uid.is_some_and(|uid| self.trusted.contains(&uid));
        if !is_trusted {
            let token = self
                .credentials
                .as_ref()
                .and_then(|credentials| credentials.current().token);
            check(request.headers(), token.as_deref())?;
        }
        link.seat.prove();
        Ok(())
    }

    /// Counts a refusal, and lets the answer to a wrong token wait when there were many.
    async fn punish(&self, link: &Link, refusal: &Refusal) {
        self.telemetry.refuse(refusal.as_str());
        link.seat.refuse();
        if !refusal.is_guess() {
            return;
        }
        if let Some(credentials) = &self.credentials {
            // The right token may be newer than what we know.
            credentials.look_soon();
        }
        let address: Option<IpAddr> = link.peer.address.map(|address| address.ip());
        match self.authority.wrong(address) {
            Some(waiting) => tokio::time::sleep(waiting.delay).await,
            None => link.seat.cut(),
        }
    }
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2
        && request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.contains("application/grpc"))
}

/// Methods as labels: clients can invent others.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn whole(answer: response::Response) -> Response<Body> {
    let body = Full::new(answer.body).map_err(|never| match never {});
    let mut whole = Response::new(Body::new(body));
    *whole.status_mut() = answer.status;
    *whole.headers_mut() = answer.headers;
    whole
}

/// What a handler that broke answers.
pub(crate) fn broken() -> response::Response {
    response::Response::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
}

// === impl Link ===

impl Link {
    /// How the peer proved who it is.
    fn proof(&self) -> &'static str {
        match (self.peer.uid, self.peer.has_certificate) {
            (Some(_), _) => "socket",
            (None, true) => "mTLS",
            (None, false) => "token",
        }
    }
}
