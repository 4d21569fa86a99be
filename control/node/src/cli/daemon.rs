//! The options of commands that ask the running process, and how they reach it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args as ClapArgs;
use greyhound_config::live::Live;
use greyhound_config::load::{self, Loaded, Sources};
use greyhound_config::value::Port;
use greyhound_server::client::{Answer, Client, ClientConfig, ClientError, Content};
use greyhound_server::config::Files;

use crate::cli::Failure;
use crate::cli::settings::SettingsArgs;
use crate::diagnose::SettingsNow;
use crate::places::Places;
use crate::wiring::server::own_uid;

/// What one page may take.
const WAIT: Duration = Duration::from_secs(35);

/// What to do when nobody answers.
const ADVICE: &str =
    "start it with `greyhound run`, or say with --config, --address and --token-file where it is";

/// Where the running process is.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(super) struct DaemonArgs {
    /// Address of the control port [default: cmd_host and cmd_port of the settings, after the Unix socket]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Daemon")]
    address: Option<String>,

    /// Token of the control port [default: where the daemon has it]
    #[arg(long, value_name = "FILE", help_heading = "Daemon")]
    token_file: Option<PathBuf>,

    /// Certificate of the control port [default: where the daemon has it]
    #[arg(long, value_name = "FILE", help_heading = "Daemon")]
    certificate_file: Option<PathBuf>,

    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

/// Settings of the command line, and the way to the daemon that runs with them.
pub(super) struct Reach {
    pub(super) loaded: Loaded,
    pub(super) sources: Sources,
    pub(super) places: Places,
    address: Option<String>,
    pub(super) client: Client,
}

// === impl DaemonArgs ===

impl DaemonArgs {
    pub(super) fn reach(&self) -> Result<Reach, Failure> {
        let sources = self.settings.sources(Vec::new());
        let loaded = load::load(&sources).map_err(Failure::usage)?;
        let control = &loaded.settings.control;
        let mut places = Places::of_command(control, loaded.file.as_deref());
        if let Some(token) = &self.token_file {
            places.token.clone_from(token);
            places.certificate = token.with_file_name("ipc_cert.pem");
        }
        if let Some(certificate) = &self.certificate_file {
            places.certificate.clone_from(certificate);
        }
        let from_settings = match control.port {
            Port::Number(port) if port != 0 => Some(format!("{}:{port}", control.host)),
            Port::Number(_) | Port::Random => None,
        };
        let address = self.address.clone().or(from_settings);
        // Who names an address means it, and not the socket of another process.
        places.socket = places.socket.filter(|_| self.address.is_none());
        let client = Client::new(ClientConfig {
            address: address.clone(),
            files: Some(Files {
                token: places.token.clone(),
                certificate: places.certificate.clone(),
                own_uid: own_uid(),
            }),
            socket: places.socket.clone(),
        })?;
        Ok(Reach {
            loaded,
            sources,
            places,
            address,
            client,
        })
    }
}

// === impl Reach ===

impl Reach {
    /// `GET`, and what was answered with a status below 400.
    pub(super) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        let answer = self.client.get(path, query, WAIT);
        self.accepted(answer)
    }

    /// `POST` without content, which may take a while.
    pub(super) fn post(
        &self,
        path: &str,
        query: &[(&str, &str)],
        wait: Duration,
    ) -> Result<Answer, ClientError> {
        self.client.post(path, query, Content::Empty, wait)
    }

    /// An answer that says yes. Anything else is a failure with what to do about it.
    pub(super) fn accepted(&self, answer: Result<Answer, ClientError>) -> Result<Answer, Failure> {
        let answer = answer.map_err(|error| self.unanswered(error))?;
        match answer.status {
            0..400 => Ok(answer),
            status => {
                let text = String::from_utf8_lossy(&answer.body);
                let advice = if matches!(status, 401 | 403) {
                    "\nthe token is not that of the running process; say with --token-file where it is"
                } else {
                    ""
                };
                Err(anyhow!("{status}: {}{advice}", text.trim_end()).into())
            }
        }
    }

    fn unanswered(&self, error: ClientError) -> Failure {
        if !is_down(&error) {
            return error.into();
        }
        let shown = |place: &Option<String>| place.clone().unwrap_or_else(|| "none".to_owned());
        let socket = self.places.socket.as_ref();
        anyhow!(
            "{error}\ntried: port {}, token {}, certificate {}, socket {}\n{ADVICE}",
            shown(&self.address),
            self.places.token.display(),
            self.places.certificate.display(),
            shown(&socket.map(|path| path.display().to_string())),
        )
        .into()
    }
}

/// An answer that did not come, with what to do about it.
pub(super) fn unanswered(error: ClientError) -> Failure {
    if is_down(&error) {
        anyhow!("{error}\n{ADVICE}").into()
    } else {
        error.into()
    }
}

/// Whether nobody could be asked, so that a command may look for itself.
pub(super) fn is_down(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Nowhere | ClientError::Files(_) | ClientError::Unreachable { .. }
    )
}

/// Settings as they are now, for whoever asks again and again.
pub(super) fn settings_now(live: &Live) -> SettingsNow {
    let live = live.clone();
    Box::new(move || live.settings())
}
