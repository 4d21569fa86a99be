//! TLS 1.2 and 1.3 with the system's certificates and those of one more file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tracing::warn;

use super::ClientError;

/// Reads the certificates: some milliseconds.
///
/// A system without certificates is no error, for many only send to plain `http://`; the handshake
/// then says that the issuer is not known.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(system.certs);
    if added == 0 {
        warn!("the system has no certificates to trust; https:// destinations will be refused");
    }
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ClientError> {
    let refused = |why: String| ClientError::CaFile {
        path: path.to_owned(),
        why,
    };
    let mut count = 0;
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| refused(error.to_string()))?;
        count += 1;
    }
    if count == 0 {
        return Err(refused("no certificate in it".to_owned()));
    }
    Ok(())
}
