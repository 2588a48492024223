//! The way to a database over TLS: what its address asks for, and the handshake.

use std::{
    convert::Infallible,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use daemon::tls;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Config, Socket,
    config::SslMode,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client};

use crate::store::StoreError;

/// How much the connection is to be trusted, in PostgreSQL's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trust {
    /// It goes in the clear: `disable`, and where nothing is said.
    Clear,
    /// Nobody reads along, but it may be anybody who answers: `require`.
    Encrypted,
    /// It is the database that was named, by a certificate of one of these authorities, else of a public one: `verify-full`.
    Verified(Option<PathBuf>),
}

/// Where a database is, and how it is reached.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Tls,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, and the authorities.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        let (rest, trust) = trust(url)?;
        let failed = |why: String| StoreError::Failed(why);
        let mut config: Config = rest.parse().map_err(|error| failed(format!("this is no database's address: {error}")))?;
        if config.get_ssl_mode() != SslMode::Prefer {
            // It would else be overridden below. The rest of the address is not said: there is a password in it.
            return Err(failed(
                "the database's address: sslmode is not found where it should be; a ? in a password is written %3F".to_owned(),
            ));
        }
        config.ssl_mode(if trust == Trust::Clear { SslMode::Disable } else { SslMode::Require });
        let authority = if let Trust::Verified(authority) = &trust { authority.as_deref() } else { None };
        let mut client = tls::client(authority, None).map_err(|problem| failed(format!("sslrootcert: {problem}")))?;
        if trust == Trust::Encrypted {
            client.dangerous().set_certificate_verifier(Arc::new(Anybody(tls::provider())));
        }
        Ok(Self { config, tls: Tls(Arc::new(client)) })
    }
}

/// What an address says of TLS, and the address without that. Other forms than that of a URL may say it elsewhere, and are refused.
fn trust(url: &str) -> Result<(String, Trust), StoreError> {
    let failed = |why: &str| Err(StoreError::Failed(format!("the database's address: {why}")));
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return failed("it has the form postgres://user:password@host:port/database?sslmode=verify-full");
    }
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut others) = (String::new(), None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => value.clone_into(&mut mode),
            Some(("sslrootcert", value)) => roots = Some(PathBuf::from(percent_decode_str(value).decode_utf8_lossy().into_owned())),
            _ => others.push(pair),
        }
    }
    let trust = match (mode.as_str(), roots) {
        ("verify-full", roots) => Trust::Verified(roots),
        ("require", None) => Trust::Encrypted,
        ("" | "disable", None) => Trust::Clear,
        ("" | "disable" | "require", Some(_)) => return failed("sslrootcert is looked at by sslmode=verify-full alone"),
        _ => return failed("sslmode is disable, require or verify-full"),
    };
    let rest = if others.is_empty() { place.to_owned() } else { format!("{place}?{}", others.join("&")) };
    Ok((rest, trust))
}

/// Makes connections encrypted.
#[derive(Clone)]
pub(super) struct Tls(Arc<ClientConfig>);

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = Infallible;

    /// Asked for also where nothing is encrypted, as through a socket of this machine, which has no name.
    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Infallible> {
        Ok(Handshake { connector: Arc::clone(&self.0).into(), host: host.to_owned() })
    }
}

/// A handshake that is to be made.
pub(super) struct Handshake {
    connector: TlsConnector,
    /// Whose certificate is expected.
    host: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Encrypted>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let host = self.host;
            let no_name = |_| io::Error::other(format!("{host:?} is no name that a certificate can be for"));
            let name = ServerName::try_from(host.clone()).map_err(no_name)?;
            self.connector.connect(name, stream).await.map(|stream| Encrypted(Box::new(stream))).map_err(|error| said(error, &host))
        })
    }
}

/// Why the handshake failed, in words that say what to look at.
fn said(error: io::Error, host: &str) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => io::Error::other(format!(
            "the certificate of {host} is not believed ({why:?}): is it of an authority in sslrootcert, and for that name?"
        )),
        _ => error,
    }
}

/// An encrypted connection.
pub(super) struct Encrypted(Box<client::TlsStream<Socket>>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

/// Believes every certificate, as long as whoever shows it has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_much_the_connection_is_to_be_trusted() {
        let read = |query: &str| trust(&format!("postgres://h/d{query}")).map_err(|error| error.to_string());
        let plain = "postgres://h/d".to_owned();
        assert_eq!(read(""), Ok((plain.clone(), Trust::Clear)));
        assert_eq!(read("?sslmode=require"), Ok((plain.clone(), Trust::Encrypted)));
        assert_eq!(read("?sslmode=verify-full"), Ok((plain, Trust::Verified(None))));
        assert_eq!(
            read("?connect_timeout=3&sslmode=verify-full&sslrootcert=/etc/my%20ca.pem"),
            Ok(("postgres://h/d?connect_timeout=3".to_owned(), Trust::Verified(Some("/etc/my ca.pem".into()))))
        );
        for query in ["?sslmode=verify-ca", "?sslmode=prefer", "?sslrootcert=/ca.pem", "?sslmode=require&sslrootcert=/ca.pem"] {
            assert!(read(query).unwrap_err().contains("sslmode"), "{query}");
        }
    }

    #[test]
    fn an_address_that_may_say_elsewhere_how_it_is_to_be_trusted_is_refused_and_its_password_is_not_said() {
        for address in [
            "host=db password=secret sslmode=require",
            "postgres://u:secret?@h/d?sslmode=require",
            "postgres://u:secret@h/d?ssl%6Dode=require",
        ] {
            let refused = Address::read(address).map(|_| ()).unwrap_err().to_string();
            assert!(refused.contains("the database's address") && refused.contains("sslmode") && !refused.contains("secret"), "{refused}");
        }
        assert!(Address::read("host=db").map(|_| ()).unwrap_err().to_string().contains("postgres://user:password@host"));
        assert!(Address::read("postgresql://u:secret%3F@h/d?sslmode=require").is_ok());
    }

    #[test]
    fn a_host_without_a_name_fails_no_sooner_than_at_a_handshake() {
        let mut tls = Address::read("postgres:///d?host=/run").map(|address| address.tls).unwrap();
        assert!(tls.make_tls_connect("").is_ok());
    }
}
