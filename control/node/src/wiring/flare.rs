//! What a flare of this process holds, and the scrubber that knows its secrets.
//!
//! ```text
//!  Observed, log, status page, diagnosis ──▶ one source per subject ──▶ greyhound_server::flare
//! ```
//!
//! Only these functions and fixed paths are sources; no folder is walked.

mod runtime;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::secret::MASK;
use greyhound_config::store::Store;
use greyhound_config::table;
use greyhound_config::value::Value as Setting;
use greyhound_server::diagnose::Doctor;
use greyhound_server::flare::scrub::Scrubber;
use greyhound_server::flare::{self, FlareMaker};
use greyhound_server::health::HealthPage;
use greyhound_server::register::{FlareFiles, FlareSource};
use greyhound_server::status::Page;
use greyhound_telemetry::Registry;
use greyhound_telemetry::text::{Format, write_snapshot};
use serde_json::{Map, Value, json};

use crate::logging::recent::Recent;
use crate::places::{self, Places};

/// Bytes of a settings file that are read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the sources read. A command without the daemon has settings and a doctor only.
pub struct Material {
    /// The settings.
    pub live: Live,
    /// Where token and certificate are: both are secrets, and their modes are worth a line.
    pub places: Places,
    /// Host name, for the folder inside.
    pub hostname: String,
    /// Looks around the process.
    pub doctor: Doctor,
    /// What only the running process has.
    pub running: Option<RunningMaterial>,
}

/// What only the running process has.
pub struct RunningMaterial {
    /// The status page.
    pub page: Page,
    /// Who is well.
    pub health: HealthPage,
    /// All counters.
    pub registry: Arc<Registry>,
    /// The last lines of the log.
    pub recent: Recent,
}

/// One subject, as a function over the material.
struct Source {
    material: Arc<Material>,
    name: &'static str,
    collect: fn(&Material, &mut FlareFiles),
}

/// Makes flares of this material, with `further` sources.
pub fn maker(material: Material, further: Vec<Arc<dyn FlareSource>>) -> FlareMaker {
    let material = Arc::new(material);
    let source = |name, collect| -> Arc<dyn FlareSource> {
        Arc::new(Source {
            material: Arc::clone(&material),
            name,
            collect,
        })
    };
    let mut sources = vec![
        source("status", status),
        source("settings", settings),
        source("environment", environment),
        source("telemetry", telemetry),
        source("log", log),
        source("process", runtime::collect),
        source("diagnosis", |material, into| {
            into.add("diagnose.log", material.doctor.run().text());
        }),
    ];
    sources.extend(further);
    let live = &material.live;
    let file = live.file().cloned();
    let places = [
        material.places.token.clone(),
        material.places.certificate.clone(),
    ];
    let config = flare::Config {
        folder: places::run_folder(&live.settings().control).join("flares"),
        hostname: material.hostname.clone(),
        originals: file.into_iter().chain(places).collect(),
    };
    let (secrets, level) = (Arc::clone(&material), Arc::clone(&material));
    FlareMaker::new(
        config,
        sources,
        Box::new(move || {
            let keys = secrets.live.settings().control.flare_stripped_keys.clone();
            scrubber(&secrets.live.store(), &secrets.places, keys)
        }),
        Box::new(move || {
            let store = level.live.store();
            let found = store.get("log_level");
            found.map_or_else(String::new, |resolved| resolved.value.text())
        }),
    )
}

