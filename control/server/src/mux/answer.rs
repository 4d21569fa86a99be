//! A REST request from its head to its answer: route, body, handler, each within its bound.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, HeaderValue, LOCATION};
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;
use tracing::error;

use super::{Service, broken};
use crate::rest::request::{self, Peer, urlencoded};
use crate::rest::response::Response;
use crate::rest::table::Found;
use crate::rest::{Handler, LONG_DEADLINE, Route};

/// Longest wait for the next piece of a body.
const BODY_PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// So much of a body that nobody wants is read all the same, and for so long.
const PASSED_OVER_BYTES_MAX: usize = 64 << 10;
const PASSED_OVER_TIME_MAX: Duration = Duration::from_millis(500);

/// Stops a handler whose client has gone, or whose time is over.
struct Stop(tokio::task::AbortHandle);

/// The route's template, for telemetry, and the answer.
pub(super) async fn rest(
    service: &Service,
    peer: &Peer,
    request: Request<Incoming>,
) -> (&'static str, Response) {
    let path = request.uri().path();
    match service.table.find(request.method(), path) {
        Found::Route(route, params) => {
            let limit = if route.long {
                LONG_DEADLINE
            } else {
                service.request_timeout
            };
            let answered = timeout(limit, call(service, route, params, peer, request)).await;
            let answer = answered
                .unwrap_or_else(|_| Response::error(StatusCode::SERVICE_UNAVAILABLE, "timeout"));
            (route.path, answer)
        }
        Found::Moved(to) => ("moved", moved(request.method(), &to)),
        Found::WrongMethod(path) => (
            path,
            Response::empty().with_status(StatusCode::METHOD_NOT_ALLOWED),
        ),
        Found::Nothing => (
            "unknown",
            Response::error(StatusCode::NOT_FOUND, "404 page not found"),
        ),
    }
}

/// Go's redirect, with its little page.
fn moved(method: &Method, to: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else {
        return Response::error(StatusCode::NOT_FOUND, "404 page not found");
    };
    let page = if method == Method::GET {
        let link = to
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        Response::new(
            StatusCode::OK,
            "text/html; charset=utf-8",
            format!("<a href=\"{link}\">Moved Permanently</a>.\n\n"),
        )
    } else {
        Response::empty()
    };
    page.with_status(StatusCode::MOVED_PERMANENTLY)
        .with_header(LOCATION, location)
}

async fn call(
    service: &Service,
    route: &Route,
    params: Vec<(&'static str, String)>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response {
    let (head, mut body) = request.into_parts();
    let body = match &route.body {
        // What nobody reads is not worth receiving.
        None => {
            pass_over(&mut body).await;
            Bytes::new()
        }
        Some(_) => match read(body, route.body_bytes_max).await {
            Ok(body) => body,
            Err(refusal) => return refusal,
        },
    };
    let mut headers = head.headers;
    headers.remove(AUTHORIZATION);
    let request = request::Request {
        params,
        query: urlencoded(head.uri.query().unwrap_or_default()),
        headers,
        body,
        peer: peer.clone(),
    };
    match &route.handler {
        Handler::Now(answer) => {
            let answered = catch_unwind(AssertUnwindSafe(|| answer(request)));
            answered.unwrap_or_else(|panic| report(route, &*panic))
        }
        Handler::Blocking(answer) => {
            let Ok(permit) = Arc::clone(&service.blocking).acquire_owned().await else {
                return broken();
            };
            let answer = Arc::clone(answer);
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                answer(request)
            });
            joined(route, task.await)
        }
        Handler::Waiting(answer) => {
            let task = tokio::spawn(answer(request));
            let _stop = Stop(task.abort_handle());
            joined(route, task.await)
        }
    }
}

fn joined(route: &Route, ended: Result<Response, tokio::task::JoinError>) -> Response {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => report(route, &*panic),
        Err(_) => broken(),
    })
}

/// A panic is a bug: its text goes to the log, where it was printed already, and not to the client.
fn report(route: &Route, _: &(dyn Any + Send)) -> Response {
    error!(?route, "a control request panicked");
    broken()
}

/// Reads a whole body, within bounds of size and pace.
async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, Response> {
    let too_large = || {
        Response::json_error(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the body is longer than {bytes_max} bytes"),
        )
    };
    if body.size_hint().lower() > bytes_max as u64 {
        pass_over(&mut body).await;
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    loop {
        let piece = match timeout(BODY_PIECE_TIMEOUT, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data(),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(error))) => {
                let text = format!("cannot read the body: {error}");
                return Err(Response::json_error(StatusCode::BAD_REQUEST, &text));
            }
            Err(_) => {
                let text = "the body came too slowly";
                return Err(Response::json_error(StatusCode::REQUEST_TIMEOUT, text));
            }
        };
        // What is no data are trailers, which mean nothing here.
        let Ok(piece) = piece else { continue };
        if whole.len() + piece.len() > bytes_max {
            pass_over(&mut body).await;
            return Err(too_large());
        }
        whole.extend_from_slice(&piece);
    }
}

/// Reads a little of a body that is not wanted: a client that is still sending a short one then hears the answer
/// and not that its connection broke.
async fn pass_over(body: &mut Incoming) {
    let reading = async {
        let mut left = PASSED_OVER_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let len = frame.data_ref().map_or(0, Bytes::len);
            if len >= left {
                return;
            }
            left -= len;
        }
    };
    // When it takes longer, the answer comes all the same.
    timeout(PASSED_OVER_TIME_MAX, reading).await.ok();
}

// === impl Stop ===

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
