//! Settings to the relay of aggregates.

use anyhow::Context;
use greyhound_config::settings::relay::{self, Relay};
use greyhound_sinks::relay::{Address, Histograms, RelayConfig, RelaySink, Timestamps};

/// Makes the sink; nothing is sent yet.
///
/// # Errors
/// When the address is none.
pub(super) fn open(settings: &Relay) -> anyhow::Result<RelaySink> {
    let address: Address = settings
        .address
        .trim()
        .parse()
        .context("`greyhound.relay.address` cannot be used")?;
    Ok(RelaySink::new(RelayConfig {
        packet_len_bytes_max: match settings.packet_bytes {
            0 => address.packet_len(),
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        },
        address,
        queue_bytes_max: usize::try_from(settings.queue_bytes).unwrap_or(usize::MAX),
        timestamps: match settings.timestamps {
            relay::Timestamps::Own => Timestamps::Own,
            relay::Timestamps::All => Timestamps::All,
            relay::Timestamps::Never => Timestamps::Never,
        },
        histograms: match settings.histogram_samples {
            true => Histograms::Samples,
            false => Histograms::Aggregates,
        },
        own_host_tag: settings.own_host_tag,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use greyhound_sinks::sink::Sink;
    use serde_json::json;

    #[test]
    fn an_address_switches_it_on_and_a_wrong_one_is_named() {
        let relay = |config: serde_json::Value| {
            let config = json!({ "greyhound": { "relay": config } });
            settings_from_json(Some(&config))
                .expect("settings")
                .outputs
                .relay
        };
        assert_eq!(relay(json!({})), None);
        let on = relay(json!({ "address": "udp://127.0.0.1:8125" })).expect("on");
        assert_eq!(open(&on).expect("a relay").name(), "relay");
        let wrong = relay(json!({ "address": "ftp://x" })).expect("on");
        let error = format!("{:#}", open(&wrong).expect_err("no such scheme"));
        assert!(
            error.contains("greyhound.relay.address") && error.contains("ftp://x"),
            "{error}"
        );
    }
}
