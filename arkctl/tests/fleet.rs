//! The commands of a fleet as its users run them, on a controller's real API. What a controller makes of documents is said by the tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use fleet::resource::{
    Base, Condition, DeploymentStatus, Document, Key, Kind, Meta, Module, ModuleDeployment, ModuleReplicaSet, Phase, Progress,
    ReleaseStatus, Time, Truth, Write, label,
};
use module_controller::{
    api::{Access, Audit, Settings, Token, api},
    kubeconfig::Kubeconfig,
    listen,
    store::{Event, Memory, Severity, Store},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

const SHOP: &str = r#"
apiVersion: serverless.alipay.com/v1alpha1
kind: ModuleDeployment
metadata:
  name: shop
  labels: {app: shop}
spec:
  baseDeploymentName: default
  replicas: 3
  template:
    spec:
      module: {name: orders, version: "1.0.0", url: "http://packages/orders.wasm"}
"#;

/// A controller's API in this process, on a store in memory that the tests write as its engine would.
struct Controller {
    folder: TempDir,
    store: Arc<Memory>,
    url: String,
    runtime: Runtime,
    end: CancellationToken,
}

impl Controller {
    fn start() -> Self {
        Self::with("")
    }

    /// With these tokens.
    fn with(tokens: &str) -> Self {
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let (store, end) = (Arc::new(Memory::new()), CancellationToken::new());
        let tokens = Token::read(tokens).unwrap().into_iter().map(|(_, token)| token).collect();
        let access = Access { tokens, certified: false };
        let audit = Audit::file(&folder.path().join("audit.log")).unwrap();
        let settings = Settings { access, audit, end: end.clone(), ..Settings::default() };
        let router = api(Arc::clone(&store) as Arc<dyn Store>, settings);
        let serving = runtime.block_on(listen::serve(router, "127.0.0.1:0".parse().unwrap(), None, end.clone())).unwrap();
        let url = format!("http://{}", serving.address());
        Self { folder, store, url, runtime, end }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_arkctl"));
        command.args(arguments).stdin(Stdio::null()).env("XDG_CONFIG_HOME", "/nonexistent");
        for variable in ["ARKCTL_BASE", "ARKCTL_TOKEN", "KUBECONFIG", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command.env("ARKCTL_CONTROLLER", &self.url);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it printed; it has to succeed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn start_of(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Applies `text` from standard input.
    fn apply(&self, text: &str, more: &[&str]) -> Output {
        let arguments = [&["apply", "-f", "-"], more].concat();
        let mut child = self.command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn find(&self, kind: Kind, name: &str) -> Option<Document> {
        self.runtime.block_on(self.store.get(kind, Key::new("default", name))).unwrap().map(|found| (*found).clone())
    }

    fn deployment(&self) -> ModuleDeployment {
        let Some(Document::ModuleDeployment(deployment)) = self.find(Kind::ModuleDeployment, "shop") else { panic!("no shop") };
        deployment
    }

    fn write(&self, write: Write) {
        self.runtime.block_on(self.store.commit(vec![write], None)).unwrap();
    }

    /// Says what there is of `shop`, as of what is wanted now.
    fn says(&self, change: impl FnOnce(&mut DeploymentStatus)) {
        let mut deployment = self.deployment();
        deployment.status.observed_generation = deployment.metadata.generation;
        change(&mut deployment.status);
        self.write(Write::Update(Document::ModuleDeployment(deployment)));
    }

    /// Says that batch `batch` of 3 is under way, or what else `progress` is.
    fn is_at(&self, batch: u32, progress: Progress) {
        self.says(|status| {
            (status.desired_replicas, status.updated_replicas, status.available_replicas) = (3, batch, 3);
            status.updated_available_replicas = batch - 1;
            status.release_status = ReleaseStatus {
                update_revision: "shop-2".to_owned(),
                stable_revision: if progress == Progress::Completed { "shop-2" } else { "shop-1" }.to_owned(),
                current_batch: batch,
                real_batch_count: 3,
                progress,
                ..ReleaseStatus::default()
            };
        });
    }

    fn revision(&self, number: u64, version: &str) {
        let mut set = ModuleReplicaSet { metadata: meta(&format!("shop-{number}")), ..ModuleReplicaSet::default() };
        set.metadata.labels.insert(label::MODULE_DEPLOYMENT.to_owned(), "shop".to_owned());
        set.metadata.labels.insert(label::REVISION.to_owned(), number.to_string());
        let module = &mut set.spec.template.spec.module;
        (module.name, module.version, module.url) = ("orders".to_owned(), version.to_owned(), "http://packages/orders.wasm".to_owned());
        self.write(Write::Create(Document::ModuleReplicaSet(set)));
    }

    fn base(&self, name: &str) {
        let mut base = Base { metadata: meta(name), ..Base::default() };
        base.status.kinds = vec!["wasm".to_owned()];
        base.status.conditions = vec![Condition { kind: "Ready".to_owned(), status: Truth::True, ..Condition::default() }];
        self.write(Write::Create(Document::Base(base)));
    }

    fn module(&self, name: &str, base: &str, phase: Phase, message: &str) {
        let mut module = Module { metadata: meta(name), ..Module::default() };
        for (label, value) in [(label::MODULE_DEPLOYMENT, "shop"), (label::BASE_NAME, base)] {
            module.metadata.labels.insert(label.to_owned(), value.to_owned());
        }
        base.clone_into(&mut module.spec.base_name);
        let info = &mut module.spec.template.module;
        (info.name, info.version) = ("orders".to_owned(), "1.0.0".to_owned());
        (module.status.status, module.status.message) = (phase, message.to_owned());
        self.write(Write::Create(Document::Module(module)));
    }

    fn remove(&self, kind: Kind, name: &str) {
        let resource_version = self.find(kind, name).unwrap().meta().resource_version.clone();
        self.write(Write::Delete { kind, key: Key::new("default", name), resource_version });
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn meta(name: &str) -> Meta {
    Meta { name: name.to_owned(), namespace: "default".to_owned(), ..Meta::default() }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Waits until `is_so`.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The lines of a stream as they come.
fn lines(stream: impl std::io::Read) -> impl Iterator<Item = String> {
    BufReader::new(stream).lines().map(Result::unwrap)
}

#[test]
fn a_document_is_created_then_left_alone_then_configured() {
    let controller = Controller::start();
    assert_eq!(stdout(&controller.apply(SHOP, &[])), "moduledeployment/shop created\n");
    assert_eq!(stdout(&controller.apply(SHOP, &[])), "moduledeployment/shop unchanged\n");
    let more = SHOP.replace("replicas: 3", "replicas: 5");
    let dry = controller.apply(&more, &["--dry-run"]);
    assert_eq!(stdout(&dry), "moduledeployment/shop configured (dry run)\n  spec.replicas: 3 → 5\n");
    assert_eq!(controller.deployment().spec.replicas, 3);
    let output = controller.apply(&more, &["-o", "json"]);
    assert_eq!(json(&stdout(&output))["documents"][0]["outcome"], "configured");
    assert_eq!(controller.deployment().spec.replicas, 5);
}

#[test]
fn files_of_several_documents_and_json_are_applied_and_deleted() {
    let controller = Controller::start();
    let other = SHOP.replace("name: shop", "name: other");
    let file = controller.file("two.yaml", &format!("{SHOP}---\n{other}"));
    assert_eq!(controller.done(&["apply", "-f", &file]), "moduledeployment/shop created\nmoduledeployment/other created\n");
    let document = controller.done(&["get", "deployment", "other", "-o", "json"]);
    let file_of_json = controller.file("other.json", &document);
    assert_eq!(controller.done(&["apply", "-f", &file_of_json]), "moduledeployment/other unchanged\n");
    let document = controller.done(&["get", "deployment", "other", "-o", "yaml"]);
    let file_of_yaml = controller.file("other.yaml", &document);
    assert_eq!(controller.done(&["apply", "-f", &file_of_yaml]), "moduledeployment/other unchanged\n");
    assert_eq!(controller.done(&["delete", "-f", &file]), "moduledeployment/shop deleted\nmoduledeployment/other deleted\n");
    assert_eq!(controller.find(Kind::ModuleDeployment, "shop"), None);
}

#[test]
fn a_document_that_is_refused_lists_the_fields_that_are_to_blame() {
    let controller = Controller::start();
    let output = controller.apply(&SHOP.replace("replicas: 3", "replicas: -7"), &[]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    let said = stderr(&output);
    assert!(said.contains("\"shop\" is invalid\n") && said.contains("\n  spec.replicas: ") && said.contains("hint: correct"), "{said}");

    let output = controller.apply(&SHOP.replace("\"1.0.0\"", "1.0"), &["-o", "json"]);
    let value = json(&stdout(&output));
    assert_eq!(value["error"]["reason"], "Invalid");
    assert_eq!(value["error"]["causes"][0]["field"], "spec.template.spec.module.version");
    assert!(value["hint"].as_str().unwrap().starts_with("quote"), "{value}");
}

#[test]
fn a_field_that_another_has_set_is_a_conflict_until_it_is_taken_over() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    controller.done(&["scale", "shop", "--replicas", "4"]);
    let output = controller.apply(SHOP, &[]);
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    assert!(stderr(&output).contains("spec.replicas") && stderr(&output).contains("--force-conflicts"), "{}", stderr(&output));
    assert_eq!(controller.deployment().spec.replicas, 4);
    assert_eq!(stdout(&controller.apply(SHOP, &["--force-conflicts"])), "moduledeployment/shop configured\n");
    assert_eq!(controller.deployment().spec.replicas, 3);
}

#[test]
fn what_there_is_is_a_table_for_people_and_documents_for_programs() {
    let controller = Controller::start();
    let output = controller.run(&["get", "deployments"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    assert!(stderr(&output).contains("no deployments in the namespace default"), "{}", stderr(&output));

    controller.apply(SHOP, &[]);
    let table = controller.done(&["get", "deploy"]);
    assert!(table.starts_with("NAME ") && table.contains("\nshop ") && !table.contains("http://packages"), "{table}");
    assert!(controller.done(&["get", "deploy", "-o", "wide"]).contains("http://packages/orders.wasm"));
    assert!(controller.done(&["get", "deploy", "-A"]).starts_with("NAMESPACE "));
    assert_eq!(controller.done(&["get", "deploy", "-l", "app=other"]), "");
    let list = json(&controller.done(&["get", "deployments", "-l", "app in (shop,x)", "-o", "json"]));
    assert_eq!(list["items"][0]["metadata"]["name"], "shop");
    assert!(controller.done(&["get", "deployment", "shop", "-o", "yaml"]).starts_with("---\n"));

    let output = controller.run(&["get", "deployment", "absent"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("NotFound") && stderr(&output).contains("`arkctl get deployments -A`"), "{}", stderr(&output));
}

#[test]
fn a_watch_tells_what_changes_while_it_does() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    let mut child = controller.start_of(&["get", "deployments", "--watch"]);
    let mut seen = lines(child.stdout.take().unwrap());
    assert!(seen.next().unwrap().starts_with("NAME"));
    assert!(seen.next().unwrap().contains("Init"));
    controller.is_at(1, Progress::Executing);
    assert!(seen.next().unwrap().contains("Executing"));
    child.kill().unwrap();
    child.wait().unwrap();

    let mut child = controller.start_of(&["get", "deployments", "--watch", "-o", "json"]);
    let mut seen = lines(child.stdout.take().unwrap());
    assert_eq!(json(&seen.next().unwrap())["type"], "ADDED");
    controller.remove(Kind::ModuleDeployment, "shop");
    assert_eq!(json(&seen.next().unwrap())["type"], "DELETED");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_rollout_is_followed_to_its_end() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    let mut child = controller.start_of(&["rollout", "status", "shop", "--timeout", "60s"]);
    let mut said = lines(child.stderr.take().unwrap());
    controller.is_at(1, Progress::Executing);
    assert_eq!(said.next().unwrap(), "orders:1.0.0 (shop-2): 3 instances in 3 batches");
    assert_eq!(
        said.next().unwrap(),
        "batch 1 of 3  ░░░░░░░░░░░░░░░░░░░░░░░░  1 of 3 updated, 0 available".replacen("░░░░░░░░", "▒▒▒▒▒▒▒▒", 1)
    );
    controller.is_at(1, Progress::WaitingForConfirmation);
    assert_eq!(said.next().unwrap(), "hold batch 1 of 3 waits to be confirmed: `arkctl rollout confirm shop`");
    controller.done(&["rollout", "confirm", "shop"]);
    assert_eq!(controller.deployment().spec.confirm_batch_num, 1);
    controller.is_at(2, Progress::Executing);
    assert_eq!(said.next().unwrap(), "done batch 1 of 3");
    controller.is_at(3, Progress::Completed);
    let rest: Vec<String> = said.collect();
    assert!(rest.ends_with(&["done batch 2 of 3".to_owned(), "done batch 3 of 3".to_owned()]), "{rest:?}");
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "shop: orders:1.0.0 runs as wanted: 3 of 3 instances available\n"));
}

#[test]
fn a_rollout_that_comes_to_something_else_ends_with_1_and_says_why() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    controller.is_at(1, Progress::Failed);
    controller.says(|status| {
        let condition = |kind: &str, status, reason: &str, message: &str| {
            let (kind, reason, message) = (kind.to_owned(), reason.to_owned(), message.to_owned());
            Condition { kind, status, reason, message, ..Condition::default() }
        };
        status.conditions = vec![
            condition("Progressing", Truth::False, "RolloutFailed", "batch 1 of 3 does not come further"),
            condition("ReplicaFailure", Truth::True, "ProbeFailed", "shop-2-a on base a: /health answered 503"),
        ];
    });
    let output = controller.run(&["rollout", "status", "shop"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    let said = stderr(&output);
    assert!(said.contains("batch 1 of 3 does not come further: ProbeFailed: shop-2-a on base a: /health answered 503"), "{said}");
    assert!(said.contains("hint: `arkctl explain shop`"), "{said}");

    controller.is_at(1, Progress::Aborted);
    let output = controller.run(&["rollout", "status", "shop", "-o", "json"]);
    assert_eq!((code(&output), json(&stdout(&output))["state"].as_str()), (1, Some("RolloutAborted")));

    controller.is_at(1, Progress::Executing);
    let output = controller.run(&["rollout", "status", "shop", "--timeout", "1s"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("is not done after 1s: batch 1 of 3"), "{}", stderr(&output));
    let output = controller.run(&["rollout", "status", "shop", "--no-wait", "-o", "json"]);
    assert_eq!((code(&output), json(&stdout(&output))["state"].as_str()), (0, Some("UnderWay")));
}

#[test]
fn a_rollout_that_is_returned_while_one_looks_is_no_success() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    controller.is_at(2, Progress::Executing);
    let mut child = controller.start_of(&["rollout", "status", "shop"]);
    let mut said = lines(child.stderr.take().unwrap());
    assert!(said.next().unwrap().contains("shop-2"));
    controller.says(|status| {
        (status.release_status.update_revision, status.release_status.stable_revision) = ("shop-1".to_owned(), "shop-1".to_owned());
        status.release_status.progress = Progress::Completed;
    });
    let rest: Vec<String> = said.collect();
    assert!(rest.iter().any(|line| line.contains("shop was returned to shop-1")), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_rollout_is_held_given_up_and_begun_anew_by_fields_of_the_spec() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    controller.is_at(1, Progress::Executing);
    assert_eq!(controller.done(&["rollout", "pause", "shop"]), "shop paused in batch 1 of 3\n");
    assert!(controller.deployment().spec.paused);
    assert_eq!(controller.done(&["rollout", "pause", "shop"]), "shop is paused already\n");
    assert_eq!(controller.done(&["rollout", "resume", "shop"]), "shop goes on\n");
    assert!(!controller.deployment().spec.paused);
    assert_eq!(controller.done(&["rollout", "restart", "shop"]), "shop restarts: orders:1.0.0\n");
    assert!(!controller.deployment().spec.restarted_at.is_empty());
    assert_eq!(controller.done(&["rollout", "rebalance", "shop"]), "shop: its instances move where another base suits better\n");
    assert!(!controller.deployment().spec.rebalanced_at.is_empty());
    let output = controller.run(&["rollout", "confirm", "shop"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("nothing of shop waits to be confirmed"), "{}", stderr(&output));
    assert_eq!(controller.done(&["rollout", "abort", "shop"]), "shop: shop-2 is given up, shop-1 comes back\n");
    assert!(controller.deployment().spec.abort);
}

#[test]
fn one_goes_back_to_a_revision_that_is_kept() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    controller.is_at(3, Progress::Completed);
    controller.revision(1, "0.9.0");
    controller.revision(2, "1.0.0");
    let history = controller.done(&["rollout", "history", "shop"]);
    assert!(history.contains("0.9.0") && history.contains("current, stable"), "{history}");
    let output = controller.run(&["rollout", "undo", "shop", "--to-revision", "7"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("revision 7 is not kept; kept are 1"), "{}", stderr(&output));
    assert_eq!(controller.done(&["rollout", "undo", "shop"]), "shop goes back to revision 1 (orders:0.9.0)\n");
    assert_eq!(controller.deployment().spec.rollback_to.unwrap().revision, 1);
}

#[test]
fn a_deployment_is_scaled_and_every_base_is_minus_one() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    assert_eq!(controller.done(&["scale", "shop", "--replicas", "5"]), "shop scaled: 3 → 5\n");
    assert_eq!(controller.done(&["scale", "shop", "--replicas", "-1"]), "shop scaled: 5 → one on every base\n");
    assert_eq!(controller.deployment().spec.replicas, -1);
    assert_eq!(code(&controller.run(&["scale", "shop", "--replicas", "-2"])), 2);
}

#[test]
fn a_drain_ends_when_the_last_module_is_elsewhere() {
    let controller = Controller::start();
    controller.base("a");
    controller.module("shop-1-x", "a", Phase::Available, "");
    controller.module("shop-1-y", "b", Phase::Available, "");
    let bases = controller.done(&["bases"]);
    assert!(bases.contains("\na ") && bases.contains("True"), "{bases}");
    assert_eq!(controller.done(&["cordon", "a"]), "a cordoned\n");
    assert_eq!(controller.done(&["cordon", "a"]), "a is cordoned already\n");

    let mut child = controller.start_of(&["drain", "a", "--timeout", "60s"]);
    let mut said = lines(child.stderr.take().unwrap());
    assert_eq!(said.next().unwrap(), "a: 1 module left: orders:1.0.0");
    let Some(Document::Base(base)) = controller.find(Kind::Base, "a") else { panic!() };
    assert!(base.spec.drain && base.spec.unschedulable);
    controller.remove(Kind::Module, "shop-1-x");
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "a drained: it has no modules\n"));

    assert_eq!(controller.done(&["uncordon", "a"]), "a takes modules again\n");
    let Some(Document::Base(base)) = controller.find(Kind::Base, "a") else { panic!() };
    assert!(!base.spec.drain && !base.spec.unschedulable);
}

#[test]
fn a_delete_waits_until_the_instances_are_gone() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    let holds = |finalizers: &[&str]| {
        let mut deployment = controller.deployment();
        deployment.metadata.finalizers = finalizers.iter().map(|&finalizer| finalizer.to_owned()).collect();
        controller.write(Write::Update(Document::ModuleDeployment(deployment)));
    };
    holds(&[fleet::resource::FINALIZER]);
    let child = controller.start_of(&["delete", "deployment", "shop"]);
    until("it is to go", || controller.deployment().metadata.is_going());
    holds(&[]);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "deployments/shop deleted\n"));

    controller.apply(SHOP, &[]);
    holds(&[fleet::resource::FINALIZER]);
    let output = controller.run(&["delete", "deployment", "shop", "--timeout", "1s"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("still there"), "{}", stderr(&output));
}

#[test]
fn people_see_why_a_deployment_is_where_it_is() {
    let controller = Controller::start();
    controller.apply(SHOP, &[]);
    controller.is_at(1, Progress::Executing);
    controller.module("shop-2-x", "a", Phase::Failed, "/health answered 503");
    let about = controller.find(Kind::ModuleDeployment, "shop").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Time(u64::try_from(now.as_millis()).unwrap());
    let event = Event::new(&about, Severity::Normal, "BatchStarted", "batch 1 of 3 has begun", now);
    controller.runtime.block_on(controller.store.tell(vec![event])).unwrap();
    let text = controller.done(&["explain", "shop"]);
    assert!(text.starts_with("default/shop Executing\n") && text.contains("/health answered 503"), "{text}");
    let text = controller.done(&["describe", "deployment", "shop"]);
    for part in [
        "orders:1.0.0 from http://packages/orders.wasm",
        "batch 1 of 3 to shop-2",
        "\ninstances\n",
        "shop-2-x",
        "\nevents\n",
        "BatchStarted",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let text = controller.done(&["events", "--for", "shop"]);
    assert!(text.contains("BatchStarted"), "{text}");
    let output = controller.run(&["events", "--for", "other"]);
    assert_eq!(stdout(&output), "");
    assert_eq!(code(&controller.run(&["explain", "absent"])), 1);
}

#[test]
fn a_kubeconfig_says_where_and_as_whom() {
    let controller = Controller::with("secret,admin,me");
    let output = controller.run(&["get", "deployments"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("Unauthorized") && stderr(&output).contains("--kubeconfig"), "{}", stderr(&output));

    let path = controller.folder.path().join("kubeconfig");
    Kubeconfig { server: controller.url.clone(), token: Some("secret".to_owned()), authority: None }.write(&path).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(controller.done(&["get", "deployments", "--kubeconfig", path]), "");
    let mut command = controller.command(&["get", "deployments"]);
    assert_eq!(command.env_remove("ARKCTL_CONTROLLER").env("KUBECONFIG", path).status().unwrap().code(), Some(0));
    let mut command = controller.command(&["get", "deployments"]);
    assert_eq!(command.env("ARKCTL_TOKEN", "secret").status().unwrap().code(), Some(0));
}

#[test]
fn where_no_controller_listens_it_is_said_with_3() {
    let controller = Controller::start();
    let url = controller.url.clone();
    controller.end.cancel();
    let command = || {
        let mut command = controller.command(&["get", "deployments", "--controller", &url]);
        command.output().unwrap()
    };
    until("it is gone", || code(&command()) == 3);
    let said = stderr(&command());
    assert!(said.contains("no controller answers") && said.contains("`module-controller`"), "{said}");
}
