//! The certificate that a client shows: by TLS of our own, or as a trusted proxy tells it (RFC 9440). Tokens may be bound to one, so that
//! who finds a token cannot use it (RFC 8705 section 3).

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, ServiceRequest};
use actix_web::rt::net::TcpStream;
use affiant_domain::Instant;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use std::any::Any;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a certificate in a header.
const LONGEST: usize = 16 << 10;
/// Certificates between a client's and its authority.
const CHAIN: usize = 8;

/// The names that a client's certificate bears, as tokens write them: `sha256:…` of the whole, `dns:…` and `uri:…` of its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Arc<Vec<String>>);

impl Shown {
    /// The names in a certificate that somebody else has checked.
    fn of(der: &CertificateDer<'_>) -> Self {
        let mut print = "sha256:".to_owned();
        for byte in Sha256::digest(der) {
            let _ = write!(print, "{byte:02x}");
        }
        let mut names = vec![print];
        if let Ok(certificate) = webpki::EndEntityCert::try_from(der) {
            names.extend(
                certificate
                    .valid_dns_names()
                    .map(|name| format!("dns:{}", name.to_lowercase())),
            );
            names.extend(certificate.valid_uri_names().map(|name| format!("uri:{name}")));
        }
        Self(Arc::new(names))
    }

    /// Whether it is the holder that a token names.
    #[must_use]
    pub fn is(&self, holder: &str) -> bool {
        self.0.iter().any(|name| name == holder)
    }
}

/// Keeps the certificate of a connection, where its client showed one that an authority of the configuration vouches for.
pub(super) fn keep(connection: &dyn Any, about: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() else {
        return;
    };
    let (_, tls) = (**stream).get_ref();
    if let Some(first) = tls.peer_certificates().and_then(<[_]>::first) {
        about.insert(Shown::of(first));
    }
}

/// The certificate that the client of a request showed. The header counts only where that is switched on and from a proxy that is trusted,
/// which must set or strip it; and only a certificate that an authority of the configuration vouches for at this instant.
pub fn shown(
    request: &ServiceRequest,
    (trusted, verifier): (&[IpNet], Option<&dyn ClientCertVerifier>),
    now: Instant,
) -> Option<Shown> {
    if let Some(own) = request.conn_data::<Shown>() {
        return Some(own.clone());
    }
    let verifier = verifier?;
    let peer = request.peer_addr()?.ip().to_canonical();
    if !trusted.iter().any(|net| net.contains(&peer)) {
        return None;
    }
    let mut all = request.headers().get_all("client-cert");
    let header = all.next()?.to_str().ok()?;
    // Two are one too many: one of them may come from the client.
    if all.next().is_some() || header.len() > LONGEST {
        return None;
    }
    let der = item(header)?;
    let chain = request.headers().get_all("client-cert-chain");
    let chain = chain
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','));
    let chain: Vec<CertificateDer<'_>> = chain.take(CHAIN).map(item).collect::<Option<_>>()?;
    let seconds = u64::try_from(now.timestamp()).ok()?;
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier.verify_client_cert(&der, &chain, at).ok()?;
    Some(Shown::of(&der))
}

/// A certificate as a byte sequence of a structured field (RFC 8941).
fn item(text: &str) -> Option<CertificateDer<'static>> {
    let text = text.trim();
    let inner = text
        .strip_prefix(':')?
        .strip_suffix(':')
        .filter(|_| text.len() <= LONGEST)?;
    Some(CertificateDer::from(STANDARD.decode(inner).ok()?))
}

/// A holder as tokens write it; none where it is not one.
#[must_use]
pub fn holder(text: &str) -> Option<String> {
    let (kind, name) = text.trim().split_once(':')?;
    let name = name.trim();
    let plain = !name.is_empty() && name.len() <= 500 && name.bytes().all(|byte| byte.is_ascii_graphic());
    match kind {
        "sha256" => {
            let print = name.replace(':', "").to_lowercase();
            let whole = print.len() == 64 && print.bytes().all(|byte| byte.is_ascii_hexdigit());
            whole.then(|| format!("sha256:{print}"))
        }
        "dns" if plain => Some(format!("dns:{}", name.to_lowercase())),
        "uri" if plain => Some(format!("uri:{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_a_name_or_a_print() {
        assert_eq!(holder("dns:CI.acme.example"), Some("dns:ci.acme.example".to_owned()));
        assert_eq!(holder("uri:spiffe://acme/CI"), Some("uri:spiffe://acme/CI".to_owned()));
        let print = "AB:".repeat(31) + "CD";
        assert_eq!(
            holder(&format!("sha256:{print}")),
            Some(format!("sha256:{}cd", "ab".repeat(31)))
        );
        for wrong in ["", "ci", "sha256:ab", "dns:", "cn:ci", "uri:a b"] {
            assert_eq!(holder(wrong), None, "{wrong}");
        }
    }
}
