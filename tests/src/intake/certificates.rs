//! Certificates of an intake: a good one, and each way a bad one is bad.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What an intake shows, and the authority that signed it.
#[derive(Debug)]
pub struct Certificate {
    /// The authority, PEM: what `greyhound.delivery.ca_file` is to hold.
    pub authority_pem: String,
    pub(super) config: Arc<ServerConfig>,
}

// === impl Certificate ===

impl Certificate {
    /// One that is right for `127.0.0.1` and `localhost`.
    pub fn good() -> Self {
        Self::make(&["localhost", "127.0.0.1"], 4096)
    }

    /// One that ended long ago.
    pub fn expired() -> Self {
        Self::make(&["localhost", "127.0.0.1"], 2001)
    }

    /// One for another host.
    pub fn of_another_host() -> Self {
        Self::make(&["intake.invalid"], 4096)
    }

    fn make(names: &[&str], last_year: i32) -> Self {
        let authority_key = KeyPair::generate().expect("a key can be made");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_pem = authority
            .self_signed(&authority_key)
            .expect("an authority can sign itself")
            .pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key can be made");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut leaf = CertificateParams::new(names).expect("names of hosts");
        leaf.not_before = date_time_ymd(2000, 1, 1);
        leaf.not_after = date_time_ymd(last_year, 1, 1);
        let leaf = leaf
            .signed_by(&key, &issuer)
            .expect("an authority can sign");
        let chain = vec![CertificateDer::from(leaf.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of a known form");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("key and certificate belong together");
        Self {
            authority_pem,
            config: Arc::new(config),
        }
    }
}
