//! Prometheus remote write, and how requests get there.

use super::intake::Delivery;
use crate::secret::Secret;

/// One receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteWrite {
    /// The whole address.
    pub url: String,
    /// Sent with each request; empty = none.
    pub bearer_token: Secret,
    /// The same, of a user; empty = none.
    pub username: String,
    /// Their password.
    pub password: Secret,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Names and values.
    pub external_labels: Vec<(String, String)>,
    /// A host label on series of this host too.
    pub own_host_label: bool,
    /// Silence after which a series ends; 0 = never.
    pub expiry_seconds: u32,
    /// Series at most; at least 1.
    pub series_max: u64,
    /// Each from 0 to 1.
    pub quantiles: Vec<f64>,
    /// Native histograms instead of quantiles.
    pub native_histograms: bool,
    /// Ask the receiver for the second version of the protocol.
    pub ask_for_two: bool,
    /// Samples of one request.
    pub samples_per_request: usize,
    /// The way there.
    pub delivery: Delivery,
}
