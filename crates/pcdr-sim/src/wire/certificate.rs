//! Certificates: an authority that clients can be told to trust, and servers that it vouches for.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A name cannot stand in a certificate, or a key could not be made.
    #[error("the certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library does not accept what was made.
    #[error("the certificate could not be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// An authority that exists for one run: its key is made anew and never stored.
pub struct CertificateAuthority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl CertificateAuthority {
    /// Makes an authority of this name.
    ///
    /// # Errors
    ///
    /// No key could be made.
    pub fn new(name: &str) -> Result<CertificateAuthority, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key)?.pem();
        Ok(CertificateAuthority { pem, issuer: Issuer::new(params, key) })
    }

    /// The certificate that clients are to trust, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server of these names and addresses. Clients verify the one they connected to; an
    /// address needs an address entry, a name does not stand for it.
    ///
    /// # Errors
    ///
    /// A name is no DNS name.
    pub fn issue(
        &self,
        names: &[&str],
        addresses: &[IpAddr],
    ) -> Result<Identity, CertificateError> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone())?;
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name =
            common_name(names.first().map_or("SQL Server stand-in", String::as_str));
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Identity::new(&certificate, key.serialize_der())
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// A server's certificate and key, ready for TLS.
#[derive(Clone)]
pub struct Identity {
    pem: Arc<str>,
    inside_packets: Arc<ServerConfig>,
    strict: Arc<ServerConfig>,
}

impl Identity {
    fn new(made: &rcgen::Certificate, key: Vec<u8>) -> Result<Identity, CertificateError> {
        let certificate: CertificateDer<'static> = made.der().clone();
        let settings = |versions: &[&'static rustls::SupportedProtocolVersion]| {
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.clone()],
                    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.clone())),
                )
        };
        // With TLS 1.3 the two sides disagree about which records still travel in packets.
        let inside_packets = settings(&[&TLS12])?;
        let mut strict = settings(&[&TLS12, &TLS13])?;
        strict.alpn_protocols = vec![b"tds/8.0".to_vec()];
        Ok(Identity {
            pem: Arc::from(made.pem()),
            inside_packets: Arc::new(inside_packets),
            strict: Arc::new(strict),
        })
    }

    /// The certificate as PEM, for clients that are told to expect exactly this one
    /// (`ServerCertificate` of the ODBC driver).
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub(super) fn inside_packets(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.inside_packets)
    }

    pub(super) fn strict(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.strict)
    }
}
