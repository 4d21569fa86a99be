//! Token and certificate of the moment: made or read at start, read again when their files change.
//!
//! ```text
//!  files ──every few seconds, by their stamps──▶ read, check ──▶ current pair ──▶ TLS, auth
//! ```
//!
//! A changed file that cannot be trusted any more closes the port: nobody is let in until it is repaired.
//! A file that is gone changes nothing, and neither does one whose content makes no sense: whoever writes it
//! may not be done.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::artifact::{self, ArtifactError, Kind, Stamp};
use crate::auth::token::{self, Token};
use crate::config::Files;
use crate::tls::{self, Identity};

/// How often the files are looked at. Two system calls.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// Rest between two looks that somebody asked for.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Token and certificate, shared by all who need them.
#[derive(Debug)]
pub(crate) struct Credentials {
    files: Files,
    current: RwLock<Pair>,
    /// Wakes whoever looks.
    look: Notify,
}

/// What is in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    /// None = no request is let in.
    pub(crate) token: Option<Arc<Token>>,
    /// None = no handshake succeeds.
    pub(crate) identity: Option<Identity>,
    token_stamp: Option<Stamp>,
    identity_stamp: Option<Stamp>,
    /// Why something is missing.
    fault: Option<String>,
}

// === impl Credentials ===

impl Credentials {
    /// Reads both files, or makes them. Blocks until `deadline` at most.
    pub(crate) fn load_or_create(files: Files, deadline: Instant) -> Result<Self, ArtifactError> {
        let uid = files.own_uid;
        let token = artifact::load_or_create(&files.token, uid, &token::FILE, deadline)?;
        let identity = artifact::load_or_create(&files.certificate, uid, &tls::FILE, deadline)?;
        let pair = Pair {
            token: Some(Arc::new(token)),
            identity: Some(identity),
            token_stamp: artifact::stamp(&files.token),
            identity_stamp: artifact::stamp(&files.certificate),
            fault: None,
        };
        info!(
            token = %files.token.display(),
            certificate = %files.certificate.display(),
            fingerprint = pair.fingerprint(),
            "token and certificate of the control port"
        );
        Ok(Self {
            files,
            current: RwLock::new(pair),
            look: Notify::new(),
        })
    }

    /// What is in force now.
    pub(crate) fn current(&self) -> Pair {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why nobody is let in, if so.
    pub(crate) fn fault(&self) -> Option<String> {
        self.current().fault
    }

    /// Looks at the files from time to time, and when asked to. Never returns.
    pub(crate) async fn keep_looking(self: Arc<Self>) {
        loop {
            // Either way it is time.
            timeout(LOOK_INTERVAL, self.look.notified()).await.ok();
            let looking = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || looking.look()).await {
                error!(%error, "cannot look at token and certificate");
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Has the files looked at now: somebody came with another token.
    pub(crate) fn look_soon(&self) {
        self.look.notify_one();
    }

    /// Reads what has changed. Blocks on the file system.
    pub(crate) fn look(&self) {
        let old = self.current();
        let token_stamp = artifact::stamp(&self.files.token);
        let identity_stamp = artifact::stamp(&self.files.certificate);
        if (token_stamp, identity_stamp) == (old.token_stamp, old.identity_stamp) {
            return;
        }
        let uid = self.files.own_uid;
        let mut new = Pair {
            token_stamp,
            identity_stamp,
            fault: None,
            ..old.clone()
        };
        let token = load(&self.files.token, uid, &token::FILE, &mut new.fault);
        new.token = token.map_or(old.token.clone(), |read| read.map(Arc::new));
        let identity = load(&self.files.certificate, uid, &tls::FILE, &mut new.fault);
        new.identity = identity.unwrap_or(old.identity.clone());
        if new.fault.is_none() && new.fingerprint() != old.fingerprint() {
            info!(
                fingerprint = new.fingerprint(),
                "token or certificate changed"
            );
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
    }
}

/// Reads a file again. The outer `None` leaves what was in force, the inner one closes the port.
fn load<T>(
    path: &std::path::Path,
    uid: u32,
    kind: &Kind<T>,
    fault: &mut Option<String>,
) -> Option<Option<T>> {
    match artifact::load(path, uid, kind) {
        Ok(read) => Some(Some(read)),
        Err(error @ ArtifactError::Unsafe { .. }) => {
            error!(%error, "the control port lets nobody in");
            *fault = Some(error.to_string());
            Some(None)
        }
        Err(error) => {
            warn!(%error, "the old one stays in force");
            None
        }
    }
}

// === impl Pair ===

impl Pair {
    /// Sixteen digits by which two processes can see whether they share both files.
    pub(crate) fn fingerprint(&self) -> String {
        let mut context = Context::new(&SHA256);
        if let Some(token) = &self.token {
            context.update(token.reveal().as_bytes());
        }
        if let Some(identity) = &self.identity {
            context.update(identity.pem());
        }
        let digest = context.finish();
        let digits = digest.as_ref().iter().take(8);
        digits.map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;

    fn credentials(dir: &Path) -> Credentials {
        let files = Files {
            token: dir.join("auth_token"),
            certificate: dir.join("ipc_cert.pem"),
            own_uid: fs::metadata(dir).expect("a folder").uid(),
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        Credentials::load_or_create(files, deadline).expect("made")
    }

    fn replace(path: &Path, content: &[u8]) {
        let other = path.with_extension("new");
        fs::write(&other, content).expect("written");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("mode");
        fs::rename(&other, path).expect("renamed");
    }

    #[test]
    fn new_files_are_taken_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let credentials = credentials(dir.path());
        let before = credentials.current();
        replace(&dir.path().join("auth_token"), &[b'a'; 64]);
        let made = tls::Identity::generate().expect("made");
        replace(&dir.path().join("ipc_cert.pem"), made.pem());
        credentials.look();
        let after = credentials.current();
        assert!(
            after
                .token
                .as_ref()
                .is_some_and(|token| token.is(&[b'a'; 64]))
        );
        let shown = after.identity.as_ref().map(Identity::certificate);
        assert_eq!(shown, Some(made.certificate()));
        assert_ne!(after.fingerprint(), before.fingerprint());
        assert_eq!(after.fingerprint().len(), 16);
    }

    #[test]
    fn a_file_that_others_can_read_lets_nobody_in_until_it_is_repaired() {
        let dir = tempfile::tempdir().expect("a folder");
        let credentials = credentials(dir.path());
        let token = dir.path().join("auth_token");
        fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("mode");
        credentials.look();
        assert!(credentials.current().token.is_none());
        assert!(
            credentials
                .fault()
                .is_some_and(|why| why.contains("chmod 600"))
        );
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).expect("mode");
        credentials.look();
        assert!(credentials.current().token.is_some());
        assert_eq!(credentials.fault(), None);
    }

    #[test]
    fn files_that_are_gone_or_half_written_change_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let credentials = credentials(dir.path());
        let before = credentials.current().fingerprint();
        fs::remove_file(dir.path().join("auth_token")).expect("removed");
        replace(
            &dir.path().join("ipc_cert.pem"),
            b"-----BEGIN CERTIFICATE-----\n",
        );
        credentials.look();
        assert_eq!(credentials.current().fingerprint(), before);
        assert_eq!(credentials.fault(), None);
    }
}
