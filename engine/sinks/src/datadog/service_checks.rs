//! Service checks: one JSON array.

use greyhound_model::service_check::ServiceCheck;
use serde_json::{Value, json};

use super::encode::Text;
use super::packer::Packer;
use crate::sink::{Reason, Receipt};

/// What closes the array.
pub(super) const END: &[u8] = b"]";

/// Adds one check.
pub(super) fn add(
    check: &ServiceCheck,
    packer: &mut Packer,
    text: &mut Text,
    receipt: &mut Receipt,
) {
    let tags: Vec<Value> = check.tags.iter().map(|tag| text.utf8(tag).into()).collect();
    let item = json!({
        "check": text.utf8(&check.name),
        "host_name": text.utf8(&check.host),
        "timestamp": check.unix_seconds,
        "status": check.status as u8,
        "message": text.utf8(&check.message),
        "tags": tags,
    })
    .to_string();
    let item = item.as_bytes();
    if packer.add(&[b"[", item], &[b",", item], 1).is_err() {
        receipt.drop_points(Reason::TooLarge, 1);
    }
}
