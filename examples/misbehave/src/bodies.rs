//! Bodies that do not end, come slowly, or are not what was announced.

use std::time::Duration;

use http::StatusCode;
use support::{component, reply};
use wasip2::io::streams::{OutputStream, StreamError};

use crate::Exchange;

/// The most that a stream takes at once.
const CHUNK: [u8; 4096] = [b'x'; 4096];

pub(crate) fn endless(exchange: Exchange) -> Option<()> {
    exchange.stream(&[], |_, body| {
        // Ends when the client goes, or the base has enough of it.
        while body.blocking_write_and_flush(&CHUNK).is_ok() {}
        None
    })
}

pub(crate) fn drip(exchange: Exchange) -> Option<()> {
    let (chunks, bytes, ms) = (exchange.number("chunks", 10), exchange.number("bytes", 1), exchange.number("ms", 100));
    exchange.stream(&[], |_, body| {
        for _ in 0..chunks {
            repeat(body, bytes)?;
            std::thread::sleep(Duration::from_millis(ms));
        }
        Some(())
    })
}

#[allow(clippy::panic, reason = "it is what is asked for")]
pub(crate) fn half(exchange: Exchange) -> Option<()> {
    let ms = exchange.number("ms", 50);
    exchange.stream(&[("content-length", "100".to_owned())], |_, body| {
        repeat(body, 10)?;
        // So that the client has the head and these bytes before it all ends.
        std::thread::sleep(Duration::from_millis(ms));
        panic!("asked to trap in the middle of a body");
    })
}

pub(crate) fn short(exchange: Exchange) -> Option<()> {
    let ms = exchange.number("ms", 50);
    exchange.stream(&[("content-length", "100".to_owned())], |_, body| {
        repeat(body, 10)?;
        std::thread::sleep(Duration::from_millis(ms));
        Some(())
    })
}

pub(crate) fn echo(exchange: Exchange) -> Option<()> {
    let kept = component::headers(&exchange.request.headers());
    let header = |name| Some((name, kept.get(name)?.to_str().ok()?.to_owned()));
    let headers: Vec<_> = ["content-type", "content-length"].into_iter().filter_map(header).collect();
    exchange.stream(&headers, |request, out| {
        let body = request.consume().ok()?;
        let stream = body.stream().ok()?;
        loop {
            match stream.blocking_read(64 << 10) {
                Ok(chunk) => chunk.chunks(CHUNK.len()).try_for_each(|part| out.blocking_write_and_flush(part)).ok()?,
                Err(StreamError::Closed) => return Some(()),
                Err(StreamError::LastOperationFailed(_)) => return None,
            }
        }
    })
}

pub(crate) fn swallow(exchange: Exchange) -> Option<()> {
    let mut length = 0_u64;
    let body = exchange.request.consume().ok()?;
    let end = component::read_chunks(&body, |chunk| {
        length += chunk.len() as u64;
        Ok(())
    });
    exchange.answer(match end {
        Ok(()) => reply::text(StatusCode::OK, format!("{length} bytes\n")),
        Err(reason) => reply::text(StatusCode::BAD_REQUEST, format!("{length} bytes, then {reason:?}\n")),
    });
    Some(())
}

fn repeat(body: &OutputStream, mut bytes: u64) -> Option<()> {
    while bytes > 0 {
        let part = usize::try_from(bytes).map_or(CHUNK.len(), |bytes| bytes.min(CHUNK.len()));
        body.blocking_write_and_flush(CHUNK.get(..part)?).ok()?;
        bytes -= part as u64;
    }
    Some(())
}
