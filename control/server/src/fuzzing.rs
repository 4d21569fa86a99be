//! What the fuzz targets reach that nobody else may: built for them alone.

use greyhound_config::live::Live;
use greyhound_proto::datadog::model::v1::ConfigEvent;

use crate::flare::profile;
use crate::remote_agent::mirror::Mirror;

/// The profiles in the body of a request for a flare.
///
/// # Errors
/// What the client is told.
pub fn profiles(body: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    profile::read(body)
}

/// Takes the events of a core agent's stream into these settings, as the remote agent does. How many
/// settings of its stand there after each.
pub fn follow(live: &Live, events: impl IntoIterator<Item = ConfigEvent>) -> Vec<usize> {
    let mut mirror = Mirror::new("fuzz".to_owned());
    let take = |event| {
        mirror.take(event);
        mirror.apply(live)
    };
    events.into_iter().map(take).collect()
}
