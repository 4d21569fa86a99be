//! The certificate file: two PEM blocks, `CERTIFICATE` and then `EC PRIVATE KEY`, as the Agent's readers
//! want them. Our generator gives the key as PKCS#8, so its SEC1 form is put together here.

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivateSec1KeyDer};

/// Head of a SEC1 key on P-256: version, and 32 bytes of secret.
const SEC1_HEAD: &[u8] = &[0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];
/// The curve, P-256, which Go's reader needs; then 65 bytes of public key.
const SEC1_CURVE: &[u8] = &[
    0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42,
    0x00,
];
/// What stands before the secret inside a PKCS#8 key on P-256.
const PKCS8_MARK: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];
const SECRET_LEN: usize = 32;
const PUBLIC_LEN: usize = 65;
const LINE_LEN: usize = 64;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A certificate and its key, not yet checked against each other.
pub(super) struct Pair {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// Reads both blocks. The error names what is wrong and shows nothing.
pub(super) fn read(bytes: &[u8]) -> Result<Pair, String> {
    let mut blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes);
    let mut next = |wanted: SectionKind, name: &str| match blocks.next() {
        Some(Ok((kind, der))) if kind == wanted => Ok(der),
        Some(Ok(_)) => Err(format!(
            "does not hold a {name} block where one is expected"
        )),
        Some(Err(_)) => Err("is not PEM".to_owned()),
        None => Err(format!("holds no {name} block")),
    };
    let certificate = next(SectionKind::Certificate, "CERTIFICATE")?;
    let key = next(SectionKind::EcPrivateKey, "EC PRIVATE KEY")?;
    Ok(Pair {
        certificate: CertificateDer::from(certificate),
        key: PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(key)),
    })
}

/// Writes both blocks.
pub(super) fn write(certificate: &[u8], sec1: &[u8]) -> String {
    let mut text = String::new();
    block("CERTIFICATE", certificate, &mut text);
    block("EC PRIVATE KEY", sec1, &mut text);
    text
}

/// The SEC1 form of a PKCS#8 key on P-256. `None` when it is another key.
pub(super) fn sec1(pkcs8: &[u8], public: &[u8]) -> Option<Vec<u8>> {
    let mark = PKCS8_MARK.len();
    let at = pkcs8
        .windows(mark)
        .position(|window| window == PKCS8_MARK)?
        + mark;
    let secret = pkcs8.get(at..at + SECRET_LEN)?;
    if public.len() != PUBLIC_LEN {
        return None;
    }
    Some([SEC1_HEAD, secret, SEC1_CURVE, public].concat())
}

fn block(name: &str, der: &[u8], text: &mut String) {
    text.push_str(&format!("-----BEGIN {name}-----\n"));
    let encoded = base64(der);
    for line in encoded.as_bytes().chunks(LINE_LEN) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {name}-----\n"));
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > three.len() {
                '='
            } else {
                letter.into()
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let text = write(b"certificate", b"key!");
        let pair = read(text.as_bytes()).expect("two blocks");
        assert_eq!(&*pair.certificate, b"certificate");
        assert_eq!(pair.key.secret_der(), b"key!");
    }

    #[test]
    fn other_blocks_and_other_orders_are_refused() {
        let good = write(b"certificate", b"key");
        let (first, second) = good.split_at(good.find("-----BEGIN EC").expect("a key"));
        let swapped = format!("{second}{first}");
        assert!(read(swapped.as_bytes()).is_err());
        assert!(read(first.as_bytes()).is_err_and(|why| why.contains("EC PRIVATE KEY")));
        let pkcs8 = good.replace("EC PRIVATE KEY", "PRIVATE KEY");
        assert!(read(pkcs8.as_bytes()).is_err());
        assert!(read(b"").is_err() && read(b"-----BEGIN CERTIFICATE-----\n").is_err());
    }

    #[test]
    fn base64_fills_up_with_equal_signs() {
        let encoded: Vec<_> = ["", "f", "fo", "foo", "foob"]
            .iter()
            .map(|text| base64(text.as_bytes()))
            .collect();
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
