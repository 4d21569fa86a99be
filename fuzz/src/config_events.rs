//! Events of a core agent whose settings we take: whatever it sends, the settings stay whole, and what says who
//! and where this process is stays its own.
//!
//! Input: events, each behind its length in two bytes, little-endian.

use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::load::{DefaultFile, Sources, load_text};
use greyhound_config::report::Report;
use greyhound_config::settings::Settings;
use greyhound_proto::datadog::model::v1::ConfigEvent;
use greyhound_server::fuzzing;
use greyhound_server::remote_agent::events::Sequence;
use prost::Message;

const FILE: &str = "hostname: fuzz\ncmd_port: 5005\nlog_level: warn\n";
/// Each is a generation.
const EVENTS_MAX: usize = 16;

/// Panics if reading does, or if the settings are not those of their store.
pub fn check(data: &[u8]) {
    let mut events = Vec::new();
    let mut rest = data;
    while let Some((head, body)) = rest.split_first_chunk::<2>() {
        let (event, after) = body.split_at(usize::from(u16::from_le_bytes(*head)).min(body.len()));
        rest = after;
        if let Ok(event) = ConfigEvent::decode(event) {
            events.push(event);
        }
        if events.len() == EVENTS_MAX {
            break;
        }
    }
    let mut sequence = Sequence::default();
    for event in &events {
        // A gap ends the stream; here it is only told.
        if let Err(gap) = sequence.take(event) {
            assert!(!gap.to_string().is_empty());
        }
    }
    let sources = Sources {
        file: None,
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    let name = std::path::Path::new("greyhound.yaml");
    let loaded = load_text(FILE, name, &sources).expect("a good file");
    let live = Live::new(loaded, sources);
    let counts = fuzzing::follow(&live, events);
    let generation = live.generation();
    let fresh = Settings::read(&generation.store, &mut Report::default());
    assert!(
        *generation.settings == fresh,
        "the typed settings are the store's"
    );
    let theirs = generation.store.iter().filter(|resolved| {
        generation
            .store
            .value_in(resolved.row.key, Layer::RemoteConfig)
            .is_some()
    });
    let keys: Vec<&str> = theirs.map(|resolved| resolved.row.key).collect();
    assert_eq!(counts.last().copied().unwrap_or(0), keys.len(), "{keys:?}");
    for own in ["cmd_port", "cmd_host", "run_path", "auth_token_file_path"] {
        assert!(!keys.contains(&own), "{own} is not theirs");
    }
    assert!(
        !keys.iter().any(|key| key.starts_with("greyhound.")),
        "{keys:?}"
    );
}
