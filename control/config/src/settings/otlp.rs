//! OTLP metrics, and how requests get there.

use super::intake::Delivery;
use crate::secret::Secret;

/// One collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    /// The whole address; of gRPC without a path.
    pub url: String,
    /// Speak gRPC.
    pub is_grpc: bool,
    /// Sent with each request; empty = none.
    pub bearer_token: Secret,
    /// The same, of a user; empty = none.
    pub username: String,
    /// Their password.
    pub password: Secret,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// Running totals instead of what happened in a bucket.
    pub is_cumulative: bool,
    /// Aggregates of histograms instead of exponential ones.
    pub aggregates: bool,
    /// Silence after which a running total goes; 0 = never.
    pub expiry_seconds: u32,
    /// Running totals at most; at least 1.
    pub series_max: usize,
    /// Points of one request.
    pub points_per_request: usize,
    /// The way there.
    pub delivery: Delivery,
}
