//! The health port: `/live`, `/ready`. Plain HTTP, no token, for orchestrators; it tells one word and why not.

use std::sync::Arc;

use hyper::StatusCode;

use super::response::Response;
use super::{Handler, Route};

/// Whether the process does its work; the error says why it does not.
pub type Ready = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// `/live` and `/ready`. As with the Agent, every other path is `/live` ([`live`]).
pub(crate) fn routes(ready: &Ready) -> Vec<Route> {
    let ready = Arc::clone(ready);
    vec![
        live(),
        Route::get(
            "/ready",
            "Whether the process does its work",
            Handler::now(move |_| match ready() {
                Ok(()) => Response::text("ok\n"),
                Err(why) => Response::error(StatusCode::SERVICE_UNAVAILABLE, &why),
            }),
        ),
    ]
}

/// It answers, so it lives.
pub(crate) fn live() -> Route {
    Route::get(
        "/live",
        "Whether the process lives",
        Handler::now(|_| Response::text("ok\n")),
    )
}
