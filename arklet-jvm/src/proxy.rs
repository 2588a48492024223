//! Who answers for modules on the JVM, and for the base itself.

use std::sync::{Arc, OnceLock};

use ark_model::Reason;
use futures_util::future::BoxFuture;
use gateway::{Body, Place, Proxy, RequestId, Upstream, UpstreamError};
use http::{HeaderName, HeaderValue, Request, Response};

use crate::{base, vm};

/// `ark.tomcat.Door.KEY`.
const KEY: HeaderName = HeaderName::from_static("ark-instance");

/// A module that has joined the base's web server.
pub(crate) struct Joined {
    server: Proxy,
    key: Arc<str>,
}

impl Joined {
    /// The one that the server on `port` knows by `key`.
    pub(crate) fn new(port: u16, key: &str) -> Self {
        let server = Proxy::new(Place::port(port));
        let server = match HeaderValue::from_str(key) {
            Ok(value) => server.marked(KEY, value),
            // It is a UUID.
            Err(_) => server,
        };
        Self { server, key: key.into() }
    }
}

impl Upstream for Joined {
    fn call(&self, request: Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        self.server.call(request, id)
    }

    fn routed(&self, on: bool) {
        base::open(Arc::clone(&self.key), on);
        self.server.routed(on);
    }

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
            server.get_or_init(|| Proxy::new(Place::port(port))).call(request, &id).await
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
