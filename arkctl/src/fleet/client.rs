//! The API of a controller: documents, tables, changes, watches; and what it says where it refuses.

use std::io::Read;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Method, Response},
};

use super::target::{Target, Where};
use crate::{
    error::{ApiRefusal, Cause, Error},
    http::{self, GLANCE, LOOK, MAX_ANSWER, UNBOUNDED},
    output::Output,
};

/// Who sets the fields that are set from here.
const MANAGER: &str = "fieldManager=arkctl";
const JSON: &str = "application/json";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const MERGE: &str = "application/merge-patch+json";
/// A document of JSON is one of YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// A controller that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    agent: Agent,
    url: String,
    token: Option<String>,
    namespace: String,
    output: Output,
}

/// In which form resources are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Documents,
    /// As rows of cells, with what the server thinks matters.
    Table,
}

/// One change of what is watched.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    /// `ADDED`, `MODIFIED` or `DELETED`.
    #[serde(rename = "type")]
    pub(super) what: String,
    /// The document, or a table with one row.
    pub(super) object: Value,
}

/// How a watch ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By who was told.
    Told,
    /// By the server; it goes on from this version.
    Over(String),
    /// The server no longer knows what came after the version it was asked for.
    Expired,
}

impl Fleet {
    /// A client of the server that `asked` says; nothing is sent yet.
    ///
    /// # Errors
    /// A configuration that cannot be used.
    pub(crate) fn new(asked: &Where, token: Option<&str>, output: Output) -> Result<Self, Error> {
        let target = asked.target(token)?;
        let tls = target.tls()?;
        let Target { url, token, namespace, .. } = target;
        let url = url.trim_end_matches('/').to_owned();
        let agent = http::agent(&url, "controller", tls)?;
        output.detail(&format!("controller {url}"));
        let namespace = asked.namespace.clone().or(namespace).unwrap_or_else(|| "default".to_owned());
        Ok(Self { agent, url, token, namespace, output })
    }

