//! Handshakes in memory: who is let in, and with what.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ProtocolVersion, ServerConnection};

/// A file as a real Agent writes it: an authority used as a leaf.
fn of_an_agent() -> Identity {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).expect("signed");
    let sec1 = pem::sec1(key.serialized_der(), key.public_key_raw()).expect("P-256");
    Identity::parse(pem::write(certificate.der(), &sec1).as_bytes()).expect("a file")
}

/// Runs both ends until they agree or one gives up.
fn shake(server: ServerConfig, client: ClientConfig) -> Result<ServerConnection, String> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(client), name).map_err(|e| e.to_string())?;
    let mut server = ServerConnection::new(Arc::new(server)).map_err(|e| e.to_string())?;
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        client.write_tls(&mut wire).map_err(|e| e.to_string())?;
        server
            .read_tls(&mut wire.as_slice())
            .map_err(|e| e.to_string())?;
        server
            .process_new_packets()
            .map_err(|e| format!("server: {e}"))?;
        wire.clear();
        server.write_tls(&mut wire).map_err(|e| e.to_string())?;
        client
            .read_tls(&mut wire.as_slice())
            .map_err(|e| e.to_string())?;
        client
            .process_new_packets()
            .map_err(|e| format!("client: {e}"))?;
    }
    Ok(server)
}

fn server_of(identity: &Identity, mutual: MutualTls) -> ServerConfig {
    let shown = identity.clone();
    server(Arc::new(move || Some(shown.clone())), mutual).expect("a configuration")
}

fn client_of(identity: &Identity) -> ClientConfig {
    client(identity, &[b"h2"]).expect("a configuration")
}

fn anonymous(identity: &Identity) -> ClientConfig {
    let mut config = client_of(identity);
    config.client_auth_cert_resolver = Arc::new(Nobody);
    config
}

#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[test]
fn both_ends_show_the_certificate_and_trust_it() {
    for identity in [Identity::generate().expect("made"), of_an_agent()] {
        for mutual in [MutualTls::Require, MutualTls::Request, MutualTls::Off] {
            let server = shake(server_of(&identity, mutual), client_of(&identity)).expect("agreed");
            assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
            let shown = server
                .peer_certificates()
                .is_some_and(|chain| !chain.is_empty());
            assert_eq!(shown, mutual != MutualTls::Off);
        }
    }
}

#[test]
fn a_stranger_is_refused_on_either_side() {
    let (ours, theirs) = (
        Identity::generate().expect("made"),
        Identity::generate().expect("made"),
    );
    let refused = shake(server_of(&theirs, MutualTls::Off), client_of(&ours)).unwrap_err();
    assert!(refused.starts_with("client:"), "{refused}");
    let mut imposter = client_of(&ours);
    imposter.client_auth_cert_resolver = client_of(&theirs).client_auth_cert_resolver;
    let refused = shake(server_of(&ours, MutualTls::Request), imposter).unwrap_err();
    assert!(refused.starts_with("server:"), "{refused}");
}

#[test]
fn a_client_without_certificate_is_let_in_unless_one_is_required() {
    let ours = Identity::generate().expect("made");
    let server = shake(server_of(&ours, MutualTls::Request), anonymous(&ours)).expect("agreed");
    assert!(server.peer_certificates().is_none());
    let refused = shake(server_of(&ours, MutualTls::Require), anonymous(&ours)).unwrap_err();
    assert!(refused.starts_with("server:"), "{refused}");
}

#[test]
fn without_an_identity_no_handshake_succeeds() {
    let ours = Identity::generate().expect("made");
    let closed = server(Arc::new(|| None), MutualTls::Request).expect("a configuration");
    assert!(shake(closed, client_of(&ours)).is_err());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (one, two) = (
        Identity::generate().expect("made"),
        Identity::generate().expect("made"),
    );
    let text = |identity: &Identity| String::from_utf8(identity.pem().to_vec()).expect("PEM");
    let (one, two) = (text(&one), text(&two));
    let at = |text: &str| text.find("-----BEGIN EC").expect("a key");
    let mixed = format!("{}{}", &one[..at(&one)], &two[at(&two)..]);
    let refused = Identity::parse(mixed.as_bytes()).unwrap_err();
    assert!(refused.contains("does not work"), "{refused}");
    assert_eq!(format!("{:?}", of_an_agent()), "Identity(********)");
}
