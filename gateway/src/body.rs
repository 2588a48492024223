//! Bodies on their way through, held to their bounds: size, pauses, and the end of their instance.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::{sync::OwnedSemaphorePermit, time::Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{
    instance::Inside,
    trace::Observed,
    upstream::{Body, BoxError},
};

/// A body that broke a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the body is larger than its bound")]
    TooLarge,
    #[error("the body paused for longer than its bound")]
    Paused,
    #[error("the instance has gone")]
    Cut,
}

/// A timer that is only set while there is something to wait for.
#[derive(Debug)]
struct Pause {
    longest: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pause {
    fn new(longest: Duration) -> Self {
        Self { longest, timer: None }
    }

    fn progress(&mut self) {
        self.timer = None;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.longest))).as_mut().poll(context)
    }
}

pin_project! {
    /// A request's body on its way to a module.
    pub(crate) struct Inbound {
        #[pin]
        body: Body,
        left: u64,
        pause: Pause,
        too_large: Arc<AtomicBool>,
    }
}

impl Inbound {
    /// At most `size` bytes, with pauses of at most `pause`. Sets `too_large` when there are more.
    pub(crate) fn new(body: Body, size: u64, pause: Duration, too_large: Arc<AtomicBool>) -> Self {
        Self { body, left: size, pause: Pause::new(pause), too_large }
    }
}

impl HttpBody for Inbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let Poll::Ready(frame) = this.body.poll_frame(context) else {
            ready!(this.pause.poll(context));
            return Poll::Ready(Some(Err(Broken::Paused.into())));
        };
        this.pause.progress();
        if let Some(Ok(frame)) = &frame {
            match this.left.checked_sub(size_of(frame)) {
                Some(left) => *this.left = left,
                None => {
                    this.too_large.store(true, Ordering::Release);
                    return Poll::Ready(Some(Err(Broken::TooLarge.into())));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request that is inside an instance, until this is dropped; then it is counted.
pub(crate) struct Stay {
    pub(crate) inside: Inside,
    pub(crate) _place: Option<OwnedSemaphorePermit>,
    pub(crate) status: StatusCode,
    pub(crate) arrived: Instant,
    /// How long its answer took, where it stays for longer than that.
    pub(crate) took: Option<Duration>,
    pub(crate) observed: Option<Box<Observed>>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        let stats = &self.inside.0.stats;
        let took = self.took.unwrap_or_else(|| self.arrived.elapsed());
        stats.answered(self.status, took);
        if let Some(observed) = self.observed.take() {
            observed.end(self.status, took);
        }
        // Last: whoever sees that nobody is inside any more has all of them counted.
        stats.ended();
    }
}

pin_project! {
    /// An answer's body on its way to a client. The request is inside its instance until this has ended.
    pub(crate) struct Outbound {
        #[pin]
        body: Body,
        left: u64,
        pause: Pause,
        cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        stay: Option<Stay>,
    }
}

impl Outbound {
    pub(crate) fn new(body: Body, size: u64, pause: Duration, stay: Stay) -> Self {
        Self { body, left: size, pause: Pause::new(pause), cut: None, stay: Some(stay) }
    }

    /// A body that is no module's: the gateway's own word, or the process's.
    pub(crate) fn unbound(body: Body) -> Self {
        Self { body, left: u64::MAX, pause: Pause::new(Duration::MAX), cut: None, stay: None }
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = match this.body.poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let Some(stay) = this.stay.as_ref() else { return Poll::Pending };
                let cut = this.cut.get_or_insert_with(|| Box::pin(stay.inside.0.cut.clone().cancelled_owned()));
                let broken = if cut.as_mut().poll(context).is_ready() {
                    Broken::Cut
                } else {
                    ready!(this.pause.poll(context));
                    Broken::Paused
                };
                *this.stay = None;
                return Poll::Ready(Some(Err(broken.into())));
            }
        };
        this.pause.progress();
        match frame {
            Some(Ok(frame)) => match this.left.checked_sub(size_of(&frame)) {
                Some(left) => {
                    *this.left = left;
                    Poll::Ready(Some(Ok(frame)))
                }
                None => {
                    *this.stay = None;
                    Poll::Ready(Some(Err(Broken::TooLarge.into())))
                }
            },
            end => {
                *this.stay = None;
                Poll::Ready(end)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn size_of(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, |data| data.len() as u64)
}
