//! The other side: its address and headers, what its answers mean, and how a request is halved.

use std::fmt;

use hyper::Uri;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TE,
};

use super::{OtlpConfig, OtlpError, Temporality, encode, grpc};
use crate::client::Whole;
use crate::datadog::proto;
use crate::delivery::{Judgement, Payload, Target};
use crate::destination;

/// The number of gzip on disk, and of gzip in a frame of gRPC.
pub(super) const GZIP: u8 = 3;
pub(super) const FRAMED_GZIP: u8 = 4;

/// More than a request ever unpacks to.
const RAW_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where requests go.
pub(super) struct Collector {
    uri: Uri,
    address: String,
    headers: HeaderMap,
    is_ordered: bool,
}

// === impl Collector ===

impl Collector {
    pub(super) fn new(config: &OtlpConfig) -> Result<Self, OtlpError> {
        let address = destination::shown(&config.url);
        let url = match config.is_grpc {
            true => format!("{}{}", config.url.trim_end_matches('/'), grpc::PATH),
            false => config.url.clone(),
        };
        let uri = destination::parse(&url).ok_or_else(|| OtlpError::Url {
            url: address.clone(),
        })?;
        let mut headers =
            destination::headers(&config.headers).map_err(|name| OtlpError::Header { name })?;
        destination::authorize(&mut headers, &config.authorization)
            .map_err(|_| OtlpError::Authorization)?;
        if config.is_grpc {
            let value = HeaderValue::from_static;
            headers.insert(CONTENT_TYPE, value("application/grpc"));
            headers.insert(TE, value("trailers"));
            headers.insert(HeaderName::from_static("grpc-encoding"), value("gzip"));
        } else {
            let protobuf = HeaderValue::from_static("application/x-protobuf");
            headers.insert(CONTENT_TYPE, protobuf);
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            uri,
            address,
            headers,
            is_ordered: config.temporality == Temporality::Cumulative,
        })
    }
}

impl Target for Collector {
    fn classes(&self) -> &'static [&'static str] {
        &["metrics"]
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    fn request(&self, _: u8, _: u8) -> (Uri, HeaderMap) {
        (self.uri.clone(), self.headers.clone())
    }

    fn split(&self, payload: &Payload) -> Option<[Payload; 2]> {
        let is_framed = payload.encoding == FRAMED_GZIP;
        let packed = match is_framed {
            true => grpc::unframe(&payload.body)?,
            false => &payload.body,
        };
        let halves = halve(&unpack(packed)?)?;
        // A request is split by resources or metrics, so this is a share and not a count; the sum is right.
        let first = payload.points / 2;
        let points = [first, payload.points - first];
        let half = |index: usize| {
            let body = encode::pack(&halves[index]);
            Payload {
                points: points[index],
                body: match is_framed {
                    true => grpc::frame(&body),
                    false => body,
                },
                ..payload.clone()
            }
        };
        Some([half(0), half(1)])
    }

    /// Running totals have to arrive in their order.
    fn is_ordered(&self) -> bool {
        self.is_ordered
    }

    /// Only 429, 502, 503 and 504 ask for another try. What a collector rejects of an accepted request is
    /// not sent again.
    fn judge(&self, encoding: u8, answer: &Whole) -> Option<Judgement> {
        if encoding == FRAMED_GZIP
            && let Some(judgement) = grpc::judge(answer)
        {
            return Some(judgement);
        }
        match answer.status {
            // A call without a status has not been carried out, as far as anybody knows.
            200..=299 if encoding == FRAMED_GZIP => {
                let words = "the collector ended the call without a status".to_owned();
                Some(Judgement::Later(None, words))
            }
            200..=299 => {
                let (rejected, words) = partial_success(&answer.body)?;
                Some(Judgement::Partly { rejected, words })
            }
            // Credentials get mended, proxies come back, and what is too large is halved.
            401 | 403 | 407 | 408 | 413 | 425 | 429 | 502..=504 => None,
            300..=399 => None,
            _ if answer.headers.contains_key(RETRY_AFTER) => None,
            _ => Some(Judgement::Refused(String::new())),
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// `ExportMetricsServiceResponse { 1 partial success { 1 rejected points, 2 message } }`; `None` when all is well.
pub(super) fn partial_success(body: &[u8]) -> Option<(u64, String)> {
    let (_, _, partial) = proto::fields(body).find(|field| field.0 == 1)?;
    let (mut rejected, mut words) = (0, String::new());
    for (number, _, content) in proto::fields(partial) {
        match number {
            1 => rejected = proto::read_varint(content).map_or(0, |(value, _)| value),
            2 => words = content.escape_ascii().to_string(),
            _ => {}
        }
    }
    // A negative number of points makes no sense.
    let rejected = i64::try_from(rejected).map_or(0, i64::unsigned_abs);
    (rejected > 0 || !words.is_empty()).then_some((rejected, words))
}

/// Two halves of a request by resources; of a single one by its metrics.
fn halve(raw: &[u8]) -> Option<[Vec<u8>; 2]> {
    let resources: Vec<_> = proto::fields(raw).filter(|field| field.0 == 1).collect();
    if let [(_, _, only)] = resources[..] {
        let (_, _, scope) = proto::fields(only).find(|field| field.0 == 2)?;
        let metrics = proto::fields(scope).filter(|field| field.0 == 2).count();
        if metrics < 2 {
            return None;
        }
        return Some([false, true].map(|is_second| {
            let mut out = Vec::with_capacity(raw.len());
            proto::message(&mut out, 1, |out| {
                for (number, whole, _) in proto::fields(only) {
                    if number != 2 {
                        out.extend_from_slice(whole);
                        continue;
                    }
                    proto::message(out, 2, |out| {
                        let mut index = 0;
                        for (number, whole, _) in proto::fields(scope) {
                            let is_metric = number == 2;
                            if !is_metric || (index >= metrics / 2) == is_second {
                                out.extend_from_slice(whole);
                            }
                            index += usize::from(is_metric);
                        }
                    });
                }
            });
            out
        }));
    }
    if resources.is_empty() {
        return None;
    }
    let (first, second) = resources.split_at(resources.len() / 2);
    let join = |fields: &[(u32, &[u8], &[u8])]| -> Vec<u8> {
        fields
            .iter()
            .flat_map(|field| field.1.iter().copied())
            .collect()
    };
    Some([join(first), join(second)])
}

pub(super) fn unpack(body: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    let reader = flate2::read::GzDecoder::new(body);
    let mut limited = std::io::Read::take(reader, RAW_BYTES_MAX + 1);
    std::io::Read::read_to_end(&mut limited, &mut raw).ok()?;
    (raw.len() as u64 <= RAW_BYTES_MAX).then_some(raw)
}
