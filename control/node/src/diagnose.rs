//! What may be wrong around the process, asked by the daemon about itself and by a command without one.
//!
//! ```text
//!  Subject: settings, places of files, engine if it runs ─▶ suites ─▶ greyhound_server::diagnose
//! ```
//!
//! Nothing is changed: every remedy is a command or setting for the operator.

mod files;
mod host;
pub(crate) mod kernel;
mod ports;

use std::sync::{Arc, OnceLock};

use greyhound_config::settings::Settings;
use greyhound_pipeline::engine::handle::Handle;
use greyhound_server::diagnose::{Diagnosis, Doctor, Suite};

use crate::places::Places;

/// Gives the settings of this moment.
pub type SettingsNow = Box<dyn Fn() -> Arc<Settings> + Send + Sync>;

/// Whom the questions are about.
pub struct Subject {
    /// What it runs with, or would.
    pub settings: SettingsNow,
    /// Token, certificate, socket.
    pub places: Places,
    /// Empty in a command without the daemon.
    pub engine: Arc<OnceLock<Handle>>,
}

struct Questions {
    subject: Arc<Subject>,
    name: &'static str,
    run: fn(&Subject) -> Vec<Diagnosis>,
}

/// All suites about this subject.
pub fn doctor(subject: Subject) -> Doctor {
    let subject = Arc::new(subject);
    let suite = |name, run| -> Arc<dyn Suite> {
        Arc::new(Questions {
            subject: Arc::clone(&subject),
            name,
            run,
        })
    };
    Doctor::new(vec![
        suite("kernel", kernel::look),
        suite("limits", host::limits),
        suite("ports", ports::look),
        suite("sockets", files::sockets),
        suite("control", files::control),
        suite("clock", host::clock),
        suite("names", host::names),
    ])
}

// === impl Questions ===

impl Suite for Questions {
    fn name(&self) -> &str {
        self.name
    }
    fn run(&self) -> Vec<Diagnosis> {
        (self.run)(&self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use greyhound_server::diagnose::Verdict;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_trouble_names_its_cure() {
        let dir = tempfile::tempdir().expect("a folder");
        let token = dir.path().join("auth_token");
        std::fs::write(&token, "x".repeat(64)).expect("written");
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("mode");
        let config =
            json!({ "dogstatsd_port": 1, "greyhound": { "prometheus": { "listen": "off" } } });
        let settings = Arc::new(settings_from_json(Some(&config)).expect("settings"));
        let subject = Subject {
            settings: Box::new(move || Arc::clone(&settings)),
            places: Places {
                token: token.clone(),
                certificate: dir.path().join("none.pem"),
                socket: None,
            },
            engine: Arc::default(),
        };
        let found = doctor(subject).run();
        let text = found.text();
        assert!(
            text.contains(&format!("cure: chmod 600 {}", token.display())),
            "{text}"
        );
        assert!(text.contains("none.pem"), "{text}");
        let answer = found.json();
        for run in answer["runs"].as_array().expect("runs") {
            for one in run["diagnoses"].as_array().expect("diagnoses") {
                let is_well = one["result"] == Verdict::Success as u8;
                assert_eq!(one["remediation"].is_string(), !is_well, "{one}");
            }
        }
    }
}
