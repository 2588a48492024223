//! What a module can do to its base and to its caller.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use http::StatusCode;
use support::reply;

use crate::Exchange;

pub(crate) fn ok(exchange: Exchange) -> Option<()> {
    exchange.answer(reply::text(StatusCode::OK, "ok\n"));
    Some(())
}

pub(crate) fn status(exchange: Exchange) -> Option<()> {
    let code = exchange.number("code", 200);
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    exchange.answer(match status {
        Some(status) => reply::text(status, format!("{status}\n")),
        None => reply::error(StatusCode::BAD_REQUEST, format!("{code} is no status")),
    });
    Some(())
}

pub(crate) fn probe(exchange: Exchange) -> Option<()> {
    if cfg!(feature = "probe-hangs") {
        return endless_loop(exchange);
    }
    let (status, text) =
        if cfg!(feature = "probe-fails") { (StatusCode::INTERNAL_SERVER_ERROR, "not well\n") } else { (StatusCode::OK, "well\n") };
    exchange.answer(reply::text(status, text));
    Some(())
}

#[allow(clippy::panic, reason = "it is what is asked for")]
pub(crate) fn trap(_: Exchange) -> Option<()> {
    panic!("asked to trap");
}

pub(crate) fn exit(_: Exchange) -> Option<()> {
    std::process::exit(1);
}

pub(crate) fn endless_loop(_: Exchange) -> Option<()> {
    loop {
        black_box(0);
    }
}

pub(crate) fn alloc(_: Exchange) -> Option<()> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, so that the base has to find the memory.
        taken.push(vec![1; 1 << 20]);
        black_box(&taken);
    }
}

pub(crate) fn stack(exchange: Exchange) -> Option<()> {
    let depth = descend(0);
    exchange.answer(reply::text(StatusCode::OK, format!("came back from {depth}\n")));
    Some(())
}

fn descend(depth: u64) -> u64 {
    // A frame of its own, and work after the call, or it would be made a loop.
    let frame = black_box([depth; 16]);
    if depth == u64::MAX { depth } else { descend(depth + 1).wrapping_add(frame.iter().sum()) }
}

pub(crate) fn silent(_: Exchange) -> Option<()> {
    None
}

pub(crate) fn slow(exchange: Exchange) -> Option<()> {
    let ms = exchange.number("ms", 1_000);
    std::thread::sleep(Duration::from_millis(ms));
    exchange.answer(reply::text(StatusCode::OK, format!("after {ms} ms\n")));
    Some(())
}

pub(crate) fn flood(exchange: Exchange) -> Option<()> {
    let lines = exchange.number("lines", 100_000);
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let written =
        (0..lines).filter(|line| if line % 2 == 0 { writeln!(out, "flood {line}") } else { writeln!(err, "flood {line}") }.is_ok()).count();
    exchange.answer(reply::text(StatusCode::OK, format!("{written} lines\n")));
    Some(())
}

pub(crate) fn long_line(exchange: Exchange) -> Option<()> {
    const CHUNK: [u8; 4096] = [b'x'; 4096];
    let (bytes, mut written) = (exchange.number("bytes", 16 << 20), 0);
    // Not by Rust's stdout, which would wait for the end of the line.
    let stdout = wasip2::cli::stdout::get_stdout();
    while written < bytes && stdout.blocking_write_and_flush(&CHUNK).is_ok() {
        written += CHUNK.len() as u64;
    }
    exchange.answer(reply::text(StatusCode::OK, format!("{written} bytes\n")));
    Some(())
}
