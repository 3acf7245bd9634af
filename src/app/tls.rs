//! TLS of the daemon: certificate and key from files, by rustls with ring.
use super::Failure;
use crate::config::ServeConfig;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// One provider of cryptography for everything in the process; asked for before the first use of TLS.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // Set before by another part: it is the same one.
    let _ = rustls::crypto::CryptoProvider::install_default((*provider).clone());
    provider
}

/// The server's side; `None`: not configured.
pub fn server(serve: &ServeConfig) -> Result<Option<ServerConfig>, Failure> {
    let (Some(cert), Some(key)) = (&serve.tls_cert, &serve.tls_key) else { return Ok(None) };
    let fault = |what: &str, path: &std::path::Path, e: &dyn std::fmt::Display| Failure::use_(format!("{what} {}: {e}", path.display()));
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|e| fault("serve.tls_cert", cert, &e))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| fault("serve.tls_key", key, &e))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure::reach(format!("TLS cannot be set up: {e}")))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|e| fault("serve.tls_cert and serve.tls_key do not fit each other:", cert, &e))?;
    Ok(Some(config))
}