    /// The namespace to look into.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What is at `path`.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.get_as(path, Form::Documents)
    }

    /// What is at `path`, in a form.
    pub(super) fn get_as<T: DeserializeOwned>(&self, path: &str, form: Form) -> Result<T, Error> {
        let response = self.send(Method::GET, path, &[("accept", accept(form))], &[], true)?;
        self.read(&format!("GET {path}"), response)
    }

    /// What is at `path`, if anything is.
    pub(super) fn find(&self, path: &str) -> Result<Option<Value>, Error> {
        match self.get(path) {
            Ok(found) => Ok(Some(found)),
            Err(Error::Api(refusal)) if refusal.code == 404 && refusal.is_about_one => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says what is wanted at `path`, by server-side apply; gives what is there then, or would be.
    pub(super) fn apply(&self, path: &str, document: &Value, force: bool, dry_run: bool) -> Result<Value, Error> {
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        self.patch(&format!("{path}?{MANAGER}&force={force}{dry_run}"), APPLY, document)
    }

    /// Changes some fields of what is at `path`, by a merge patch; gives what is there then.
    pub(super) fn merge<T: DeserializeOwned>(&self, path: &str, patch: &Value) -> Result<T, Error> {
        self.patch(&format!("{path}?{MANAGER}"), MERGE, patch)
    }

    fn patch<T: DeserializeOwned>(&self, path: &str, media: &str, body: &Value) -> Result<T, Error> {
        let response = self.send(Method::PATCH, path, &[("content-type", media)], body.to_string().as_bytes(), true)?;
        self.read(&format!("PATCH {path}"), response)
    }

    /// Begins the end of what is at `path`.
    pub(super) fn delete(&self, path: &str, dry_run: bool) -> Result<Value, Error> {
        let path = if dry_run { format!("{path}?dryRun=All") } else { path.to_owned() };
        let response = self.send(Method::DELETE, &path, &[], &[], true)?;
        self.read(&format!("DELETE {path}"), response)
    }

    /// Tells every change after the version `since` of what `path` (with its query) lists, and `None` when it was quiet for a while.
    /// Ends when `told` says `false`, or the server ends it.
    pub(super) fn watch(
        &self,
        path: &str,
        form: Form,
        since: &str,
        mut told: impl FnMut(Option<Change>) -> Result<bool, Error>,
    ) -> Result<End, Error> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}watch=true&allowWatchBookmarks=true&resourceVersion={since}");
        let what = format!("GET {path}");
        let response = self.checked(&what, self.send(Method::GET, &path, &[("accept", accept(form))], &[], false)?)?;
        let mut end = End::Over(since.to_owned());
        let read = http::lines(&what, response, true, |line| {
            let Some(line) = line else { return told_on(told(None)?, &mut end) };
            let change: Change = serde_json::from_slice(line).map_err(|error| http::protocol(&what, &error))?;
            if change.what == "ERROR" {
                let refusal = refused(&what, &change.object);
                if refusal.code == 410 {
                    end = End::Expired;
                    return Ok(false);
                }
                return Err(Error::Api(Box::new(refusal)));
            }
            if let Some(version) = change.object.pointer("/metadata/resourceVersion").and_then(Value::as_str)
                && !version.is_empty()
            {
                end = End::Over(version.to_owned());
            }
            if change.what == "BOOKMARK" { Ok(true) } else { told_on(told(Some(change))?, &mut end) }
        });
        read.map_err(of_the_controller)?;
        Ok(end)
    }

    fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8], bounded: bool) -> Result<Response<Body>, Error> {
        let what = format!("{method} {path}");
        let request = http::request(method, &format!("{}{path}", self.url), headers, self.token.as_deref());
        let wrong = |error: &dyn std::fmt::Display| Error::Usage(format!("the request cannot be made: {error}"));
        let (limit, glance) = if bounded { (LOOK, None) } else { (UNBOUNDED, Some(GLANCE)) };
        let sent = if body.is_empty() {
            let request = self.agent.configure_request(request.body(()).map_err(|error| wrong(&error))?);
            self.agent.run(request.timeout_global(limit).timeout_per_read(glance).build())
        } else {
            let request = self.agent.configure_request(request.body(body).map_err(|error| wrong(&error))?);
            self.agent.run(request.timeout_global(limit).timeout_per_read(glance).build())
        };
        sent.map_err(|error| self.failed(&what, &error))
    }

    fn failed(&self, what: &str, error: &ureq::Error) -> Error {
        if http::is_nobody(error) {
            Error::NoController { url: self.url.clone(), problem: error.to_string() }
        } else {
            of_the_controller(http::protocol(what, error))
        }
    }

    fn read<T: DeserializeOwned>(&self, what: &str, response: Response<Body>) -> Result<T, Error> {
        let mut response = self.checked(what, response)?;
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(|error| self.failed(what, &error))?;
        serde_json::from_slice(&text)
            .map_err(|error| of_the_controller(http::protocol(what, &format!("the answer is not that of a controller: {error}"))))
    }

    /// The response, where it is none of a refusal. Says what the controller warns of.
    fn checked(&self, what: &str, mut response: Response<Body>) -> Result<Response<Body>, Error> {
        for warning in response.headers().get_all("warning").iter().filter_map(|value| value.to_str().ok()) {
            self.output.note(&format!("warning: {}", crate::humanise::printable(warned(warning))));
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let mut text = Vec::new();
        // Whatever part of it arrives.
        let _ = response.body_mut().as_reader().take(1 << 20).read_to_end(&mut text);
        Err(match serde_json::from_slice::<Value>(&text) {
            Ok(said) if said.get("kind").and_then(Value::as_str) == Some("Status") => Error::Api(Box::new(refused(what, &said))),
            _ => of_the_controller(http::protocol(what, &format!("status {status}, with an answer that is not that of a controller"))),
        })
    }
}

