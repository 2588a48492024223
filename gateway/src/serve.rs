//! Connections: one listener and one thread for each core; a connection stays on the thread that accepted it.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use pin_project_lite::pin_project;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{Gateway, forward::Peer, settings::Settings, upstream::empty};

/// How long a client may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The pause after an accept that failed, e.g. for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
const BACKLOG: i32 = 4_096;
/// How often a thread looks at its timers although nothing is due.
const TICK: Duration = Duration::from_secs(1);

/// The gateway cannot listen where it should.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot listen on {address}: {error}; choose another address with --gateway")]
pub struct ServeError {
    address: SocketAddr,
    #[source]
    error: io::Error,
}

/// A gateway that listens. It goes on where this is dropped.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    end: CancellationToken,
    threads: Vec<thread::JoinHandle<()>>,
    patience: tokio::sync::watch::Sender<Duration>,
}

impl Serving {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nobody any more, tells connections to end after their request, and waits at most `patience` for that.
    pub async fn shutdown(self, patience: Duration) {
        self.patience.send_replace(patience);
        self.end.cancel();
        let joined = tokio::task::spawn_blocking(move || self.threads.into_iter().for_each(|thread| drop(thread.join())));
        if joined.await.is_err() {
            tracing::error!("waiting for the gateway's threads broke off");
        }
    }
}

impl Gateway {
    /// Listens on `listen` with `threads` threads, over TLS where it is given. With port 0, [`Serving::local_addr`] says which.
    ///
    /// # Errors
    /// Where the address is taken or not this machine's, or threads cannot be started.
    pub fn serve(self: &Arc<Self>, listen: SocketAddr, threads: usize, tls: Option<&Arc<ServerConfig>>) -> Result<Serving, ServeError> {
        let failed = |error| ServeError { address: listen, error };
        // Whether somebody else has the address shows only without sharing it.
        drop(socket(listen, false).map_err(failed)?);
        let first = socket(listen, true).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?;
        let mut listeners = vec![first];
        for _ in 1..threads.max(1) {
            listeners.push(socket(address, true).map_err(failed)?);
        }
        let (end, connections) = (CancellationToken::new(), Arc::new(Semaphore::new(self.settings.max_connections.max(1))));
        let (patience, patience_receiver) = tokio::sync::watch::channel(Duration::ZERO);
        let mut handles = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            let acceptor = Acceptor {
                gateway: Arc::clone(self),
                tls: tls.map(|config| TlsAcceptor::from(Arc::clone(config))),
                connections: Arc::clone(&connections),
                end: end.clone(),
                patience: patience_receiver.clone(),
            };
            let run = move || runtime.block_on(acceptor.run(listener));
            handles.push(thread::Builder::new().name(format!("gateway-{number}")).spawn(run).map_err(failed)?);
        }
        Ok(Serving { address, end, threads: handles, patience })
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

struct Acceptor {
    gateway: Arc<Gateway>,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    end: CancellationToken,
    patience: tokio::sync::watch::Receiver<Duration>,
}

impl Acceptor {
    async fn run(self, listener: std::net::TcpListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a gateway thread cannot listen"),
        };
        // A timer that is due before all others wakes the thread that sets it, with a system call, even if that thread is this very one.
        // With one that is always due sooner, the deadlines of requests are set without.
        tokio::spawn(async {
            loop {
                tokio::time::sleep(TICK).await;
            }
        });
        let (server, graceful) = (server(&self.gateway.settings), GracefulShutdown::new());
        while let Some(accepted) = self.end.run_until_cancelled(accept(&listener, &self.connections)).await {
            let Ok((stream, address, place)) = accepted else {
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            // Without it a small answer waits for the client's acknowledgement of the one before.
            let _ = stream.set_nodelay(true);
            let stream = Stalling::new(stream, self.gateway.settings.write_timeout, place);
            let (gateway, server, watcher) = (Arc::clone(&self.gateway), server.clone(), graceful.watcher());
            let tls = self.tls.clone();
            tokio::spawn(async move {
                let peer = Peer::new(address, tls.is_some());
                match tls {
                    None => connection(gateway, &server, watcher, stream, peer).await,
                    Some(acceptor) => match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => connection(gateway, &server, watcher, stream, peer).await,
                        Ok(Err(error)) => tracing::debug!(%address, %error, "a handshake failed"),
                        Err(_) => tracing::debug!(%address, "a handshake took too long"),
                    },
                }
            });
        }
        drop(listener);
        let patience = *self.patience.borrow();
        if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
            tracing::warn!(?patience, "connections that had not ended are cut off");
        }
    }
}

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await.inspect_err(|error| tracing::warn!(%error, "a connection was not accepted"))?;
    Ok((stream, address, place))
}

fn server(settings: &Settings) -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.head_timeout)
        .max_buf_size(settings.max_head.max(8 << 10))
        .keep_alive(true);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_streams)
        .max_header_list_size(u32::try_from(settings.max_head).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(settings.head_timeout))
        .keep_alive_timeout(settings.head_timeout);
    server
}

/// What the requests of one connection have in common.
struct Connection {
    gateway: Arc<Gateway>,
    peer: Peer,
    /// Whether there has been a request.
    asked: AtomicBool,
}

async fn connection<S>(gateway: Arc<Gateway>, server: &auto::Builder<TokioExecutor>, watcher: Watcher, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let longest = gateway.settings.head_timeout;
    let shared = Arc::new(Connection { gateway, peer, asked: AtomicBool::new(false) });
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let shared = Arc::clone(&shared);
        shared.asked.store(true, Ordering::Relaxed);
        async move {
            let request = request.map(|body| if body.is_end_stream() { empty() } else { body.map_err(Into::into).boxed_unsync() });
            Ok::<_, Infallible>(shared.gateway.answer(request, Some(&shared.peer)).await)
        }
    });
    let served = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // The server itself knows no bound until it has seen which protocol the client speaks.
    let silent = async {
        tokio::time::sleep(longest).await;
        if shared.asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = watcher.watch(served.into_owned()) => if let Err(error) = served {
            tracing::debug!(peer = ?shared.peer, %error, "a connection ended early");
        },
        () = silent => tracing::debug!(peer = ?shared.peer, "a client did not say in time what it wants"),
    }
}

pin_project! {
    /// A client's connection, whatever it is spoken on it. It fails once the client has taken nothing for too long.
    struct Stalling<S> {
        #[pin]
        stream: S,
        longest: Duration,
        timer: Option<Pin<Box<Sleep>>>,
        _place: OwnedSemaphorePermit,
    }
}

impl<S> Stalling<S> {
    fn new(stream: S, longest: Duration, place: OwnedSemaphorePermit) -> Self {
        Self { stream, longest, timer: None, _place: place }
    }
}

/// The outcome of a write, unless it has waited for too long.
fn unless_stalled<T>(
    polled: Poll<io::Result<T>>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    longest: Duration,
    context: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if polled.is_ready() {
        *timer = None;
        return polled;
    }
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
    timer.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
}

impl<S: AsyncRead> AsyncRead for Stalling<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_read(context, buffer)
    }
}

impl<S: AsyncWrite> AsyncWrite for Stalling<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.stream.poll_write(context, bytes);
        unless_stalled(polled, this.timer, *this.longest, context)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.stream.poll_write_vectored(context, slices);
        unless_stalled(polled, this.timer, *this.longest, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(context)
    }
}
