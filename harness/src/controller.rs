//! The fleet's controller as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{Error, base::Base, bin_dir, program::Program};

/// How long it may take to listen, and how long what is waited for may take.
const PATIENCE: Duration = Duration::from_secs(120);
const GROUP: &str = "/apis/serverless.alipay.com/v1alpha1/namespaces/default";

/// A controller that runs. It is killed when this is dropped.
pub struct Controller {
    program: Program,
    /// Where its API is.
    pub url: String,
    agent: ureq::Agent,
    data: PathBuf,
    folder: Option<tempfile::TempDir>,
}

impl Controller {
    /// Starts one with a data directory of its own, and waits until it listens.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(arguments: &[&str]) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let mut controller = Self::start_in(folder.path(), "127.0.0.1:0", arguments)?;
        controller.folder = Some(folder);
        Ok(controller)
    }

    /// Starts one on the data directory `data`, and waits until it listens at `listen`.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_in(data: &Path, listen: &str, arguments: &[&str]) -> Result<Self, Error> {
        let mut command = Command::new(bin_dir()?.join("module-controller"));
        command.arg("--data-dir").arg(data).args(["--listen", listen]).args(arguments);
        command.stdout(Stdio::null()).env("NO_COLOR", "1");
        let address = |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix("api=")).map(str::to_owned);
        let (program, api) = Program::start(command, PATIENCE, address)?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Ok(Self { program, url: format!("http://{api}"), agent: config.into(), data: data.to_owned(), folder: None })
    }

    /// The kubeconfig that it wrote.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What it wrote to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.program.log()
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// One resource, or with an empty name all of them, of the namespace `default`.
    ///
    /// # Errors
    /// Where it is not there, or the controller is not.
    pub fn get(&self, plural: &str, name: &str) -> Result<Value, Error> {
        let path = if name.is_empty() { format!("{GROUP}/{plural}") } else { format!("{GROUP}/{plural}/{name}") };
        answer(self.agent.get(format!("{}{path}", self.url)).call()?)
    }

    /// Makes a resource.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn create(&self, plural: &str, document: &Value) -> Result<Value, Error> {
        let request = self.agent.post(format!("{}{GROUP}/{plural}", self.url)).content_type("application/json");
        answer(request.send(document.to_string())?)
    }

    /// Changes a resource by a merge patch.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn patch(&self, plural: &str, name: &str, patch: &Value) -> Result<Value, Error> {
        let request = self.agent.patch(format!("{}{GROUP}/{plural}/{name}", self.url)).content_type("application/merge-patch+json");
        answer(request.send(patch.to_string())?)
    }

    /// Removes a resource.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn delete(&self, plural: &str, name: &str) -> Result<Value, Error> {
        answer(self.agent.delete(format!("{}{GROUP}/{plural}/{name}", self.url)).call()?)
    }

    /// Waits until `is_so` holds of a resource; of null where it is not there.
    ///
    /// # Errors
    /// Where it takes too long: with what it was last.
    pub fn wait(&self, plural: &str, name: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let last = self.get(plural, name).unwrap_or_default();
            if is_so(&last) {
                return Ok(last);
            }
            if Instant::now() > end {
                return Err(format!("{plural}/{name} stayed {last:#}\n{}", self.log()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The messages of the events for `reason`, in the order in which they were last told.
    ///
    /// # Errors
    /// Where the controller does not answer.
    pub fn told(&self, reason: &str) -> Result<Vec<String>, Error> {
        let events = answer(self.agent.get(format!("{}/api/v1/namespaces/default/events", self.url)).call()?)?;
        let text = |event: &Value, pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let all = events.get("items").and_then(Value::as_array).into_iter().flatten();
        let mut told: Vec<_> = all.filter(|event| text(event, "/reason") == reason).collect();
        told.sort_by_key(|event| text(event, "/metadata/resourceVersion").parse::<u64>().unwrap_or_default());
        Ok(told.into_iter().map(|event| text(event, "/message")).collect())
    }

    /// The same, once there are so many: they are told once a second.
    ///
    /// # Errors
    /// Where it takes too long.
    pub fn wait_told(&self, reason: &str, count: usize) -> Result<Vec<String>, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            let told = self.told(reason)?;
            if told.len() >= count {
                return Ok(told);
            }
            if Instant::now() > end {
                return Err(format!("of {reason} only this was told: {told:?}\n{}", self.log()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts a base that joins it as `name`, and waits until it is known to be ready.
    ///
    /// # Errors
    /// Where it does not come up, or is not heard.
    pub fn join(&self, name: &str, more: &[&str]) -> Result<Base, Error> {
        let mut arguments = vec!["--controller", &self.url, "--base-name", name];
        arguments.extend(more);
        let base = Base::start(&arguments)?;
        self.wait("bases", name, is_ready)?;
        Ok(base)
    }

    /// Waits until a deployment's rollout stands at `progress`, for the spec as it is now.
    ///
    /// # Errors
    /// Where it takes too long.
    pub fn wait_progress(&self, deployment: &str, progress: &str) -> Result<Value, Error> {
        self.wait("moduledeployments", deployment, |document| {
            let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();
            at("/status/releaseStatus/progress") == progress && at("/status/observedGeneration") == at("/metadata/generation")
        })
    }
}

/// Whether a base is.
#[must_use]
pub fn is_ready(base: &Value) -> bool {
    condition(base, "Ready").get("status").is_some_and(|status| status == "True")
}

/// What a document says of itself in its condition `kind`; null where it says nothing.
#[must_use]
pub fn condition<'a>(document: &'a Value, kind: &str) -> &'a Value {
    let conditions = document.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.and_then(|all| all.iter().find(|condition| condition.get("type").is_some_and(|of| of == kind)));
    found.unwrap_or(&Value::Null)
}

fn answer(response: ureq::http::Response<ureq::Body>) -> Result<Value, Error> {
    let status = response.status();
    let text = response.into_body().read_to_string()?;
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("{status}: {error}: {text}"))?;
    if status.is_success() {
        Ok(value)
    } else {
        Err(format!("{status}: {}", value.get("message").and_then(Value::as_str).unwrap_or(&text)).into())
    }
}

/// A deployment of `module` on every base of the base deployment `default`, in so many batches.
#[must_use]
pub fn deployment(module: &str, version: &str, url: &str, batches: u32) -> Value {
    json!({
        "apiVersion": "serverless.alipay.com/v1alpha1", "kind": "ModuleDeployment", "metadata": {"name": module, "namespace": "default"},
        "spec": {
            "baseDeploymentName": "default", "replicas": -1,
            "template": {"spec": {"module": {"name": module, "version": version, "url": url}}},
            "operationStrategy": {"batchCount": batches},
        },
    })
}