fn accept(form: Form) -> &'static str {
    match form {
        Form::Documents => JSON,
        Form::Table => TABLE,
    }
}

fn told_on(goes_on: bool, end: &mut End) -> Result<bool, Error> {
    if !goes_on {
        *end = End::Told;
    }
    Ok(goes_on)
}

/// The text of a warning as HTTP has it: `299 - "text"`.
fn warned(value: &str) -> &str {
    value.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(value, |(text, _)| text)
}

/// An answer that was none of a base's protocol was one to a controller here.
fn of_the_controller(error: Error) -> Error {
    match error {
        Error::Protocol { what, problem } => Error::Api(Box::new(ApiRefusal {
            reason: "ProtocolError".to_owned(),
            message: format!("{what} failed: {problem}"),
            hint: Some("see that --controller or the kubeconfig name a module-controller or a kube-apiserver".to_owned()),
            ..ApiRefusal::default()
        })),
        other => other,
    }
}

/// What a `Status` says, and what to do about it.
fn refused(what: &str, status: &Value) -> ApiRefusal {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let causes: Vec<Cause> = status.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten().map(cause).collect();
    let (reason, message) = (text("/reason"), text("/message"));
    // The causes say the rest, one by one.
    let short = message.split_once(" is invalid: ").filter(|_| !causes.is_empty()).map(|(subject, _)| format!("{subject} is invalid"));
    let message = if message.is_empty() { format!("{what} was refused") } else { short.unwrap_or_else(|| message.to_owned()) };
    let is_about_one = !text("/details/name").is_empty();
    let hint = hint(reason, text("/details/kind"), is_about_one, &causes);
    let code = status.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    ApiRefusal { code, reason: reason.to_owned(), message, causes, is_about_one, hint }
}

fn cause(cause: &Value) -> Cause {
    let text = |name: &str| cause.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Cause { field: text("field"), message: text("message") }
}

