//! `POST /agent/flare`.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;
use tracing::{error, warn};

use super::{FlareMaker, Order, profile};
use crate::register::RouteGroup;
use crate::rest::request::Request;
use crate::rest::response::Response;
use crate::rest::{Handler, Route};

/// Bytes of a body: some profiles in base64.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Longest time a client may give each source.
const SOURCE_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The route, for [`Parts`](crate::server::Parts).
pub struct FlareRoutes(pub Arc<FlareMaker>);

impl RouteGroup for FlareRoutes {
    fn routes(&self) -> Vec<Route> {
        let maker = Arc::clone(&self.0);
        vec![
            Route::post(
                "/agent/flare",
                "Makes an archive for support and names its file",
                Handler::blocking(move |request| answer(&maker, &request)),
            )
            .tag("flare")
            .query(
                "provider_timeout",
                "Nanoseconds each source may take; what is no number over 0 is ignored",
                json!({ "type": "string" }),
            )
            .json_body(
                json!({
                    "type": ["object", "null"],
                    "additionalProperties": { "type": ["string", "null"], "contentEncoding": "base64" },
                }),
                false,
            )
            .text(200, "Path of the archive on the host of the process")
            .text(500, "Why there is none")
            .body_bytes_max(BODY_BYTES_MAX)
            .long(),
        ]
    }
}

fn answer(maker: &FlareMaker, request: &Request) -> Response {
    let failed = StatusCode::INTERNAL_SERVER_ERROR;
    let profiles = match profile::read(&request.body) {
        Ok(profiles) => profiles,
        Err(why) => return Response::error(failed, &why),
    };
    let order = Order {
        profiles,
        source_timeout: request.query("provider_timeout").and_then(timeout),
        ..Order::default()
    };
    match maker.make(order) {
        Ok(path) => Response::text(path.display().to_string()),
        Err(why) => {
            error!(%why, "no flare");
            Response::error(failed, &why.to_string())
        }
    }
}

/// Whole nanoseconds over 0; anything else is as if it was not there.
fn timeout(text: &str) -> Option<Duration> {
    let nanoseconds = text.parse::<u64>().ok().filter(|&count| count > 0);
    if nanoseconds.is_none() {
        warn!("provider_timeout of a flare is no number of nanoseconds, and is ignored");
    }
    nanoseconds.map(|count| Duration::from_nanos(count).min(SOURCE_TIMEOUT_MAX))
}
