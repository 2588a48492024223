//! Certificates and keys from files.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::Problem;

/// A server of HTTP/2 and HTTP/1.1 with this certificate and key (PEM). With `authority` (PEM), only callers with a certificate of it are
/// let in.
///
/// # Errors
/// Where a file cannot be read, or has not what it should.
pub fn server(certificate: &Path, key: &Path, authority: Option<&Path>) -> Result<Arc<ServerConfig>, Problem> {
    let (chain, key) = (certificates(certificate)?, private_key(key)?);
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = match authority {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| format!("{}: {error}", certificate.display()))?;
    config.alpn_protocols = ["h2", "http/1.1"].map(|protocol| protocol.as_bytes().to_vec()).into();
    Ok(Arc::new(config))
}

/// A client that believes servers with a certificate of `authority` (PEM), or else of a public one, and shows its own certificate, where it
/// has one with its key (PEM).
///
/// # Errors
/// Where a file cannot be read, or has not what it should.
pub fn client(authority: Option<&Path>, own: Option<(&Path, &Path)>) -> Result<ClientConfig, Problem> {
    let roots = match authority {
        Some(path) => roots(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = builder.with_root_certificates(roots);
    match own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let config = builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?);
            Ok(config.map_err(|error| format!("{}: {error}", certificate.display()))?)
        }
    }
}

/// The cryptography of all our connections.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The authorities in a file (PEM).
fn roots(path: &Path) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// What is in a file.
///
/// # Errors
/// Where it cannot be read, with its path.
pub fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| format!("could not read {}: {error}", path.display()).into())
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| format!("{} has no private key: {error}", path.display()).into())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!("{} has no certificate", path.display()).into()),
        Err(error) => Err(format!("{} has no certificate that can be read: {error}", path.display()).into()),
    }
}
