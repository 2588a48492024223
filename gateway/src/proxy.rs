//! Requests to an HTTP/1.1 server on this machine, behind a port or a Unix socket that nobody else knows.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ark_model::Reason;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::{
    forward::RequestId,
    link::Place,
    pool::{Line, Pool},
    sending::Going,
    tunnel::{Far, Upgrade},
    upstream::{Body, BoxError, Upstream, UpstreamError, empty},
};

/// A web server on this machine. A request and its answer stay on the thread that accepted the request.
pub struct Proxy {
    /// What each request carries for the server, and no client can.
    mark: Option<(HeaderName, HeaderValue)>,
    pool: Arc<Pool>,
}

impl Proxy {
    /// The server at `place`.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { mark: None, pool: Pool::new(place) }
    }

    /// Each request carries this header, in place of what its client may have sent under the name.
    #[must_use]
    pub fn marked(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.mark = Some((name, value));
        self
    }

    /// Makes `request` one for an origin server that speaks HTTP/1.1.
    fn address(&self, request: &mut Request<Body>) {
        if let Some(authority) = request.uri().authority() {
            // It was routed by this; HTTP/2 has the host nowhere else.
            if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
                request.headers_mut().insert(header::HOST, host);
            }
            let target = request.uri().path_and_query().cloned();
            *request.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        }
        *request.version_mut() = http::Version::HTTP_11;
        let is_framed = request.body().is_end_stream() || request.headers().contains_key(header::CONTENT_LENGTH);
        let headers = request.headers_mut();
        if !is_framed {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if headers.contains_key(header::TE) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        if let Some((name, value)) = &self.mark {
            headers.insert(name, value.clone());
        }
    }
}

impl Upstream for Proxy {
    fn call(&self, mut request: Request<Body>, _: &RequestId) -> BoxFuture<'static, Result<Response<Body>, UpstreamError>> {
        self.address(&mut request);
        let upgrade = request.extensions_mut().remove::<Upgrade>();
        if let Some(upgrade) = &upgrade {
            upgrade.ask(request.headers_mut());
        }
        let pool = Arc::clone(&self.pool);
        Box::pin(async move {
            let failed = |why: String| {
                let message = format!("its web server at {} did not answer: {why}", pool.place());
                UpstreamError { reason: Reason::ModuleFailed, message }
            };
            let (request, going) = Going::watch(request);
            let (line, response) = ask(&pool, request).await.map_err(failed)?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Ok(answer(line, response, &going));
            }
            let upgrade = upgrade.ok_or_else(|| failed("it changed the protocol unasked".to_owned()))?;
            let (stream, read) = line.link.into_stream().await.ok_or_else(|| failed("it changed the protocol and ended".to_owned()))?;
            upgrade.switch(Far { stream, read, protocol: response.headers().get(header::UPGRADE).cloned() });
            Ok(response.map(|_| empty()))
        })
    }

    fn routed(&self, on: bool) {
        self.pool.keep(on);
    }

    /// Its context path is the application's own: links, redirects and cookies are made with it.
    fn keeps_prefix(&self) -> bool {
        true
    }
}

/// Sends `request` over a connection that rests, or over a new one where there is none, or where it turns out that the server had closed
/// it: then again, if that is harmless.
async fn ask(pool: &Arc<Pool>, mut request: Request<Body>) -> Result<(Line, Response<Incoming>), String> {
    if let Some(mut line) = pool.resting() {
        let copy = (request.method().is_idempotent() && request.body().is_end_stream()).then(|| copy(&request));
        match line.link.exchange(request).await {
            Ok(response) => return Ok((line, response)),
            Err(mut problem) => {
                let unsent = problem.take_message();
                let problem = problem.into_error();
                request = unsent.or(copy.filter(|_| !problem.is_parse())).ok_or_else(|| in_words(&problem))?;
            }
        }
    }
    let mut line = pool.connect().await.map_err(|problem| problem.to_string())?;
    match line.link.exchange(request).await {
        Ok(response) => Ok((line, response)),
        Err(problem) => Err(in_words(&problem.into_error())),
    }
}

/// The same request, of one that has no body.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn in_words(problem: &hyper::Error) -> String {
    let cause = std::error::Error::source(problem).map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{problem}{cause}")
}

/// The answer, with what brings its body.
fn answer(mut line: Line, response: Response<Incoming>, going: &Going) -> Response<Body> {
    if line.link.is_at_rest() {
        // What was read with the head is all there is.
        line.rest();
        return response.map(|body| body.map_err(Into::into).boxed_unsync());
    }
    if going.on() {
        // Both directions go on by themselves: neither a client that reads nothing yet, nor an answer that ends first, holds up the rest.
        tokio::spawn(async move {
            line.link.settle().await;
            line.rest();
        });
        return response.map(|body| body.map_err(Into::into).boxed_unsync());
    }
    response.map(|body| Answer { body, line: Some(line) }.boxed_unsync())
}

pin_project! {
    /// The body of an answer. Who reads it drives the connection that it comes from, and closes that by dropping this before its end.
    struct Answer {
        #[pin]
        body: Incoming,
        line: Option<Line>,
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        // Only the connection makes it ready, which this task drives.
        let mut unwoken = Context::from_waker(Waker::noop());
        let mut polled = this.body.as_mut().poll_frame(&mut unwoken);
        if polled.is_pending()
            && let Some(line) = this.line
        {
            let is_over = line.link.drive(context);
            polled = this.body.as_mut().poll_frame(&mut unwoken);
            if polled.is_pending() && is_over {
                // Dropped, it says that there is no more to come.
                *this.line = None;
                polled = this.body.as_mut().poll_frame(context);
            }
        }
        let is_last = match &polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(_))) => this.body.is_end_stream(),
            Poll::Ready(_) => true,
        };
        if is_last && let Some(mut line) = this.line.take() {
            if !line.link.is_at_rest() {
                line.link.drive(context);
            }
            line.rest();
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
