//! Connections by TLS with the certificate both ends share.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::channel::{Address, Connecting, Connector, Io};
use crate::artifact;
use crate::auth::token;
use crate::config::Files;
use crate::tls;

/// Reads certificate and token anew for each connection and call: files of a few hundred bytes, which may
/// have been replaced since.
#[derive(Clone, Debug)]
pub struct PinnedTls {
    files: Arc<Files>,
}

// === impl PinnedTls ===

impl PinnedTls {
    /// With the certificate and token of `files`.
    pub fn new(files: Files) -> Self {
        Self {
            files: Arc::new(files),
        }
    }

    /// Whether both files can be used.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn check(&self) -> io::Result<()> {
        self.identity()?;
        self.read_token().map(|_| ())
    }

    fn identity(&self) -> io::Result<tls::Identity> {
        artifact::load(&self.files.certificate, self.files.own_uid, &tls::FILE)
            .map_err(io::Error::other)
    }

    fn read_token(&self) -> io::Result<token::Token> {
        artifact::load(&self.files.token, self.files.own_uid, &token::FILE)
            .map_err(io::Error::other)
    }
}

impl Connector for PinnedTls {
    fn connect(&self, address: Address) -> Connecting {
        let this = self.clone();
        Box::pin(async move {
            let config = tls::client(&this.identity()?, &[b"h2"]).map_err(io::Error::other)?;
            let tls = TlsConnector::from(Arc::new(config));
            // The certificate is compared as a whole; what it is called does not matter.
            let name = ServerName::from(std::net::Ipv4Addr::LOCALHOST);
            let io: Box<dyn Io> = match address {
                Address::Tcp(host, port) => {
                    let stream = TcpStream::connect((host.as_str(), port)).await?;
                    stream.set_nodelay(true)?;
                    Box::new(tls.connect(name, stream).await?)
                }
                Address::Unix(path) => {
                    Box::new(tls.connect(name, UnixStream::connect(path).await?).await?)
                }
            };
            Ok(io)
        })
    }

    fn token(&self) -> Option<String> {
        self.read_token()
            .ok()
            .map(|token| token.reveal().to_owned())
    }
}
