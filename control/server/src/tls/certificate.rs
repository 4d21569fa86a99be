//! Makes the certificate of a host whose Agent has not made one.
//!
//! Unlike the Agent's it is no authority (`CA:FALSE`): a leaf that claims to be one is refused by strict
//! verifiers, and whoever pins it does not care.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber, date_time_ymd,
};
use ring::rand::{SecureRandom, SystemRandom};

use super::pem;

/// Fifty years, as the Agent's: it is replaced by removing the file.
const YEARS: u64 = 50;
const SECONDS_PER_YEAR: u64 = 365 * 24 * 3600;
/// Clocks of one host agree better than this; those of containers may not.
const EARLIER_SECONDS: u64 = 24 * 3600;

/// Certificate and key in one PEM text.
///
/// # Errors
/// No randomness, or a key the generator should not have given.
pub(super) fn make() -> Result<Vec<u8>, String> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
    let certificate = parameters()?
        .self_signed(&key)
        .map_err(|error| error.to_string())?;
    let sec1 = pem::sec1(key.serialized_der(), key.public_key_raw())
        .ok_or("the generated key has another form than expected")?;
    Ok(pem::write(certificate.der(), &sec1).into_bytes())
}

fn parameters() -> Result<CertificateParams, String> {
    let names = ["localhost".to_owned()];
    let mut params = CertificateParams::new(names).map_err(|error| error.to_string())?;
    let addresses = [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()];
    params
        .subject_alt_names
        .extend(addresses.into_iter().map(SanType::IpAddress));
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Greyhound");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| "the system gives no random bytes")?;
    // Positive, and not shorter than sixteen bytes.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let at = |seconds: u64| {
        let days = std::time::Duration::from_secs(seconds);
        date_time_ymd(1970, 1, 1) + days
    };
    params.not_before = at(now.saturating_sub(EARLIER_SECONDS));
    params.not_after = at(now + YEARS * SECONDS_PER_YEAR);
    Ok(params)
}
