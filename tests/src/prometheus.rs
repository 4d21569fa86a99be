//! A real Prometheus, from the Debian package, scraping one target or taking remote writes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::{http, skip, tools, wait};

/// A running server; dropped, it is killed.
#[derive(Debug)]
pub struct Prometheus {
    folder: TempDir,
    child: Child,
    address: String,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts one that scrapes `target` each second, or skips. Blocks until it is ready.
    ///
    /// # Panics
    /// When the program is there and does not start.
    pub fn scraping(target: &str) -> Option<Self> {
        Self::scraping_path(target, "/metrics")
    }

    /// [`scraping`](Self::scraping) another page.
    ///
    /// # Panics
    /// As [`scraping`](Self::scraping).
    pub fn scraping_path(target: &str, path: &str) -> Option<Self> {
        let program = skip::or_skip(installed())?;
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: greyhound\n  \
             metrics_path: {path}\n  static_configs: [{{targets: [\"{target}\"]}}]\n"
        );
        // It cannot be told to pick a port, so another process may be faster: one more try.
        Self::start(&program, &config, &[], free_port())
            .or_else(|_| Self::start(&program, &config, &[], free_port()))
            .map_or_else(|why| panic!("prometheus does not start: {why}"), Some)
    }

    /// Starts one that takes remote writes at this port, or skips. Blocks until it is ready.
    ///
    /// # Panics
    /// When the program is there and does not start.
    pub fn receiving_at(port: u16) -> Option<Self> {
        let program = skip::or_skip(installed())?;
        Some(Self::receiver(&program, &[], port))
    }

    /// The same, of a newer Debian suite: it knows the second version of the protocol, and native histograms.
    ///
    /// # Panics
    /// As [`receiving_at`](Self::receiving_at).
    pub fn newer_receiving_at(port: u16) -> Option<Self> {
        static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let program = skip::or_skip(PROGRAM.get_or_init(newer_program).clone())?;
        let features = ["--enable-feature=native-histograms,exemplar-storage"];
        Some(Self::receiver(&program, &features, port))
    }

    /// Where remote writes go.
    pub fn write_url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    fn receiver(program: &Path, features: &[&str], port: u16) -> Self {
        let mut arguments = vec!["--web.enable-remote-write-receiver"];
        arguments.extend(features);
        Self::start(program, "global: {}\n", &arguments, port)
            .unwrap_or_else(|why| panic!("prometheus does not start: {why}"))
    }

    /// The one target as `/api/v1/targets` shows it.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn target(&self) -> Value {
        self.api("/api/v1/targets")["activeTargets"][0].clone()
    }

    /// Runs a query; the result, label sets and values as text.
    ///
    /// # Panics
    /// When the server does not answer or refuses the query.
    pub fn query(&self, query: &str) -> Vec<(Value, String)> {
        let mut escaped = String::new();
        for byte in query.bytes() {
            escaped.push_str(&format!("%{byte:02X}"));
        }
        let data = self.api(&format!("/api/v1/query?query={escaped}"));
        let results = data["result"].as_array().cloned().unwrap_or_default();
        results
            .into_iter()
            .map(|result| {
                let value = result["value"][1].as_str().unwrap_or_default().to_owned();
                (result["metric"].clone(), value)
            })
            .collect()
    }

    /// What the server knows of the metric's type and help.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn metadata(&self, name: &str) -> Value {
        self.api(&format!("/api/v1/metadata?metric={name}"))[name][0].clone()
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn start(program: &Path, config: &str, arguments: &[&str], port: u16) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        let log = std::fs::File::create(folder.path().join("log")).map_err(|e| e.to_string())?;
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
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
            let answer = http::get(&server.address, "/-/ready").ok()?;
            (answer.status == 200).then_some(Ok(()))
        });
        match ready {
            Some(Ok(())) => Ok(server),
            Some(Err(why)) => Err(why),
            None => Err(format!("not ready in time: {}", server.log())),
        }
    }

    fn api(&self, path: &str) -> Value {
        let response = http::get(&self.address, path).unwrap_or_else(|why| panic!("{why}"));
        let mut value: Value = serde_json::from_str(&response.body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", response.body));
        assert_eq!(value["status"], "success", "{path}: {value}");
        value["data"].take()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // A child that is already gone needs no killing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn installed() -> Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(program).clone()
}

/// A port nobody listens at, for programs that cannot be told to pick one.
///
/// # Panics
/// When the system has none.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the system has a free port")
        .port()
}

fn newer_program() -> Result<PathBuf, String> {
    let folder = tools::once("debian-prometheus-newer", |folder| {
        tools::unpack_newer_debian("prometheus", folder)
    })
    .map_err(|why| format!("the newer prometheus cannot be fetched: {why}"))?;
    Ok(folder.join("usr/bin/prometheus"))
}

fn program() -> Result<PathBuf, String> {
    if let Some(installed) = tools::find("prometheus") {
        return Ok(installed);
    }
    let folder = tools::once("debian-prometheus", |folder| {
        tools::unpack_debian("prometheus", folder)
    })
    .map_err(|why| format!("no prometheus, and the package cannot be fetched: {why}"))?;
    Ok(folder.join("usr/bin/prometheus"))
}
