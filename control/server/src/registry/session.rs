//! One registration of a remote agent.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use greyhound_proto::datadog::remoteagent::v1::RegisterRemoteAgentRequest;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use tonic::transport::Channel;

use super::channel::{self, AddressError, Connector};
use crate::shown::shown;

/// Bytes of a name in labels and file names.
const LABEL_BYTES_MAX: usize = 64;

/// A remote agent, for as long as it keeps refreshing. `Debug` does not show the id.
pub struct Session {
    id: Arc<str>,
    label: String,
    request: RegisterRemoteAgentRequest,
    closed: AtomicBool,
    unhealthy: AtomicBool,
    /// Made at the first callback; connects when it is used, and again when it broke.
    channel: OnceLock<Result<Channel, AddressError>>,
}

// === impl Session ===

impl Session {
    pub(super) fn new(request: RegisterRemoteAgentRequest) -> Result<Self, Unspecified> {
        Ok(Self {
            id: new_id()?.into(),
            label: label(&request.display_name),
            request,
            closed: AtomicBool::new(false),
            unhealthy: AtomicBool::new(false),
            channel: OnceLock::new(),
        })
    }

    /// The secret the agent shows with every call: a random UUID.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn id_shared(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// The display name as a label: lower case, `-` for spaces, nothing but plain letters.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// As the agent wrote it; for people, to be escaped.
    pub fn display_name(&self) -> &str {
        &self.request.display_name
    }

    /// Kind of program, as the agent wrote it.
    pub fn flavor(&self) -> &str {
        &self.request.flavor
    }

    /// Process id, as the agent wrote it.
    pub fn pid(&self) -> &str {
        &self.request.pid
    }

    /// Where its own server is, as the agent wrote it.
    pub fn endpoint(&self) -> &str {
        &self.request.api_endpoint_uri
    }

    /// What it offers there, by full names of services.
    pub fn services(&self) -> &[String] {
        &self.request.services
    }

    /// Whether it offers a service.
    pub fn offers(&self, service: &str) -> bool {
        self.request
            .services
            .iter()
            .any(|offered| offered == service)
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether it answered with another session's id; the next sweep closes it.
    pub(super) fn is_unhealthy(&self) -> bool {
        self.unhealthy.load(Ordering::Relaxed)
    }

    pub(super) fn mark_unhealthy(&self) {
        self.unhealthy.store(true, Ordering::Relaxed);
    }

    pub(super) fn channel(&self, connector: &Arc<dyn Connector>) -> Result<Channel, AddressError> {
        self.channel
            .get_or_init(|| channel::open(self.endpoint(), connector))
            .clone()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("label", &self.label)
            .field("endpoint", &shown(self.endpoint()))
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A display name as the Agent makes a label of it: lower case, spaces become `-`. What could not stand in a
/// file name becomes `-` too, because the same text names the agent's folder in a flare.
pub fn label(display_name: &str) -> String {
    let mut label = String::new();
    for letter in display_name.trim().chars() {
        let letter = letter.to_ascii_lowercase();
        let plain = letter.is_ascii_alphanumeric() || "._-".contains(letter);
        label.push(if plain { letter } else { '-' });
        if label.len() >= LABEL_BYTES_MAX {
            break;
        }
    }
    // No hidden files, no `..`, no empty names.
    let label = label.trim_start_matches('.');
    if label.is_empty() {
        "unnamed".to_owned()
    } else {
        label.to_owned()
    }
}

/// A random UUID of the fourth kind.
fn new_id() -> Result<String, Unspecified> {
    let mut bytes = [0u8; 16];
    SystemRandom::new().fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            id.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_uuids() {
        let a = new_id().expect("randomness");
        let b = new_id().expect("randomness");
        assert_ne!(a, b);
        let parts: Vec<usize> = a.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&a[14..15], "4");
        assert!("89ab".contains(&a[19..20]));
    }

    #[test]
    fn labels_can_stand_in_file_names() {
        for (name, expected) in [
            ("Agent Data Plane", "agent-data-plane"),
            ("trace-agent", "trace-agent"),
            ("../../etc/passwd", "-..-etc-passwd"),
            ("..", "unnamed"),
            ("", "unnamed"),
            ("käse\n", "k-se"),
        ] {
            assert_eq!(label(name), expected);
        }
        assert_eq!(label(&"x".repeat(1000)).len(), LABEL_BYTES_MAX);
    }
}
