//! The API of a base, typed.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    time::Duration,
};

use ark_model::{
    InstallOrder, ModuleId,
    api::{BaseView, ErrorBody, LogLine, ModuleList, ModuleView, PackageView, Progress, Retired, RouteList, VerdictList},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::{Body, http::Response};

use crate::error::Error;

const CONNECT: Duration = Duration::from_secs(3);
/// How long an ordinary call may take; an uninstall waits for a drain.
const CALL: Duration = Duration::from_secs(300);
/// The longest event or line that is read.
const MAX_LINE: u64 = 4 << 20;

/// A base that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: ureq::Agent,
    pub(crate) url: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<String>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("arkctl/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), url: url.trim_end_matches('/').to_owned(), token }
    }

    pub(crate) fn base(&self) -> Result<BaseView, Error> {
        self.get("/v1/base")
    }

    /// Whether this is a base at all. One that wants a token is one too.
    pub(crate) fn answers_as_a_base(&self) -> bool {
        let quick = Some(Duration::from_secs(2));
        let answered = self.agent.get(format!("{}/readyz", self.url)).config().timeout_global(quick).build().call();
        answered.is_ok_and(|mut response| {
            let text = response.body_mut().read_to_string().unwrap_or_default();
            matches!(text.trim(), "ready" | "not ready")
        })
    }

    pub(crate) fn modules(&self) -> Result<Vec<ModuleView>, Error> {
        self.get::<ModuleList>("/v1/modules").map(|list| list.modules)
    }

    pub(crate) fn module(&self, id: &ModuleId) -> Result<ModuleView, Error> {
        self.get(&path_of(id))
    }

    pub(crate) fn routes(&self) -> Result<RouteList, Error> {
        self.get("/v1/routes")
    }

    pub(crate) fn verdicts(&self) -> Result<VerdictList, Error> {
        self.get("/v1/verdicts")
    }

    /// What `health` says, as controllers ask it.
    pub(crate) fn health(&self) -> Result<Value, Error> {
        let sent = self.timed(self.agent.post(format!("{}/health", self.url))).content_type("application/json").send("{}");
        let answer: Value = self.read(sent)?;
        answer.pointer("/data/healthData").cloned().ok_or_else(|| self.unreadable("there is no healthData"))
    }

    pub(crate) fn undeploy(&self, id: &ModuleId) -> Result<Retired, Error> {
        self.read(self.timed(self.agent.delete(format!("{}{}", self.url, path_of(id)))).call())
    }

    pub(crate) fn activate(&self, id: &ModuleId) -> Result<ModuleView, Error> {
        self.read(self.timed(self.agent.post(format!("{}{}/activate", self.url, path_of(id)))).send_empty())
    }

    pub(crate) fn cancel(&self, name: &str) -> Result<(), Error> {
        let answered = self.timed(self.agent.delete(format!("{}/v1/operations/{name}", self.url))).call();
        self.checked(answered).map(drop)
    }

    pub(crate) fn upload(&self, package: &Path) -> Result<PackageView, Error> {
        let file = std::fs::File::open(package).map_err(Error::io("read", package))?;
        self.read(self.timed(self.agent.put(format!("{}/v1/packages", self.url))).send(file))
    }

    /// Installs; each event is told as it comes. The last one decides.
    pub(crate) fn install(&self, order: &InstallOrder, mut told: impl FnMut(&Progress)) -> Result<Progress, Error> {
        let body = serde_json::to_string(order).map_err(|error| self.unreadable(&error.to_string()))?;
        let request = self.authorised(self.agent.post(format!("{}/v1/modules", self.url)));
        let sent = request.header("accept", "text/event-stream").content_type("application/json").send(body);
        let response = self.checked(sent)?;
        let mut last = None;
        for event in events(response.into_body().into_reader()) {
            let event =
                serde_json::from_str(&event.map_err(|error| self.gone(&error))?).map_err(|error| self.unreadable(&error.to_string()))?;
            told(&event);
            last = Some(event);
        }
        last.ok_or_else(|| self.unreadable("the install ended without a word"))
    }

    /// The lines of a module's log; goes on for ever where it follows.
    pub(crate) fn logs(&self, id: &ModuleId, follow: bool, tail: usize, mut line: impl FnMut(LogLine)) -> Result<(), Error> {
        let url = format!("{}{}/logs?follow={follow}&tail={tail}", self.url, path_of(id));
        let response = self.checked(self.authorised(self.agent.get(url)).call())?;
        for text in lines(response.into_body().into_reader()) {
            let text = text.map_err(|error| self.gone(&error))?;
            if !text.is_empty() {
                line(serde_json::from_str(&text).map_err(|error| self.unreadable(&error.to_string()))?);
            }
        }
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(self.timed(self.agent.get(format!("{}{path}", self.url))).call())
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn timed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        self.authorised(request).config().timeout_global(Some(CALL)).build()
    }

    fn read<T: DeserializeOwned>(&self, answered: Result<Response<Body>, ureq::Error>) -> Result<T, Error> {
        let mut response = self.checked(answered)?;
        let text =
            response.body_mut().with_config().limit(256 << 20).read_to_string().map_err(|error| self.unreadable(&error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| self.unreadable(&error.to_string()))
    }

    fn checked(&self, answered: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Error> {
        let mut response = answered.map_err(|error| Error::Unreachable { url: self.url.clone(), problem: error.to_string() })?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        let text = response.body_mut().read_to_string().unwrap_or_default();
        Err(match serde_json::from_str::<ErrorBody>(&text) {
            Ok(body) => Error::Refused(body.error),
            Err(_) => self.unreadable(&format!("status {} with {text:?}", response.status())),
        })
    }

    fn unreadable(&self, problem: &str) -> Error {
        Error::Answer { url: self.url.clone(), problem: problem.to_owned() }
    }

    fn gone(&self, error: &std::io::Error) -> Error {
        Error::Unreachable { url: self.url.clone(), problem: error.to_string() }
    }
}

fn path_of(id: &ModuleId) -> String {
    // What an identity may have needs no escaping in a path, but for `+`, which some read as a space.
    format!("/v1/modules/{}/{}", id.name().replace('+', "%2B"), id.version().replace('+', "%2B"))
}

/// The lines of a text, none longer than [`MAX_LINE`].
fn lines(reader: impl Read) -> impl Iterator<Item = std::io::Result<String>> {
    let mut reader = BufReader::new(reader);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) if line.len() as u64 == MAX_LINE => Some(Err(std::io::Error::other("a line is too long"))),
            Ok(_) => Some(Ok(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned())),
            Err(error) => Some(Err(error)),
        }
    })
}

