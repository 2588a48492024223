//! Where the API listens, in the clear or over TLS: no client may hold a connection without saying anything.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long a connection waits for the head of a request: longer than clients keep one open (Go 90 s), so that none is closed under them.
const HEAD: Duration = Duration::from_secs(120);
/// How often a connection of HTTP/2 is asked whether somebody is there.
const PING: Duration = Duration::from_secs(30);
/// The most connections at a time.
const CONNECTIONS: usize = 16_384;
/// The pause after an accept that failed, e.g. for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// How long requests that still run get, when the controller ends.
const GOODBYE: Duration = Duration::from_secs(15);

/// The API cannot listen where it should.
#[derive(Debug, thiserror::Error)]
#[error("the API cannot listen on {address}: {error}; choose another address with --listen")]
pub struct ServeError {
    address: SocketAddr,
    #[source]
    error: io::Error,
}

/// A listener that serves. It goes on where this is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    ended: mpsc::Receiver<Infallible>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the last request is answered, after it was told to end.
    pub async fn ended(mut self) {
        while self.ended.recv().await.is_some() {}
    }
}

/// Serves `router` on `listen` until `end`.
///
/// # Errors
/// Where the address is taken, or not this machine's.
pub async fn serve(
    router: Router,
    listen: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    end: CancellationToken,
) -> Result<Serving, ServeError> {
    let failed = |error| ServeError { address: listen, error };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    // Each connection has a sender: there are none left once all have ended.
    let (alive, ended) = mpsc::channel(1);
    tokio::spawn(accept(listener, router, tls.map(TlsAcceptor::from), end, alive));
    Ok(Serving { address, ended })
}

async fn accept(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>, end: CancellationToken, alive: mpsc::Sender<Infallible>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let Some((accepted, place)) = end.run_until_cancelled(accepted).await else { return };
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        let (router, tls, end, alive) = (router.clone(), tls.clone(), end.clone(), alive.clone());
        tokio::spawn(async move {
            match tls {
                None => serve_one(stream, router, &end).await,
                Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => serve_one(stream, router, &end).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "a handshake failed"),
                    Err(_) => tracing::debug!(%peer, "a handshake took too long"),
                },
            }
            drop((place, alive));
        });
    }
}

async fn serve_one(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, end: &CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(PING).keep_alive_timeout(HANDSHAKE);
    let service = service_fn(move |request: hyper::Request<Incoming>| router.clone().call(request.map(Body::new)));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(GOODBYE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}
