//! One connection to a server on this machine. It has no task of its own: whoever is on it drives it, so nobody has to be woken for
//! another's sake, and it ends with the request that is given up.

use std::{
    future::{Future, poll_fn},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::upstream::Body;

/// The longest that connecting takes.
const CONNECT: Duration = Duration::from_secs(2);
/// The pause before the next attempt where the server's queue of connections is full.
const FULL: Duration = Duration::from_millis(1);

/// Where a server on this machine listens.
#[derive(Debug, Clone)]
pub enum Place {
    /// An address of TCP.
    Address(SocketAddr),
    /// A Unix socket.
    Socket(Arc<Path>),
}

impl Place {
    /// A TCP port of the loopback address.
    #[must_use]
    pub const fn port(port: u16) -> Self {
        Self::Address(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "socket {}", path.display()),
        }
    }
}

/// The bytes to and from a server.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Socket(UnixStream),
}

impl Stream {
    async fn connect(place: &Place) -> io::Result<Self> {
        match place {
            Place::Address(address) => {
                let stream = TcpStream::connect(address).await?;
                // Without it a small request waits for the acknowledgement of the one before.
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Place::Socket(path) => loop {
                match UnixStream::connect(path).await {
                    Err(full) if full.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(FULL).await,
                    connected => return connected.map(Self::Socket),
                }
            },
        }
    }
}

/// Whom a connection wakes: the task of the request that is on it. Between two requests nobody: the connection would else wake the task
/// of the one before as soon as it is handed the next.
#[derive(Default)]
struct Driver(AtomicWaker);

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

/// A connection, and whatever is on it.
pub(crate) struct Link {
    sender: http1::SendRequest<Body>,
    /// None once it has ended without leaving its stream to anybody.
    connection: Option<http1::Connection<TokioIo<Stream>, Body>>,
    over: bool,
    driver: Arc<Driver>,
    waker: Waker,
}

impl Link {
    /// A new connection to `place`.
    ///
    /// # Errors
    /// Where nobody listens there, or takes it within two seconds.
    pub(crate) async fn connect(place: &Place) -> io::Result<Box<Self>> {
        let connecting = tokio::time::timeout(CONNECT, Stream::connect(place));
        let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = Arc::new(Driver::default());
        let waker = Waker::from(Arc::clone(&driver));
        Ok(Box::new(Self { sender, connection: Some(connection), over: false, driver, waker }))
    }

    /// Moves what there is to move; whether it has ended.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(connection) = self.connection.as_mut().filter(|_| !self.over) {
            self.driver.0.register(context.waker());
            self.over = Pin::new(connection).poll(&mut Context::from_waker(&self.waker)).is_ready();
        }
        self.over
    }

    /// Wakes nobody until it is driven again.
    pub(crate) fn let_go(&self) {
        drop(self.driver.0.take());
    }

    /// Whether it could take a request now: the one before has gone out, and its answer has come in.
    pub(crate) fn is_at_rest(&self) -> bool {
        !self.over && self.sender.is_ready()
    }

    /// Moves until it is at rest or has ended.
    pub(crate) async fn settle(&mut self) {
        poll_fn(|context| if self.drive(context) || self.is_at_rest() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Sends `request`, and reads the head of its answer.
    ///
    /// # Errors
    /// With the request where nothing of it was sent.
    pub(crate) async fn exchange(&mut self, request: Request<Body>) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let mut answered = pin!(self.sender.try_send_request(request));
        poll_fn(|context| {
            let is_over = self.drive(context);
            // Only the connection, which this very task drives, makes it ready. Woken by that too, the task would run once more for nothing.
            let mut unwoken = Context::from_waker(Waker::noop());
            let polled = answered.as_mut().poll(&mut unwoken);
            if polled.is_pending() && is_over {
                // What was never taken off its queue comes back.
                self.connection = None;
                return answered.as_mut().poll(context);
            }
            polled
        })
        .await
    }

    /// The stream itself, with what was read of it already, once the server has switched to another protocol.
    pub(crate) async fn into_stream(mut self: Box<Self>) -> Option<(Stream, Bytes)> {
        poll_fn(|context| if self.drive(context) { Poll::Ready(()) } else { Poll::Pending }).await;
        let parts = self.connection?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Socket(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Socket(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Socket(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
