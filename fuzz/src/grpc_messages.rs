//! Messages a client of the control port sends, and those remote agents answer with: decoded or refused, and
//! what was decoded is the same after another trip.
//!
//! Input: one byte that chooses the message, then its bytes.

use greyhound_proto::datadog::model::v1 as model;
use greyhound_proto::datadog::remoteagent as agent;
use greyhound_proto::datadog::{config, workloadmeta};
use greyhound_server::registry::exposition;
use prost::Message;

/// Panics if decoding does, if another trip changes the message, or if a little becomes much.
pub fn check(data: &[u8]) {
    let Some((&choice, bytes)) = data.split_first() else {
        return;
    };
    match choice % 18 {
        0 => trip::<model::HostnameRequest>(bytes),
        1 => trip::<model::StreamTagsRequest>(bytes),
        2 => trip::<model::FetchEntityRequest>(bytes),
        3 => trip::<model::GenerateContainerIdFromOriginInfoRequest>(bytes),
        4 => trip::<model::CaptureTriggerRequest>(bytes),
        5 => trip::<model::TaggerState>(bytes),
        6 => trip::<config::ClientGetConfigsRequest>(bytes),
        7 => trip::<config::ConfigSubscriptionRequest>(bytes),
        8 => trip::<workloadmeta::WorkloadmetaStreamRequest>(bytes),
        9 => trip::<model::HostTagRequest>(bytes),
        10 => trip::<model::ConfigStreamRequest>(bytes),
        11 => trip::<agent::v1::RegisterRemoteAgentRequest>(bytes),
        12 => trip::<agent::v1::RefreshRemoteAgentRequest>(bytes),
        13 => trip::<agent::v1::RequestConfigUpdatesRequest>(bytes),
        14 => trip::<agent::v1::ReportRemoteAgentEventRequest>(bytes),
        15 => trip::<agent::status::v1::GetStatusDetailsResponse>(bytes),
        16 => trip::<agent::flare::v1::GetFlareFilesResponse>(bytes),
        _ => telemetry(bytes),
    }
}

fn trip<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(message) = M::decode(bytes) else {
        return;
    };
    let encoded = message.encode_to_vec();
    // A negative number takes ten bytes, and may have come in five.
    assert!(
        encoded.len() <= 2 * bytes.len() + 16,
        "a little becomes much"
    );
    let again = M::decode(&*encoded).expect("what we write can be read");
    // Not a number is not itself.
    let has_nan = format!("{again:?}").contains("NaN");
    assert!(again == message || has_nan, "{again:?}\n{message:?}");
}

/// The counters of a remote agent among ours: whole lines, each with its name.
fn telemetry(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let merged = exposition::merge([("one", &*text), ("two", &*text)].into_iter());
    let mut families = std::collections::HashSet::new();
    for line in merged.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap_or_default();
            assert!(families.insert(name), "{name} is there twice");
        } else if !line.starts_with("# HELP ") {
            let is_named =
                line.contains("remote_agent=\"one\"") || line.contains("remote_agent=\"two\"");
            assert!(is_named, "nobody's line: {line}");
        }
    }
    // A scrape of a scrape adds nothing but its own label.
    let outer = exposition::merge([("outer", &*merged)].into_iter());
    assert!(outer.lines().count() <= merged.lines().count());
}