fn hint(reason: &str, kind: &str, is_about_one: bool, causes: &[Cause]) -> Option<String> {
    let is_of_managers = || causes.iter().any(|cause| cause.message.starts_with("conflict with"));
    let is_unquoted = || causes.iter().any(|cause| cause.message.contains("expected a string"));
    Some(match reason {
        "NotFound" if is_about_one => {
            let plural = super::resource::Resource::named(kind).map_or("<kind>", super::resource::Resource::plural);
            format!("`arkctl get {plural} -A` lists those there are")
        }
        "NotFound" => "see that --controller or the kubeconfig name a module-controller, or a cluster that knows these kinds".to_owned(),
        "Conflict" if is_of_managers() => {
            "leave these fields out of the file, or take them over by `arkctl apply --force-conflicts`".to_owned()
        }
        "Conflict" => "it changed meanwhile: try again".to_owned(),
        "Invalid" if is_unquoted() => "quote what looks like a number, e.g. version: \"1.0\", and apply again".to_owned(),
        "Invalid" => "correct these fields and try again".to_owned(),
        "Unauthorized" => {
            "give a token by --token or ARKCTL_TOKEN, or by --kubeconfig the file that the controller writes into its data directory"
                .to_owned()
        }
        "TooManyRequests" | "ServiceUnavailable" | "Timeout" | "ServerTimeout" => "try again in a moment".to_owned(),
        "InternalError" => "the controller's own log says more".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Answer, FakeBase};
    use serde_json::json;

    fn fleet(server: &FakeBase) -> Fleet {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            asked: Where,
        }
        let line: Line = clap::Parser::parse_from(["arkctl", "--controller", &server.url()]);
        Fleet::new(&line.asked, Some("secret"), Output::silent()).unwrap()
    }

    #[test]
    fn the_controller_sees_the_token_and_who_sets_fields() {
        let server = FakeBase::start(|request| {
            assert_eq!(request.line(), "PATCH /x?fieldManager=arkctl");
            assert_eq!(request.header("authorization"), Some("Bearer secret"));
            assert_eq!(request.header("content-type"), Some(MERGE));
            Answer::json(200, std::str::from_utf8(&request.body).unwrap())
        });
        assert_eq!(fleet(&server).merge::<Value>("/x", &json!({"a": null})).unwrap(), json!({"a": null}));
    }

    #[test]
    fn a_refusal_lists_its_fields_and_says_what_to_do() {
        let status = json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": "ModuleDeployment.x \"shop\" is invalid: [a, b]",
            "details": {"name": "shop", "kind": "ModuleDeployment", "causes": [
                {"field": "spec.template.spec.module.version", "message": "Invalid value: invalid type: floating point `1.0`, expected a string"},
                {"field": "spec.replicas", "message": "Invalid value: below -1"}]}});
        let server = FakeBase::start(move |_| Answer::json(422, &status.to_string()));
        let error = fleet(&server).get::<Value>("/x").unwrap_err();
        assert_eq!((error.exit_code(), error.reason()), (1, "Invalid"));
        let Error::Api(refusal) = &error else { panic!("{error}") };
        assert_eq!(refusal.message, "ModuleDeployment.x \"shop\" is invalid");
        assert_eq!(
            refusal.causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(),
            ["spec.template.spec.module.version", "spec.replicas"]
        );
        assert!(refusal.hint.as_ref().unwrap().starts_with("quote"));
    }

    #[test]
    fn only_an_absent_name_is_nothing_and_an_absent_api_is_an_error() {
        let server = FakeBase::start(|request| {
            let details = if request.line().contains("shop") { json!({"name": "shop", "kind": "moduledeployments"}) } else { json!({}) };
            Answer::json(
                404,
                &json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "no", "details": details}).to_string(),
            )
        });
        assert_eq!(fleet(&server).find("/shop").unwrap(), None);
        assert!(fleet(&server).find("/x").unwrap_err().hint().unwrap().contains("--controller"));
        assert_eq!(fleet(&server).get::<Value>("/shop").unwrap_err().hint().unwrap(), "`arkctl get deployments -A` lists those there are");
    }

    #[test]
    fn a_watch_tells_changes_and_quiet_and_knows_where_to_go_on() {
        let first = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}\n";
        let second = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n{\"type\":\"ERROR\",\"object\":{\"code\":410}}\n";
        let server = FakeBase::start(move |request| {
            assert_eq!(request.line(), "GET /x?a=b&watch=true&allowWatchBookmarks=true&resourceVersion=5");
            Answer::pieces(&[first, second], GLANCE * 3)
        });
        let (mut changes, mut quiet) = (0, 0);
        let end = fleet(&server).watch("/x?a=b", Form::Documents, "5", |change| {
            if change.is_some() {
                changes += 1;
            } else {
                quiet += 1;
            }
            Ok(true)
        });
        assert_eq!((end.unwrap(), changes), (End::Expired, 1));
        assert!(quiet > 0);
        let end = fleet(&server).watch("/x?a=b", Form::Documents, "5", |_| Ok(false)).unwrap();
        assert_eq!(end, End::Told);
    }

    #[test]
    fn where_nobody_listens_no_controller_is_reached() {
        let server = FakeBase::start(|_| Answer::json(200, "{}"));
        let fleet = fleet(&server);
        drop(server);
        let error = fleet.get::<Value>("/x").unwrap_err();
        assert_eq!((error.exit_code(), error.reason()), (3, "ControllerUnreachable"));
    }

    #[test]
    fn a_warning_is_shown_without_its_wrapping() {
        assert_eq!(warned("299 - \"unknown field \\\"spec.x\\\"\""), "unknown field \\\"spec.x\\\"");
        assert_eq!(warned("odd"), "odd");
    }
}
