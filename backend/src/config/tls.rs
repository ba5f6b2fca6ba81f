//! TLS of the server itself: versions 1.2 and 1.3, with the suites that the library holds safe.

use super::file::Server;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

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
    let config = config.map_err(|error| error.to_string())?.with_no_client_auth();
    let config = config.with_single_cert(certificates, key);
    config.map_err(|error| format!("{path}: {error}"))
}
