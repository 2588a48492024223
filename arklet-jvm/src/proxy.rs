//! Requests to a module's own web server, on a port of this machine that nobody else knows.

use std::{
    cell::Cell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ark_model::Reason;
use futures_util::{TryFutureExt, future::BoxFuture};
use gateway::{Body, RequestId, Upstream, UpstreamError};
use http::{HeaderName, HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{base, vm};

/// How many threads get connections of their own; beyond, two threads share theirs.
const LANES: usize = 64;
/// How long a connection waits for its next request. Servers keep theirs for longer, so that none is closed under a request.
const IDLE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(2);

type Connections = Client<HttpConnector, Body>;

/// A web server on this machine. A request and its answer stay on the thread that accepted the request.
pub(crate) struct Proxy {
    port: u16,
    /// What the base's web server knows a module by that has joined it.
    key: Option<Arc<str>>,
    lanes: Box<[OnceLock<Connections>]>,
}

/// `ark.tomcat.Door.KEY`.
const KEY: HeaderName = HeaderName::from_static("ark-instance");

impl Proxy {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, key: None, lanes: (0..LANES).map(|_| OnceLock::new()).collect() }
    }

    /// A module that the base's web server on `port` knows by `key`.
    pub(crate) fn joined(port: u16, key: &str) -> Self {
        Self { key: Some(key.into()), ..Self::new(port) }
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
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT));
            Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).pool_timer(hyper_util::rt::TokioTimer::new()).build(connector)
        });
        Some(connections.clone())
    }

    /// Where `target` is on that server.
    fn at(&self, target: &Uri) -> Result<Uri, http::Error> {
        let path = target.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Uri::builder().scheme("http").authority(format!("127.0.0.1:{}", self.port)).path_and_query(path).build()
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
        if let Some(key) = self.key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            request.headers_mut().insert(KEY, key);
        }
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_11;
        let port = self.port;
        let answered = connections.request(request).map_ok(|response| response.map(|body| body.map_err(Into::into).boxed_unsync()));
        Box::pin(answered.map_err(move |error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            failed(Reason::ModuleFailed, format!("its web server on port {port} did not answer: {error}{cause}"))
        }))
    }

    fn routed(&self, on: bool) {
        if let Some(key) = &self.key {
            base::open(Arc::clone(key), on);
        }
    }

    /// Its context path is the application's own: links, redirects and cookies are made with it.
    fn keeps_prefix(&self) -> bool {
        true
    }
}

/// The base's own web server, wherever it listens.
#[derive(Default)]
pub(crate) struct OfBase {
    server: Arc<OnceLock<Proxy>>,
}

impl Upstream for OfBase {
    fn call(&self, request: Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        if let Some(server) = self.server.get() {
            return server.call(request, id);
        }
        // It may not be up yet: it is looked for until it is found.
        let (server, id) = (Arc::clone(&self.server), id.clone());
        Box::pin(async move {
            let Some(port) = vm::ask_of(|names| (&names.base, names.base_port)).await.and_then(|port| port.parse().ok()) else {
                return Err(UpstreamError { reason: Reason::NoRoute, message: "the base has no web server".to_owned() });
            };
            server.get_or_init(|| Proxy::new(port)).call(request, &id).await
        })
    }

    fn keeps_prefix(&self) -> bool {
        true
    }
}

/// A module without a web server.
pub(crate) struct Silent;

impl Upstream for Silent {
    fn call(&self, _: Request<Body>, _: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        let message = "the module has no web server".to_owned();
        Box::pin(std::future::ready(Err(UpstreamError { reason: Reason::NoRoute, message })))
    }
}
