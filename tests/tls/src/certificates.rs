//! A certificate authority that exists for one test.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Signs certificates, and makes the configurations of those who trust it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    roots: Arc<RootCertStore>,
}

/// What a process needs to dial under a name: a root, a certificate and its key, as bytes.
pub type Parts = [Vec<u8>; 3];

/// An identity whose parts another process has made.
///
/// # Panics
/// If they are none.
pub fn client_of([root, certificate, key]: Parts) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.into()).expect("a root");
    let config = ClientConfig::builder().with_root_certificates(roots);
    let key = PrivatePkcs8KeyDer::from(key).into();
    Arc::new(config.with_client_auth_cert(vec![certificate.into()], key).expect("a certificate"))
}

impl Authority {
    #[allow(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a root");
        let root = certificate.der().clone();
        Self { issuer: Issuer::new(params, key), root, roots: Arc::new(roots) }
    }

    /// A certificate with this name, and its key; an expired one if asked for.
    pub fn certificate(
        &self,
        name: &str,
        is_expired: bool,
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        // One that is called as its issuer is taken for self-signed by OpenSSL.
        params.distinguished_name.push(DnType::CommonName, name);
        if is_expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 2);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (certificate.der().clone(), key.into())
    }

    /// The identity with which another process dials under this name.
    pub fn parts(&self, name: &str) -> Parts {
        let (certificate, key) = self.certificate(name, false);
        [self.root.to_vec(), certificate.to_vec(), key.secret_der().to_vec()]
    }

    /// The identity to dial with under this name.
    pub fn client(&self, name: &str) -> Arc<ClientConfig> {
        self.client_with(self.certificate(name, false))
    }

    pub fn client_with(
        &self,
        (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    ) -> Arc<ClientConfig> {
        let config = ClientConfig::builder().with_root_certificates(Arc::clone(&self.roots));
        Arc::new(config.with_client_auth_cert(vec![certificate], key).expect("a certificate"))
    }

    /// The identity to accept with under this name; the other side must present a certificate.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        self.server_with(self.certificate(name, false))
    }

    pub fn server_with(
        &self,
        (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
    ) -> Arc<ServerConfig> {
        let verifier = WebPkiClientVerifier::builder(Arc::clone(&self.roots)).build();
        let config = ServerConfig::builder().with_client_cert_verifier(verifier.expect("roots"));
        Arc::new(config.with_single_cert(vec![certificate], key).expect("a certificate"))
    }
}
