//! The certificate both ends share, and TLS that trusts it alone.
//!
//! One file holds certificate and key. The server shows it, clients show it too, and each accepts nothing
//! else ([`pin`]). TLS 1.2 and 1.3; no tickets, no early data: a connection is local and cheap to make.

mod certificate;
mod pem;
mod pin;

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme, version};

use crate::artifact;
use crate::config::MutualTls;
use pin::Pin;

const FILE_BYTES_MAX: usize = 64 << 10;
/// What the server offers; clients that ask for neither get HTTP/1.1.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Certificate and key, which fit each other.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    /// The file as it is, for the fingerprint in the log.
    pem: Arc<[u8]>,
}

/// The identity of the moment; none = every handshake fails.
pub(crate) type Current = dyn Fn() -> Option<Identity> + Send + Sync;

/// Shows the current identity.
struct Shown(Arc<Current>);

/// How the certificate file is read and made.
pub(crate) const FILE: artifact::Kind<Identity> = artifact::Kind {
    bytes_max: FILE_BYTES_MAX,
    parse: Identity::parse,
    make: certificate::make,
};

/// TLS of the server. The identity is asked for at each handshake, so a new file needs no restart.
///
/// # Errors
/// When the crypto provider lacks what TLS needs, which a test rules out.
pub(crate) fn server(
    current: Arc<Current>,
    mutual: MutualTls,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
    let shown = Arc::new(Shown(Arc::clone(&current)));
    let mut config = match mutual {
        MutualTls::Off => builder.with_no_client_auth(),
        MutualTls::Request | MutualTls::Require => {
            builder.with_client_cert_verifier(Arc::new(Pin {
                pinned: Arc::new(move || current().map(|identity| identity.certificate())),
                provider,
                mandatory: mutual == MutualTls::Require,
            }))
        }
    }
    .with_cert_resolver(shown);
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

/// TLS of a client that trusts this certificate alone and shows it.
///
/// # Errors
/// As [`server`].
pub fn client(identity: &Identity, protocols: &[&[u8]]) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let pinned = identity.certificate();
    let shown = identity.clone();
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pin {
            pinned: Arc::new(move || Some(pinned.clone())),
            provider,
            mandatory: true,
        }))
        .with_client_cert_resolver(Arc::new(Shown(Arc::new(move || Some(shown.clone())))));
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

// === impl Identity ===

impl Identity {
    /// Reads the content of a certificate file. The error shows nothing of it.
    ///
    /// # Errors
    /// Other PEM blocks, a key of a kind nobody knows, or one of another certificate.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let pair = pem::read(pem)?;
        let provider = ring::default_provider();
        let certified = CertifiedKey::from_der(vec![pair.certificate], pair.key, &provider)
            .map_err(|error| format!("holds a certificate or key that does not work: {error}"))?;
        Ok(Self {
            certified: Arc::new(certified),
            pem: pem.into(),
        })
    }

    /// Makes a new one.
    ///
    /// # Errors
    /// No randomness.
    pub fn generate() -> Result<Self, String> {
        Self::parse(&certificate::make()?)
    }

    /// The certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certified
            .cert
            .first()
            .cloned()
            .expect("parse() puts exactly one there")
    }

    /// The whole file, for digests only: it holds the key.
    pub(crate) fn pem(&self) -> &[u8] {
        &self.pem
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Identity(********)")
    }
}

// === impl Shown ===

impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (self.0)().map(|identity| identity.certified)
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        (self.0)().map(|identity| identity.certified)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
