//! Packages over HTTP: bounded in time, size and pauses, tried again, gone on with where the last attempt broke off.

use std::{
    io::Read,
    thread,
    time::{Duration, Instant},
};

use ark::Package;
use ark_model::{Failure, Reason};
use tokio_util::sync::CancellationToken;
use ureq::http::{Response, StatusCode, header};

use super::{
    Bounds,
    store::{Incoming, Store},
};

/// The wait before the second attempt; it doubles with each further one.
const BACK_OFF: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Http {
    agent: ureq::Agent,
    bounds: Bounds,
}

/// How one attempt ended without the whole package.
enum Broken {
    /// Another attempt may do better.
    Off(String),
    /// No attempt will.
    Final(Failure),
}

impl Http {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(bounds.pause))
            .timeout_recv_response(Some(bounds.pause))
            .http_status_as_error(false)
            .user_agent(concat!("arklet/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), bounds }
    }

    pub(crate) fn fetch(&self, store: &Store, url: &str, given_up: &CancellationToken) -> Result<Package, Failure> {
        let end = Instant::now() + self.bounds.time;
        let mut incoming = store.incoming()?;
        let mut tag = None;
        let mut attempt = 1;
        loop {
            let broken = match self.attempt(&mut incoming, url, &mut tag, end, given_up) {
                Ok(()) => return incoming.finish(),
                Err(Broken::Final(failure)) => return Err(failure),
                Err(Broken::Off(problem)) => problem,
            };
            if attempt >= self.bounds.attempts || Instant::now() >= end || given_up.is_cancelled() {
                let message = format!("could not fetch {url}: {broken} (attempt {attempt}, after {} bytes)", incoming.size());
                return Err(Failure::new(Reason::FetchFailed, message));
            }
            thread::sleep(BACK_OFF * 2_u32.saturating_pow(attempt - 1));
            attempt += 1;
        }
    }

    fn attempt(
        &self,
        incoming: &mut Incoming<'_>,
        url: &str,
        tag: &mut Option<String>,
        end: Instant,
        given_up: &CancellationToken,
    ) -> Result<(), Broken> {
        let left = end.saturating_duration_since(Instant::now());
        let mut request = self.agent.get(url);
        if let (Some(tag), true) = (tag.as_deref(), incoming.size() > 0) {
            request = request.header(header::RANGE, format!("bytes={}-", incoming.size())).header(header::IF_RANGE, tag);
        }
        let configured = request.config().timeout_global(Some(left.max(Duration::from_millis(1)))).build();
        let response = configured.call().map_err(|error| Broken::Off(error.to_string()))?;
        let status = response.status();
        let goes_on = status == StatusCode::PARTIAL_CONTENT && incoming.size() > 0;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Broken::Off(format!("the server answered {status}")));
        }
        if !(status == StatusCode::OK || goes_on) {
            return Err(Broken::Final(Failure::new(Reason::FetchFailed, format!("could not fetch {url}: the server answered {status}"))));
        }
        if !goes_on {
            incoming.restart().map_err(Broken::Final)?;
            *tag = text(&response, header::ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(&response, header::LAST_MODIFIED));
        }
        let expected =
            text(&response, header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()).map(|rest| incoming.size() + rest);
        if let Some(size) = expected {
            incoming.fits(size).map_err(Broken::Final)?;
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            if given_up.is_cancelled() {
                return Err(Broken::Final(Failure::new(Reason::Cancelled, format!("fetching {url} was given up"))));
            }
            let read = body.read(&mut buffer).map_err(|error| Broken::Off(error.to_string()))?;
            if read == 0 {
                break;
            }
            incoming.write(buffer.get(..read).unwrap_or_default()).map_err(Broken::Final)?;
        }
        match expected {
            Some(size) if incoming.size() < size => {
                Err(Broken::Off(format!("the transfer ended after {} of {size} bytes", incoming.size())))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn text<B>(response: &Response<B>, name: header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}
