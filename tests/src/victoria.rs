//! A real VictoriaMetrics, from a newer Debian suite: takes remote writes and OTLP, and gives back exactly what
//! it stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::prometheus::free_port;
use crate::{http, skip, tools, wait};

/// A running server; dropped, it is killed.
#[derive(Debug)]
pub struct Victoria {
    folder: TempDir,
    child: Child,
    address: String,
}

/// A stored series.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Time in milliseconds and value, by time.
    pub samples: Vec<(i64, f64)>,
}

// === impl Victoria ===

impl Victoria {
    /// Starts one, or skips. Blocks until it is ready.
    ///
    /// # Panics
    /// When the program is there and does not start.
    pub fn start() -> Option<Self> {
        static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let program = skip::or_skip(PROGRAM.get_or_init(program).clone())?;
        // It cannot be told to pick a port, so another process may be faster: one more try.
        Self::start_at(&program, free_port())
            .or_else(|_| Self::start_at(&program, free_port()))
            .map_or_else(|why| panic!("victoria-metrics does not start: {why}"), Some)
    }

    /// `http://host:port` and this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every stored series whose name begins so, by labels.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn export(&self, prefix: &str) -> Vec<Stored> {
        self.get("/internal/force_flush");
        let query = format!("/api/v1/export?match%5B%5D=%7B__name__=~%22{prefix}.*%22%7D");
        let mut all: Vec<_> = self.get(&query).lines().map(Stored::parse).collect();
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        all
    }

    fn get(&self, path: &str) -> String {
        let response = http::get(&self.address, path).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        response.body
    }

    fn start_at(program: &Path, port: u16) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let log = std::fs::File::create(folder.path().join("log")).map_err(|e| e.to_string())?;
        let data = folder.path().join("data");
        let child = Command::new(program)
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", data.display()))
            .args(["-retentionPeriod=100y", "-search.latencyOffset=0s"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .current_dir(folder.path())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut server = Self {
            folder,
            child,
            address: format!("127.0.0.1:{port}"),
        };
        let ready = wait::try_within(wait::PATIENCE, || {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Some(Err(format!("{status}: {}", server.log())));
            }
            let answer = http::get(&server.address, "/health").ok()?;
            (answer.status == 200).then_some(Ok(()))
        });
        match ready {
            Some(Ok(())) => Ok(server),
            Some(Err(why)) => Err(why),
            None => Err(format!("not ready in time: {}", server.log())),
        }
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Victoria {
    fn drop(&mut self) {
        // A child that is already gone needs no killing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

// === impl Stored ===

impl Stored {
    fn parse(line: &str) -> Self {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let labels = value["metric"].as_object().expect("a set of labels");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let numbers = value["values"].as_array().expect("values");
        let times = value["timestamps"].as_array().expect("times");
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let mut samples: Vec<_> = times
            .iter()
            .map(|time| time.as_i64().expect("whole milliseconds"))
            .zip(numbers.iter().map(number))
            .collect();
        samples.sort_by_key(|sample| sample.0);
        Self {
            labels: labels
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            samples,
        }
    }

    /// A label, or nothing.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The last value.
    pub fn last(&self) -> f64 {
        self.samples.last().map_or(f64::NAN, |sample| sample.1)
    }
}

fn program() -> Result<PathBuf, String> {
    if let Some(installed) = tools::find("victoria-metrics") {
        return Ok(installed);
    }
    let folder = tools::once("debian-victoria-metrics", |folder| {
        tools::unpack_newer_debian("victoria-metrics", folder)
    })
    .map_err(|why| format!("no victoria-metrics, and the package cannot be fetched: {why}"))?;
    Ok(folder.join("usr/bin/victoria-metrics"))
}
