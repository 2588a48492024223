//! A request's body on its way to a server: whether it may go yet, and whether it is still going.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use pin_project_lite::pin_project;
use tokio_util::sync::CancellationToken;

use crate::upstream::{Body, BoxError};

/// How long a body waits for a server that was asked whether it wants it: not every one answers.
const ASKED: Duration = Duration::from_secs(1);

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project! {
    struct Sending {
        #[pin]
        body: Body,
        wait: Option<Wait>,
        _going: Arc<()>,
    }
}

/// Whether the body of a request is still on its way.
#[derive(Default)]
pub(crate) struct Going {
    body: Option<Arc<()>>,
    wanted: Option<CancellationToken>,
}

impl Going {
    /// Watches the body of `request`. Where the client waits for `100 Continue`, so does the body.
    pub(crate) fn watch(request: Request<Body>) -> (Request<Body>, Self) {
        if request.body().is_end_stream() {
            return (request, Self::default());
        }
        let (mut request, body) = (request, Arc::new(()));
        let asks = request.headers().get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        let wanted = asks.then(CancellationToken::new);
        let wait = wanted.clone().map(|wanted| -> Wait {
            let told = wanted.clone();
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == http::StatusCode::CONTINUE {
                    told.cancel();
                }
            });
            Box::pin(async move {
                if tokio::time::timeout(ASKED, wanted.cancelled()).await.is_err() {
                    wanted.cancel();
                }
            })
        });
        let _going = Arc::clone(&body);
        let request = request.map(|body| Sending { body, wait, _going }.boxed_unsync());
        (request, Self { body: Some(body), wanted })
    }

    /// Whether more of it is to go, beside the answer. One that its server did not ask for is none.
    pub(crate) fn on(&self) -> bool {
        self.body.as_ref().is_some_and(|body| Arc::strong_count(body) > 1)
            && self.wanted.as_ref().is_none_or(CancellationToken::is_cancelled)
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(wait) = this.wait {
            std::task::ready!(wait.as_mut().poll(context));
            *this.wait = None;
        }
        this.body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
