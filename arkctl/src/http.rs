//! HTTP as every client here speaks it: one agent for one server, and answers that come line by line.

use std::{
    fmt::Display,
    io::{self, BufRead, BufReader, Read},
    time::Duration,
};

use ureq::{
    Agent, Body, Timeout,
    http::{Method, Request, Response, Uri, request::Builder},
    tls::TlsConfig,
};

use crate::error::Error;

const CONNECT: Duration = Duration::from_secs(3);
/// What is only looked up is there at once.
pub(crate) const LOOK: Option<Duration> = Some(Duration::from_secs(30));
/// Without a bound: the server has a deadline of its own, or there is none.
pub(crate) const UNBOUNDED: Option<Duration> = None;
/// How often a follower of lines looks up from them.
pub(crate) const GLANCE: Duration = Duration::from_millis(500);
/// The longest answer that is read whole: many thousand modules.
pub(crate) const MAX_ANSWER: u64 = 256 << 20;
/// The longest line that is followed. A base cuts lines of a log at 1 MiB, which JSON can make six times as long.
const MAX_LINE: u64 = 8 << 20;

/// An agent for the server at `url`, which is `whose`.
///
/// # Errors
/// [`Error::Usage`] where the URL is none.
pub(crate) fn agent(url: &str, whose: &str, tls: Option<TlsConfig>) -> Result<Agent, Error> {
    let wrong = |problem: &str| Error::Usage(format!("the {whose}'s URL {url:?} {problem}; write it like http://127.0.0.1:1238"));
    let uri: Uri = url.parse().map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let host = uri.host().ok_or_else(|| wrong("has no host"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("is neither http:// nor https://"));
    }
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT))
        .timeout_resolve(Some(CONNECT))
        .user_agent(concat!("arkctl/", env!("CARGO_PKG_VERSION")));
    // A proxy of the environment cannot reach this machine's loopback.
    if matches!(host, "localhost" | "[::1]") || host.starts_with("127.") {
        config = config.proxy(None);
    }
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    Ok(config.build().into())
}

/// The begin of a request, with the token of whoever asks.
pub(crate) fn request(method: Method, url: &str, headers: &[(&str, &str)], token: Option<&str>) -> Builder {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

/// Whether nobody was there, rather than somebody who went away.
pub(crate) fn is_nobody(error: &ureq::Error) -> bool {
    use io::ErrorKind as Kind;
    match error {
        ureq::Error::Io(error) => {
            matches!(error.kind(), Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable)
        }
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

/// Reads the answer to `what` line by line until its end, or until `told` says `false`. With `pauses`, the request has [`GLANCE`] as
/// its timeout for reads, and `told` gets `None` when it was quiet for that long.
pub(crate) fn lines(
    what: &str,
    response: Response<Body>,
    pauses: bool,
    mut told: impl FnMut(Option<&[u8]>) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut reader = BufReader::new(response.into_body().into_reader());
    let mut text = Vec::new();
    loop {
        let room = MAX_LINE - text.len() as u64;
        let goes_on = match (&mut reader).take(room).read_until(b'\n', &mut text) {
            Ok(0) => return Ok(()),
            Ok(_) if text.len() as u64 >= MAX_LINE => return Err(protocol(what, &format!("a line is longer than {MAX_LINE} bytes"))),
            Ok(_) if text.trim_ascii().is_empty() => true,
            Ok(_) => told(Some(&text))?,
            // Half a line may have come by now: it stays.
            Err(error) if is_pause(&error) && pauses => {
                if told(None)? {
                    continue;
                }
                false
            }
            Err(error) => return Err(protocol(what, &format!("it broke off: {error}"))),
        };
        text.clear();
        if !goes_on {
            return Ok(());
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(ureq::Error::Timeout(Timeout::PerRead)))
}

/// The answer to `what` was none.
pub(crate) fn protocol(what: &str, problem: &dyn Display) -> Error {
    Error::Protocol { what: what.to_owned(), problem: problem.to_string() }
}
