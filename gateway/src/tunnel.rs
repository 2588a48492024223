//! Connections whose two ends have agreed to speak another protocol, WebSocket most of all: joined byte for byte.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

use crate::{body::Stay, forward::has_token, link::Stream};

/// What a client wants its connection to become. Whoever can do so finds this among the extensions of the request.
#[derive(Clone)]
pub(crate) struct Upgrade {
    protocol: HeaderValue,
    far: Arc<Mutex<Option<Far>>>,
}

/// The server's end, once it has agreed.
pub(crate) struct Far {
    pub(crate) stream: Stream,
    /// What it said in the new protocol already.
    pub(crate) read: Bytes,
    /// Its choice.
    pub(crate) protocol: Option<HeaderValue>,
}

impl Upgrade {
    /// What `request` asks for, and the client's end. None for HTTP itself, behind which further requests would pass unseen.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Option<(Self, OnUpgrade)> {
        let protocol = request.headers().get(header::UPGRADE)?;
        let is_asked = request.headers().get_all(header::CONNECTION).iter().any(|value| has_token(value, "upgrade"));
        if !is_asked || ["h2c", "h2", "http/2.0"].into_iter().any(|http| has_token(protocol, http)) {
            return None;
        }
        let upgrade = Self { protocol: protocol.clone(), far: Arc::default() };
        let near = request.extensions_mut().remove::<OnUpgrade>()?;
        request.extensions_mut().insert(upgrade.clone());
        Some((upgrade, near))
    }

    /// Asks a server for it.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(header::UPGRADE, self.protocol.clone());
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }

    /// The server has agreed.
    pub(crate) fn switch(&self, far: Far) {
        *self.far.lock().unwrap_or_else(PoisonError::into_inner) = Some(far);
    }

    /// The server's end, where it has agreed.
    pub(crate) fn far(&self) -> Option<Far> {
        self.far.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Joins both ends until either ends, nothing has moved for `idle` to twice that, or the instance that it is a stay in has to go.
pub(crate) fn join(near: OnUpgrade, far: Far, idle: Duration, stay: Option<Stay>) {
    tokio::spawn(async move {
        let cut = stay.as_ref().map(|stay| stay.inside.0.cut.clone());
        let moved = Arc::new(AtomicBool::new(true));
        let joined = async {
            let mut near = Moving { stream: TokioIo::new(near.await.map_err(io::Error::other)?), moved: Arc::clone(&moved) };
            let mut far = far;
            near.write_all(&far.read).await?;
            copy_bidirectional(&mut near, &mut far.stream).await
        };
        let still = async {
            while moved.swap(false, Ordering::Relaxed) {
                tokio::time::sleep(idle).await;
            }
        };
        let has_to_go = async {
            match cut {
                Some(cut) => cut.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = joined => if let Err(error) = ended {
                tracing::debug!(%error, "a connection of another protocol broke off");
            },
            () = still => tracing::debug!("a connection of another protocol was closed, for nothing moved on it"),
            () = has_to_go => {}
        }
        // Only now, with both ends closed, has the request left its instance.
        drop(stay);
    });
}

/// A stream that says whether something moves on it.
struct Moving<S> {
    stream: S,
    moved: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
