//! The web server of a process that the base is in.

use std::sync::Arc;

use ark_model::Reason;
use futures_util::future::BoxFuture;
use gateway::{Body, Place, Proxy, RequestId, Upstream, UpstreamError};
use http::{Request, Response};
use tokio::sync::watch;

/// Answers with that server, as long as it listens.
#[derive(Default)]
pub struct Server(watch::Sender<Option<Arc<Proxy>>>);

impl Server {
    /// It listens there from now on, or nowhere.
    pub fn listens(&self, place: Option<Place>) {
        self.0.send_replace(place.map(|place| Arc::new(Proxy::new(place))));
    }
}

impl Upstream for Server {
    fn call(&self, request: Request<Body>, id: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        let server = self.0.borrow().clone();
        match server {
            Some(server) => server.call(request, id),
            None => {
                let message = "the base has no web server".to_owned();
                Box::pin(std::future::ready(Err(UpstreamError { reason: Reason::NoRoute, message })))
            }
        }
    }

    fn keeps_prefix(&self) -> bool {
        true
    }
}