/// A scrubber that knows every secret of these settings, token and key of the control port included, and
/// leaves out the values of `further` names.
pub fn scrubber(store: &Store, places: &Places, further: Vec<String>) -> Scrubber {
    let mut secrets = Vec::new();
    for row in table::table().rows() {
        for assigned in store.layers(row.key) {
            let is_fetched = assigned.layer == Layer::Secret;
            match &assigned.value {
                Setting::Secret(secret) => secrets.push(secret.reveal().to_owned()),
                Setting::Endpoints(endpoints) => {
                    let keys = endpoints.iter().flat_map(|(_, keys)| keys);
                    secrets.extend(keys.map(|key| key.reveal().to_owned()));
                }
                Setting::Text(text) if is_fetched => secrets.push(text.clone()),
                Setting::List(items) if is_fetched => secrets.extend(items.iter().cloned()),
                _ => {}
            }
        }
    }
    secrets.extend(fs::read_to_string(&places.token));
    // The lines of the key, each by itself: a block has rules of its own.
    if let Ok(certificate) = fs::read_to_string(&places.certificate) {
        let lines = certificate
            .lines()
            .filter(|line| !line.starts_with("-----"));
        secrets.extend(lines.map(str::to_owned));
    }
    Scrubber::new(secrets, further)
}

fn status(material: &Material, into: &mut FlareFiles) {
    let Some(running) = &material.running else {
        return;
    };
    let page = running.page.json(true);
    into.add("status.log", running.page.text(true));
    into.add("health.yaml", yaml(&running.health.read().json()));
    for (section, file) in [
        ("listeners", "dogstatsd_listeners.json"),
        ("ledger", "ledger.json"),
        ("contexts", "contexts.json"),
        ("lanes", "lanes.json"),
        ("sinks", "sinks.json"),
        ("dogstatsd", "expvar/dogstatsd.json"),
    ] {
        into.add(file, page[section].to_string());
    }
    into.add("status.json", page.to_string());
}

fn settings(material: &Material, into: &mut FlareFiles) {
    let store = material.live.store();
    let mut merged = Map::new();
    let mut layers: Map<String, Value> = Map::new();
    for resolved in store.iter() {
        merged.insert(resolved.row.key.to_owned(), resolved.value.json());
        for assigned in store.layers(resolved.row.key) {
            let layer = layers
                .entry(assigned.layer.as_str())
                .or_insert_with(|| json!({}));
            layer[resolved.row.key] = json!({
                "value": assigned.value.json(),
                "place": assigned.place.to_string(),
            });
        }
    }
    into.add("runtime_config_dump.yaml", yaml(&merged.into()));
    into.add("config_by_source.json", Value::Object(layers).to_string());
    let report = material.live.generation().report;
    into.add("config_report.log", report.lines().join("\n"));
    if let Some(file) = material.live.file() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // What is no YAML any more is scrubbed as text.
        let name = format!("etc/{}.yaml", name.trim_end_matches(".yaml"));
        match read_file(file) {
            Ok(text) => into.add(name, text),
            Err(error) => into.add(name, format!("cannot be read: {error}")),
        }
    }
}

fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Variables of the table by value when they are no secrets; others of ours by name.
fn environment(_: &Material, into: &mut FlareFiles) {
    let rows = table::table().rows();
    let mut lines: Vec<String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("DD_") || name.starts_with("GREYHOUND_"))
        .map(|(name, value)| {
            let row = rows.iter().find(|row| row.env_names().contains(&name));
            let value = match row {
                Some(row) if !row.is_secret() => value.to_string_lossy().into_owned(),
                _ => MASK.to_owned(),
            };
            format!("{name}={value}")
        })
        .collect();
    lines.sort_unstable();
    into.add("envvars.log", lines.join("\n"));
}

fn telemetry(material: &Material, into: &mut FlareFiles) {
    let Some(running) = &material.running else {
        return;
    };
    let mut text = Vec::new();
    write_snapshot(&running.registry.snapshot(), Format::TEXT, &mut text);
    into.add("telemetry.log", text);
}

fn log(material: &Material, into: &mut FlareFiles) {
    if let Some(running) = &material.running {
        into.add("logs/greyhound.log", running.recent.text());
    }
}

/// One entry per line; nested values in JSON, which is YAML too.
fn yaml(tree: &Value) -> String {
    let entries = tree.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| format!("{key}: {value}\n"))
        .collect()
}

// === impl Source ===

impl FlareSource for Source {
    fn name(&self) -> &str {
        self.name
    }
    fn collect(&self, into: &mut FlareFiles) {
        (self.collect)(&self.material, into);
    }
}