/// The data of server-sent events. Comments and other fields mean nothing here.
fn events(reader: impl Read) -> impl Iterator<Item = std::io::Result<String>> {
    let mut lines = lines(reader);
    std::iter::from_fn(move || {
        let mut data = String::new();
        for line in lines.by_ref() {
            match line {
                Err(error) => return Some(Err(error)),
                Ok(line) if line.is_empty() && !data.is_empty() => return Some(Ok(data)),
                Ok(line) => data.push_str(line.strip_prefix("data:").map_or("", str::trim_start)),
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives its bytes in two pieces.
    struct Halves<'a>(&'a [u8], &'a [u8]);

    impl Read for Halves<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let half = if self.0.is_empty() { &mut self.1 } else { &mut self.0 };
            half.read(buffer)
        }
    }

    #[test]
    fn events_are_read_wherever_the_network_cuts_them() {
        let text = b": comment\n\ndata: {\"a\":1}\n\nevent: x\r\ndata: two\r\n\r\ndata: unfinished\n";
        for at in 0..text.len() {
            let read: Vec<String> = events(Halves(&text[..at], &text[at..])).map(Result::unwrap).collect();
            assert_eq!(read, ["{\"a\":1}", "two"], "cut at {at}");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        assert!(lines(std::io::repeat(b'x')).next().unwrap().is_err());
    }
}
