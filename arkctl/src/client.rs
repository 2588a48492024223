//! The API of a base, typed.

use std::{io::Read, time::Duration};

use ark_model::{
    InstallOrder, ModuleId,
    api::{
        BaseView, ErrorBody, Holders, Installed, LogLine, ModuleList, ModuleView, Origin, PackageView, Prepared, Progress, Retired,
        RouteList, SearchCost, VerdictList,
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::{
    Agent, AsSendBody, Body, SendBody,
    http::{Method, Response},
};

use crate::{
    config::Base,
    error::Error,
    events::Events,
    http::{self, GLANCE, LOOK, MAX_ANSWER, UNBOUNDED, protocol},
};

/// A base that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
}

impl Client {
    /// A client of `base`; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Usage`] where its URL is none.
    pub(crate) fn new(base: &Base) -> Result<Self, Error> {
        let url = base.url.trim_end_matches('/').to_owned();
        let agent = http::agent(&url, "base", None)?;
        Ok(Self { agent, url, token: base.token.clone() })
    }

    /// The base's URL, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Who the base is.
    pub(crate) fn base(&self) -> Result<BaseView, Error> {
        self.get("/v1/base")
    }

    /// Whether the base has brought up all it was to bring up.
    pub(crate) fn is_ready(&self) -> Result<bool, Error> {
        Ok(self.send(Method::GET, "/readyz", &[], (), LOOK)?.status().is_success())
    }

    /// What the base says of its process, under the names that controllers know.
    pub(crate) fn health(&self) -> Result<Value, Error> {
        let response = self.send(Method::POST, "/health", &[("content-type", "application/json")], "{}", LOOK)?;
        let envelope: Value = self.read("POST /health", response)?;
        let data = envelope.pointer("/data/healthData").cloned();
        data.ok_or_else(|| protocol("POST /health", &"the answer has no healthData"))
    }

    /// All modules, by name, then version.
    pub(crate) fn modules(&self) -> Result<Vec<ModuleView>, Error> {
        self.get::<ModuleList>("/v1/modules").map(|list| list.modules)
    }

    /// One module.
    pub(crate) fn module(&self, id: &ModuleId) -> Result<ModuleView, Error> {
        self.get(&path_of(id, "")).map_err(|error| error.about(id))
    }

    /// Where a module gets a class from.
    pub(crate) fn why(&self, id: &ModuleId, class: &str) -> Result<Origin, Error> {
        // What stands in no name of a class would end the query, or begin another parameter.
        let wrong = |byte: char| byte.is_whitespace() || byte.is_control() || "&#%+?".contains(byte);
        if class.is_empty() || class.contains(wrong) {
            return Err(Error::Usage(format!("{class:?} is no class; write it like org.example.Order")));
        }
        self.get(&path_of(id, &format!("/why?class={class}"))).map_err(|error| error.about(id))
    }

    /// The route table.
    pub(crate) fn routes(&self) -> Result<RouteList, Error> {
        self.get("/v1/routes")
    }

    /// The latest removals, newest first.
    pub(crate) fn verdicts(&self) -> Result<VerdictList, Error> {
        self.get("/v1/verdicts")
    }

    /// What it takes to look for what holds a removed module.
    pub(crate) fn cost_of_holders(&self, id: &ModuleId) -> Result<SearchCost, Error> {
        self.get(&format!("/v1/verdicts/{}/{}/holders", id.name(), id.version()))
    }

    /// What holds a removed module.
    pub(crate) fn holders(&self, id: &ModuleId, objects: Option<u64>) -> Result<Holders, Error> {
        let objects = objects.map(|objects| format!("?objects={objects}")).unwrap_or_default();
        let path = format!("/v1/verdicts/{}/{}/holders{objects}", id.name(), id.version());
        let response = self.send(Method::POST, &path, &[], (), UNBOUNDED)?;
        self.read(&format!("POST {path}"), response)
    }

    /// Brings a package of `size` bytes into the base's store.
    pub(crate) fn upload(&self, package: &mut dyn Read, size: u64) -> Result<PackageView, Error> {
        let headers = [("content-type", "application/octet-stream"), ("content-length", &size.to_string())];
        let response = self.send(Method::PUT, "/v1/packages", &headers, SendBody::from_reader(package), UNBOUNDED)?;
        self.read("PUT /v1/packages", response)
    }

    /// Installs; each event is told as it comes. Ends when the old versions are gone.
    pub(crate) fn install(&self, order: &InstallOrder, mut told: impl FnMut(&Progress)) -> Result<Installed, Error> {
        const WHAT: &str = "POST /v1/modules";
        let order = serde_json::to_string(order).map_err(|error| protocol(WHAT, &error))?;
        let headers = [("content-type", "application/json"), ("accept", "text/event-stream")];
        let response = checked(WHAT, self.send(Method::POST, "/v1/modules", &headers, order.as_str(), UNBOUNDED)?)?;
        let mut stream = response.into_body().into_reader();
        let (mut events, mut piece) = (Events::default(), [0; 8 << 10]);
        loop {
            let read = stream.read(&mut piece).map_err(|error| protocol(WHAT, &format!("it broke off: {error}")))?;
            if read == 0 {
                return Err(protocol(WHAT, &"the base ended its answer before the install ended"));
            }
            for event in events.feed(piece.get(..read).unwrap_or_default()).map_err(|error| protocol(WHAT, &error))? {
                let event: Progress = serde_json::from_slice(&event).map_err(|error| protocol(WHAT, &error))?;
                told(&event);
                match event {
                    Progress::Done(installed) => return Ok(*installed),
                    Progress::Failed { error } => return Err(error.into()),
                    Progress::Begun { .. } | Progress::Ended(_) | Progress::Serving { .. } | Progress::Retired(_) => {}
                }
            }
        }
    }

    /// Removes a module: drains, stops, reclaims.
    pub(crate) fn remove(&self, id: &ModuleId) -> Result<Retired, Error> {
        let response = self.send(Method::DELETE, &path_of(id, ""), &[], (), UNBOUNDED)?;
        self.read(&format!("the removal of {id}"), response).map_err(|error| error.about(id))
    }

    /// Has the base do what it can before `order` comes to be installed.
    pub(crate) fn prepare(&self, order: &InstallOrder) -> Result<Prepared, Error> {
        const WHAT: &str = "POST /v1/prepare";
        let order = serde_json::to_string(order).map_err(|error| protocol(WHAT, &error))?;
        let headers = [("content-type", "application/json")];
        self.read(WHAT, self.send(Method::POST, "/v1/prepare", &headers, order.as_str(), UNBOUNDED)?)
    }

    /// Gives a version the traffic of its name.
    pub(crate) fn activate(&self, id: &ModuleId) -> Result<ModuleView, Error> {
        let response = self.send(Method::POST, &path_of(id, "/activate"), &[], (), UNBOUNDED)?;
        self.read(&format!("the switch to {id}"), response).map_err(|error| error.about(id))
    }

    /// Ends the operation that is under way on `name`.
    pub(crate) fn cancel(&self, name: &str) -> Result<(), Error> {
        let path = format!("/v1/operations/{}", name.replace('+', "%2B"));
        checked("the cancellation", self.send(Method::DELETE, &path, &[], (), LOOK)?).map(drop)
    }

    /// The last `tail` lines that a module wrote.
    pub(crate) fn log_tail(&self, id: &ModuleId, tail: usize) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        self.read_log(id, &format!("/logs?tail={tail}"), LOOK, |line| {
            lines.extend(line.cloned());
            Ok(true)
        })?;
        Ok(lines)
    }

    /// The last `tail` lines that a module wrote, and each further one as it comes. `told` gets `None` when it was quiet
    /// for a while, and ends it by saying `false`.
    pub(crate) fn log_follow(
        &self,
        id: &ModuleId,
        tail: usize,
        told: impl FnMut(Option<&LogLine>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.read_log(id, &format!("/logs?follow=true&tail={tail}"), UNBOUNDED, told)
    }

    fn read_log(
        &self,
        id: &ModuleId,
        call: &str,
        limit: Option<Duration>,
        mut told: impl FnMut(Option<&LogLine>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let what = format!("the log of {id}");
        let response = checked(&what, self.send(Method::GET, &path_of(id, call), &[], (), limit)?).map_err(|error| error.about(id))?;
        http::lines(&what, response, limit.is_none(), |line| match line {
            None => told(None),
            Some(line) => told(Some(&serde_json::from_slice(line).map_err(|error| protocol(&what, &error))?)),
        })
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let response = self.send(Method::GET, path, &[], (), LOOK)?;
        self.read(&format!("GET {path}"), response)
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsSendBody,
        limit: Option<Duration>,
    ) -> Result<Response<Body>, Error> {
        let what = format!("{method} {path}");
        let request = http::request(method, &format!("{}{path}", self.url), headers, self.token.as_deref());
        let request = request.body(body).map_err(|error| Error::Usage(format!("the request cannot be made: {error}")))?;
        let request = self.agent.configure_request(request).timeout_global(limit);
        let glance = if path.contains("follow=true") { Some(GLANCE) } else { None };
        self.agent.run(request.timeout_per_read(glance).build()).map_err(|error| self.failed(&what, &error))
    }

    fn read<T: DeserializeOwned>(&self, what: &str, response: Response<Body>) -> Result<T, Error> {
        let mut response = checked(what, response)?;
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(|error| self.failed(what, &error))?;
        serde_json::from_slice(&text).map_err(|error| protocol(what, &format!("the answer is not that of a base: {error}")))
    }

    /// Nobody there, or somebody who went away.
    fn failed(&self, what: &str, error: &ureq::Error) -> Error {
        if http::is_nobody(error) {
            Error::Unreachable { url: self.url.clone(), problem: error.to_string() }
        } else {
            protocol(what, error)
        }
    }
}

/// The response, where it is none of a failure.
fn checked(what: &str, mut response: Response<Body>) -> Result<Response<Body>, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.body_mut().with_config().limit(1 << 20).read_to_vec().unwrap_or_default();
    Err(match serde_json::from_slice::<ErrorBody>(&text) {
        Ok(body) => body.error.into(),
        Err(_) => protocol(what, &format!("status {status}, with an answer that is not that of a base")),
    })
}

/// Nothing of an identity needs to be escaped in a path, but for `+`, which some read as a space.
fn path_of(id: &ModuleId, rest: &str) -> String {
    format!("/v1/modules/{}/{}{rest}", id.name().replace('+', "%2B"), id.version().replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Answer, FakeBase, installed_json};
    use ark_model::{Reason, Step};

    fn client(base: &FakeBase) -> Client {
        Client::new(&Base { url: format!("{}/", base.url()), token: Some("secret".to_owned()) }).unwrap()
    }

    fn order() -> InstallOrder {
        InstallOrder { url: "file:///x.wasm".to_owned(), ..InstallOrder::default() }
    }

    fn id() -> ModuleId {
        ModuleId::new("orders", "1.0.0+dev.1").unwrap()
    }

    #[test]
    fn every_call_shows_the_token() {
        let base = FakeBase::start(|request| match request.header("authorization") {
            Some("Bearer secret") => Answer::json(200, r#"{"modules":[]}"#),
            _ => Answer::json(401, r#"{"error":{"reason":"Unauthorized","message":"no"}}"#),
        });
        assert!(client(&base).modules().unwrap().is_empty());
        let stranger = Client::new(&Base { url: base.url(), token: None }).unwrap();
        let error = stranger.modules().unwrap_err();
        assert_eq!((error.reason(), error.exit_code()), ("Unauthorized", 1));
        assert!(error.hint().unwrap().contains("--token"));
    }

    #[test]
    fn a_package_arrives_whole_and_with_its_length() {
        let package: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let sent = package.clone();
        let base = FakeBase::start(move |request| {
            assert_eq!(request.header("content-length"), Some(sent.len().to_string().as_str()));
            assert_eq!(request.line(), "PUT /v1/packages");
            assert!(request.body == sent);
            Answer::json(200, r#"{"sha256":"ab","size":800000}"#)
        });
        let view = client(&base).upload(&mut package.as_slice(), package.len() as u64).unwrap();
        assert_eq!((view.sha256.as_str(), view.size), ("ab", 800_000));
    }

    #[test]
    fn an_install_tells_its_events_and_ends_with_the_last() {
        let base = FakeBase::start(|request| {
            assert_eq!(request.header("accept"), Some("text/event-stream"));
            let done = format!("{{\"event\":\"done\",{}", installed_json("1.0.0").strip_prefix('{').unwrap());
            Answer::events(&[r#"{"event":"begun","step":"fetch"}"#, r#"{"event":"ended","step":"fetch","ms":1.5}"#, &done])
        });
        let mut steps = Vec::new();
        let installed = client(&base).install(&order(), |event| {
            if let Progress::Ended(timing) = event {
                steps.push((timing.step, timing.ms));
            }
        });
        assert_eq!(installed.unwrap().module.id.to_string(), "orders:1.0.0");
        assert_eq!(steps, [(Step::Fetch, 1.5)]);
    }

    #[test]
    fn an_install_that_fails_says_why_whether_at_once_or_later() {
        let at_once = FakeBase::start(|_| Answer::json(409, r#"{"error":{"reason":"Conflict","message":"busy"}}"#));
        let later =
            FakeBase::start(|_| Answer::events(&[r#"{"event":"failed","error":{"reason":"Conflict","message":"busy","step":"admit"}}"#]));
        for base in [at_once, later] {
            let error = client(&base).install(&order(), |_| {}).unwrap_err();
            assert!(matches!(&error, Error::Refused(refusal) if refusal.failure.reason == Reason::Conflict), "{error:?}");
        }
    }

    #[test]
    fn an_install_whose_answer_breaks_off_is_not_taken_for_done() {
        let base = FakeBase::start(|_| Answer::events(&[r#"{"event":"begun","step":"fetch"}"#]));
        let error = client(&base).install(&order(), |_| {}).unwrap_err();
        assert_eq!(error.to_string(), "POST /v1/modules failed: the base ended its answer before the install ended");
    }

    #[test]
    fn a_log_is_followed_over_pauses_and_half_lines_until_told_to_end() {
        let (first, second) = (r#"{"at":1,"stream":"stdout","te"#, "xt\":\"a\"}\n{\"at\":2,\"stream\":\"stdout\",\"text\":\"b\"}\n");
        let base = FakeBase::start(move |request| {
            assert_eq!(request.line(), "GET /v1/modules/orders/1.0.0%2Bdev.1/logs?follow=true&tail=5");
            // The second half comes when a pause was seen, and the end never.
            Answer::pieces(&[first, second], GLANCE * 3)
        });
        let (mut pauses, mut texts) = (0, Vec::new());
        let ended = client(&base).log_follow(&id(), 5, |line| {
            match line {
                None => pauses += 1,
                Some(line) => texts.push(line.text.clone()),
            }
            Ok(texts.len() < 2)
        });
        ended.unwrap();
        assert_eq!(texts, ["a", "b"]);
        assert!(pauses > 0);
    }

    #[test]
    fn where_nobody_listens_no_base_is_reached() {
        // A port that the system gives to nobody by itself.
        let url = "http://127.0.0.1:9";
        let error = Client::new(&Base { url: url.to_owned(), token: None }).unwrap().modules().unwrap_err();
        assert!(matches!(&error, Error::Unreachable { url: at, .. } if at == url), "{error:?}");
        assert_eq!(error.exit_code(), 3);
    }

    #[test]
    fn what_answers_otherwise_than_a_base_is_told_so() {
        let base = FakeBase::start(|_| Answer::json(502, "<html>"));
        assert_eq!(
            client(&base).modules().unwrap_err().to_string(),
            "GET /v1/modules failed: status 502 Bad Gateway, with an answer that is not that of a base"
        );
    }

    #[test]
    fn a_url_that_is_none_is_wrong_usage() {
        for url in ["ftp://x", "http://", "http://a b"] {
            assert_eq!(Client::new(&Base { url: url.to_owned(), token: None }).unwrap_err().exit_code(), 2, "{url}");
        }
    }
}
