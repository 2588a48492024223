//! Requests to an HTTP/1.1 server on this machine, behind a port or a Unix socket that nobody else knows.

use std::{
    cell::Cell,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use ark_model::Reason;
use futures_util::{TryFutureExt, future::BoxFuture};
use http::{HeaderName, HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::UnixStream;

use crate::{
    forward::RequestId,
    upstream::{Body, Upstream, UpstreamError},
};

/// How many threads get connections of their own; beyond, two threads share theirs.
const LANES: usize = 64;
/// How long a connection waits for its next request. Servers keep theirs for longer, so that none is closed under a request.
const IDLE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(2);

/// Where a server on this machine listens.
#[derive(Debug, Clone)]
pub enum Place {
    /// A TCP port of the loopback address.
    Port(u16),
    /// A Unix socket.
    Socket(Arc<Path>),
}

/// A web server on this machine. A request and its answer stay on the thread that accepted the request.
pub struct Proxy {
    place: Place,
    /// What each request carries for the server, and no client can.
    mark: Option<(HeaderName, HeaderValue)>,
    lanes: Box<[OnceLock<Connections>]>,
}

#[derive(Clone)]
enum Connections {
    Port(Client<HttpConnector, Body>),
    Socket(Client<ToSocket, Body>),
}

/// Connects to one socket, whatever the address of the request.
#[derive(Clone)]
struct ToSocket(Arc<Path>);

impl tower_service::Service<Uri> for ToSocket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = Arc::clone(&self.0);
        Box::pin(async move { UnixStream::connect(&*path).await.map(TokioIo::new) })
    }
}

impl Proxy {
    /// The server at `place`.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, mark: None, lanes: (0..LANES).map(|_| OnceLock::new()).collect() }
    }

    /// Each request carries this header, in place of what its client may have sent under the name.
    #[must_use]
    pub fn marked(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.mark = Some((name, value));
        self
    }

    fn connections(&self) -> Option<Connections> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static LANE: Cell<Option<usize>> = const { Cell::new(None) });
        let lane = LANE.get().unwrap_or_else(|| {
            let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
            LANE.set(Some(lane));
            lane
        });
        let connections = self.lanes.get(lane)?.get_or_init(|| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
            match &self.place {
                Place::Port(_) => {
                    let mut connector = HttpConnector::new();
                    connector.set_nodelay(true);
                    connector.set_connect_timeout(Some(CONNECT));
                    Connections::Port(builder.build(connector))
                }
                Place::Socket(path) => Connections::Socket(builder.build(ToSocket(Arc::clone(path)))),
            }
        });
        Some(connections.clone())
    }

    /// Where `target` is on that server.
    fn at(&self, target: &Uri) -> Result<Uri, http::Error> {
        let path = target.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let port = match self.place {
            Place::Port(port) => port,
            Place::Socket(_) => 80,
        };
        Uri::builder().scheme("http").authority(format!("127.0.0.1:{port}")).path_and_query(path).build()
    }
}

impl Upstream for Proxy {
    fn call(&self, mut request: Request<Body>, _: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        let failed = |reason, message: String| UpstreamError { reason, message };
        let (Some(connections), Ok(uri)) = (self.connections(), self.at(request.uri())) else {
            return Box::pin(std::future::ready(Err(failed(Reason::Internal, "the request cannot be passed on".to_owned()))));
        };
        // HTTP/2 has the host in the target; the server behind speaks HTTP/1.1.
        if let Some(authority) = request.uri().authority()
            && !request.headers().contains_key(header::HOST)
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        if let Some((name, value)) = &self.mark {
            request.headers_mut().insert(name, value.clone());
        }
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_11;
        let answered = match connections {
            Connections::Port(connections) => connections.request(request),
            Connections::Socket(connections) => connections.request(request),
        };
        let place = self.place.clone();
        Box::pin(answered.map_ok(|response| response.map(|body| body.map_err(Into::into).boxed_unsync())).map_err(move |error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            failed(Reason::ModuleFailed, format!("its web server at {place} did not answer: {error}{cause}"))
        }))
    }

    /// Its context path is the application's own: links, redirects and cookies are made with it.
    fn keeps_prefix(&self) -> bool {
        true
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Socket(path) => write!(f, "socket {}", path.display()),
        }
    }
}
