//! Where the API listens, in the clear or over TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes that are done and not yet taken.
const BACKLOG: usize = 64;

/// The API cannot listen where it should.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot listen on {address}: {error}; choose another address with --listen")]
pub struct ServeError {
    address: SocketAddr,
    #[source]
    error: io::Error,
}

/// Serves `router` on `listen` until `end`, and says where that is.
///
/// # Errors
/// Where the address is taken, or not this machine's.
pub async fn serve(
    router: Router,
    listen: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    end: CancellationToken,
) -> Result<SocketAddr, ServeError> {
    let failed = |error| ServeError { address: listen, error };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let ended = end.clone().cancelled_owned();
    tokio::spawn(async move {
        let served = match tls {
            None => axum::serve(listener, router).with_graceful_shutdown(ended).await,
            Some(config) => axum::serve(tls_listener(listener, config, end), router).with_graceful_shutdown(ended).await,
        };
        if let Err(error) = served {
            tracing::error!(%error, "the API has ended");
        }
    });
    Ok(address)
}

struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

/// Shakes hands beside the accepting, so that a slow client holds nobody up.
fn tls_listener(listener: TcpListener, config: Arc<ServerConfig>, end: CancellationToken) -> TlsListener {
    let address = listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
    let (done, ready) = mpsc::channel(BACKLOG);
    let acceptor = TlsAcceptor::from(config);
    tokio::spawn(end.run_until_cancelled_owned(async move {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (acceptor, done) = (acceptor.clone(), done.clone());
            tokio::spawn(async move {
                match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    // The API may have ended meanwhile.
                    Ok(Ok(stream)) => drop(done.send((stream, peer)).await),
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a handshake failed"),
                    Err(_) => tracing::debug!(%peer, "a handshake took too long"),
                }
            });
        }
    }));
    TlsListener { ready, address }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
