//! How changes of the settings went, for `/telemetry`.

use greyhound_config::live::Live;
use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

use super::desc;

/// Reads the running settings.
#[derive(Debug)]
pub struct SettingsTelemetry(pub Live);

const RELOADS: usize = 0;
const GENERATION: usize = 1;
const WAITING: usize = 2;

/// All of them.
pub(super) static DESCRIPTORS: [Desc; 3] = [
    desc(
        "greyhound.config.reloads",
        Kind::Counter,
        "reloads",
        &["result"],
        "Reloads of the settings file that were applied, and that were refused as a whole.",
    ),
    desc(
        "greyhound.config.generation",
        Kind::Gauge,
        "",
        &[],
        "Number of the settings in force: 1 at start, and 1 more with each change.",
    ),
    desc(
        "greyhound.config.needs_restart",
        Kind::Gauge,
        "settings",
        &[],
        "Settings that were changed and are taken at the next start only.",
    ),
];

// === impl SettingsTelemetry ===

impl Source for SettingsTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let reloads = self.0.reloads();
        out.push(&DESCRIPTORS[RELOADS], &["applied"], reloads.taken as f64);
        out.push(&DESCRIPTORS[RELOADS], &["refused"], reloads.refused as f64);
        let generation = self.0.generation().number as f64;
        out.push(&DESCRIPTORS[GENERATION], &[], generation);
        let waiting = self.0.waiting_for_restart().len() as f64;
        out.push(&DESCRIPTORS[WAITING], &[], waiting);
    }
}
