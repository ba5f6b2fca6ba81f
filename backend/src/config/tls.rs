//! TLS of the server itself: versions 1.2 and 1.3, with the suites that the library holds safe.

use super::file::Server;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;

/// Lets clients show a certificate of these authorities, or none.
///
/// # Errors
/// Which file is wrong, and how.
pub fn clients(path: &str) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{path}: {error}");
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        let authority = authority.map_err(|error| wrong(&error))?;
        roots.add(authority).map_err(|error| wrong(&error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
    verifier.build().map_err(|error| wrong(&error))
}

/// Reads certificates and key.
///
/// # Errors
/// Which file is wrong, and how.
pub fn load(server: &Server) -> Result<ServerConfig, String> {
    let path = &server.tls_certificate;
    let wrong = |error: rustls::pki_types::pem::Error| format!("{path}: {error}");
    let certificates = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    let key = PrivateKeyDer::from_pem_file(&server.tls_key);
    let key = key.map_err(|error| format!("{}: {error}", server.tls_key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    let config = match server.tls_client_authorities.as_str() {
        "" => config.with_no_client_auth(),
        path => config.with_client_cert_verifier(clients(path)?),
    };
    let config = config.with_single_cert(certificates, key);
    config.map_err(|error| format!("{path}: {error}"))
}
