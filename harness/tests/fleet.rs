//! A fleet: a real controller, real bases that join it, real load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use harness::{
    base::Base,
    controller::{Controller, condition, deployment, is_ready},
    jvm::{self, Jdk, JvmBase},
    load::Load,
    node,
    postgres::Postgres,
    samples,
};
use serde_json::{Value, json};

const HELLO: [&str; 2] = ["hello from v1\n", "hello from v2\n"];

fn hello(version: u8) -> String {
    format!("file://{}", samples::sample("hello", version).unwrap().display())
}

fn version(version: &str, url: &str) -> Value {
    json!({"spec": {"template": {"spec": {"module": {"version": version, "url": url}}}}})
}

fn answer(base: &Base) -> String {
    ureq::get(format!("http://{}/hello/", base.gateway)).call().unwrap().body_mut().read_to_string().unwrap()
}

#[test]
fn a_new_version_rolls_over_the_bases_batch_by_batch_and_no_request_is_lost() {
    let controller = Controller::start(&[]).unwrap();
    let bases = ["a", "b", "c"].map(|name| controller.join(name, &[]).unwrap());
    controller.create("moduledeployments", &deployment("hello", "1.0.0", &hello(1), 3)).unwrap();
    let complete = controller.wait_progress("hello", "Completed").unwrap();
    assert_eq!((&complete["status"]["availableReplicas"], &complete["status"]["replicas"]), (&json!(3), &json!(3)));
    let loads = bases.each_ref().map(|base| Load::new(base.gateway, "/hello/", 2, &HELLO).start().unwrap());
    controller.patch("moduledeployments", "hello", &version("2.0.0", &hello(2))).unwrap();
    let complete = controller.wait_progress("hello", "Completed").unwrap();
    assert_eq!(complete["status"]["releaseStatus"]["realBatchCount"], 3);
    std::thread::sleep(Duration::from_millis(200));
    for (load, base) in loads.into_iter().zip(&bases) {
        let report = load.stop().unwrap();
        assert_eq!(report.lost, 0, "{:?}", report.failures);
        assert!(report.bodies.contains_key(HELLO[0].as_bytes()) && report.bodies.contains_key(HELLO[1].as_bytes()));
        assert_eq!(answer(base), HELLO[1]);
        assert_eq!(base.api.modules().unwrap().len(), 1, "the old version is gone");
    }
    controller.delete("moduledeployments", "hello").unwrap();
    controller.wait("moduledeployments", "hello", Value::is_null).unwrap();
    assert!(bases.iter().all(|base| base.api.modules().unwrap().is_empty()));
    let left = controller.get("modules", "").unwrap();
    assert!(left["items"].as_array().unwrap().is_empty(), "{left}");
}

#[test]
fn a_controller_that_is_killed_in_the_middle_of_a_rollout_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = Controller::start_in(folder.path(), "127.0.0.1:0", &[]).unwrap();
    let bases = ["a", "b", "c"].map(|name| controller.join(name, &[]).unwrap());
    let mut document = deployment("hello", "1.0.0", &hello(1), 3);
    document["spec"]["operationStrategy"]["grayTimeBetweenBatchSeconds"] = json!(1);
    controller.create("moduledeployments", &document).unwrap();
    controller.wait_progress("hello", "Completed").unwrap();
    let loads = bases.each_ref().map(|base| Load::new(base.gateway, "/hello/", 2, &HELLO).start().unwrap());
    controller.patch("moduledeployments", "hello", &version("2.0.0", &hello(2))).unwrap();
    let is_begun = |document: &Value| {
        let status = &document["status"];
        status["observedGeneration"] == document["metadata"]["generation"]
            && matches!(status["updatedAvailableReplicas"].as_u64(), Some(1 | 2))
    };
    controller.wait("moduledeployments", "hello", is_begun).unwrap();
    let listen = controller.url.trim_start_matches("http://").to_owned();
    let told = controller.wait_told("RolloutStarted", 2).unwrap();
    controller.kill();
    // A port that nobody listens at may be somebody's for a moment.
    let end = Instant::now() + Duration::from_secs(60);
    let controller = loop {
        match Controller::start_in(folder.path(), &listen, &[]) {
            Ok(controller) => break controller,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    assert_eq!(controller.told("RolloutStarted").unwrap(), told, "what happened is told after a restart");
    controller.wait_progress("hello", "Completed").unwrap();
    for load in loads {
        let report = load.stop().unwrap();
        assert_eq!(report.lost, 0, "{:?}", report.failures);
    }
    assert!(bases.iter().all(|base| answer(base) == HELLO[1]));
}

#[test]
fn what_somebody_removes_by_hand_and_what_a_base_forgets_comes_back() {
    let controller = Controller::start(&[]).unwrap();
    let base = controller.join("a", &[]).unwrap();
    controller.create("moduledeployments", &deployment("hello", "1.0.0", &hello(1), 1)).unwrap();
    controller.wait_progress("hello", "Completed").unwrap();
    let modules = controller.get("modules", "").unwrap();
    let name = modules["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let since = |module: &Value| module["status"]["last_transition_time"].as_str().unwrap_or_default().to_owned();
    let before = since(&modules["items"][0]);
    base.api.delete("/v1/modules/hello/1.0.0").unwrap();
    controller.wait("modules", &name, |module| module["status"]["status"] == "Available" && since(module) != before).unwrap();
    assert_eq!(answer(&base), HELLO[0]);
    drop(base);
    // Another one takes its name, and has nothing of it.
    let base = Base::start(&["--controller", &controller.url, "--base-name", "a"]).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while base.api.modules().unwrap().is_empty() {
        assert!(Instant::now() < end, "{}", controller.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    controller.wait("modules", &name, |module| module["status"]["status"] == "Available").unwrap();
    assert_eq!(answer(&base), HELLO[0]);
}

#[test]
fn a_version_that_does_not_start_fails_the_rollout_and_the_one_before_serves_on_and_can_be_returned_to() {
    let controller = Controller::start(&[]).unwrap();
    let bases = ["a", "b"].map(|name| controller.join(name, &[]).unwrap());
    controller.create("moduledeployments", &deployment("hello", "1.0.0", &hello(1), 2)).unwrap();
    controller.wait_progress("hello", "Completed").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.wasm");
    std::fs::write(&junk, b"this is no component").unwrap();
    let load = Load::new(bases[0].gateway, "/hello/", 2, &HELLO[..1]).start().unwrap();
    controller.patch("moduledeployments", "hello", &version("2.0.0", &format!("file://{}", junk.display()))).unwrap();
    let failed = controller.wait_progress("hello", "Failed").unwrap();
    let failure = condition(&failed, "ReplicaFailure");
    assert_eq!((&failure["status"], &failure["reason"]), (&json!("True"), &json!("PackageInvalid")), "{failure}");
    assert_eq!(failed["status"]["updatedReplicas"], 1, "the second batch has not begun");
    controller.patch("moduledeployments", "hello", &json!({"spec": {"rollbackTo": {"revision": 0}}})).unwrap();
    controller.wait_progress("hello", "Completed").unwrap();
    let report = load.stop().unwrap();
    assert_eq!(report.lost, 0, "{:?}", report.failures);
    assert!(bases.iter().all(|base| answer(base) == HELLO[0] && base.api.modules().unwrap().len() == 1));
}

#[test]
fn kubectl_applies_scales_waits_and_deletes() {
    let controller = Controller::start(&[]).unwrap();
    let _bases = ["a", "b"].map(|name| controller.join(name, &["--base-labels", "zone=x"]).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.json");
    let mut document = deployment("hello", "1.0.0", &hello(1), 1);
    document["spec"]["replicas"] = json!(1);
    std::fs::write(&file, document.to_string()).unwrap();
    let kubectl = |arguments: &[&str]| {
        let output = Command::new("kubectl").arg("--kubeconfig").arg(controller.kubeconfig()).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "kubectl {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    kubectl(&["apply", "-f", file.to_str().unwrap()]);
    kubectl(&["wait", "--for=condition=Available", "--timeout=60s", "mddeploy/hello"]);
    kubectl(&["scale", "--replicas=2", "mddeploy/hello"]);
    kubectl(&["wait", "--for=jsonpath={.status.availableReplicas}=2", "--timeout=60s", "mddeploy/hello"]);
    let modules = kubectl(&["get", "modules", "-o", "wide"]);
    assert_eq!(modules.lines().filter(|line| line.contains("Available")).count(), 2, "{modules}");
    assert!(kubectl(&["get", "bases", "-l", "zone=x", "-o", "name"]).lines().count() == 2);
    kubectl(&["delete", "mddeploy/hello", "--timeout=60s"]);
    assert_eq!(kubectl(&["get", "modules", "-o", "name"]), "");
}

#[test]
fn of_two_controllers_on_one_database_the_other_leads_on_where_one_is_killed() {
    let database = Postgres::start("fleet").unwrap();
    let url = format!("postgres://postgres@127.0.0.1:{}/fleet", database.port);
    let mut first = Controller::start(&["--database", &url]).unwrap();
    let second = Controller::start(&["--database", &url]).unwrap();
    // The base is told of both, and finds the one that leads.
    let both = format!("{},{}", second.url, first.url);
    let base = Base::start(&["--controller", &both, "--base-name", "a"]).unwrap();
    second.wait("bases", "a", is_ready).unwrap();
    second.create("moduledeployments", &deployment("hello", "1.0.0", &hello(1), 1)).unwrap();
    first.wait_progress("hello", "Completed").unwrap();
    // The other one tells what the one that leads has said.
    second.wait_told("RolloutStarted", 1).unwrap();
    let load = Load::new(base.gateway, "/hello/", 2, &HELLO).start().unwrap();
    first.kill();
    second.patch("moduledeployments", "hello", &version("2.0.0", &hello(2))).unwrap();
    second.wait_progress("hello", "Completed").unwrap();
    let report = load.stop().unwrap();
    assert_eq!(report.lost, 0, "{:?}", report.failures);
    assert_eq!(answer(&base), HELLO[1]);
}

#[test]
fn bases_of_all_kinds_join_and_each_gets_the_modules_of_its_kind() {
    if let Err(lacking) = Jdk::current().map(drop).and_then(|()| node::installed()) {
        eprintln!("left out: {lacking}");
        return;
    }
    let controller = Controller::start(&[]).unwrap();
    let _wasm = controller.join("wasm", &[]).unwrap();
    let controller_option = format!("controller={}", controller.url);
    let jvm = JvmBase::start(&jvm::sample("base").unwrap(), &[&controller_option, "base-name=jvm"], &[]).unwrap();
    let node = node::base(&["--controller", &controller.url, "--base-name", "node"]).unwrap();
    for name in ["jvm", "node"] {
        controller.wait("bases", name, is_ready).unwrap();
    }
    let file = |path: std::path::PathBuf| format!("file://{}", path.display());
    let packages = [
        ("hello", "wasm", hello(1)),
        ("ticker", "jvm", file(jvm::sample("ticker").unwrap())),
        ("shop", "node", file(node::package("shop", "1.0.0").unwrap())),
    ];
    for (name, kind, url) in &packages {
        let mut document = deployment(name, "1.0.0", url, 1);
        document["spec"]["template"]["spec"]["module"]["type"] = json!(kind);
        controller.create("moduledeployments", &document).unwrap();
    }
    for (name, kind, _) in &packages {
        let complete = controller.wait_progress(name, "Completed").unwrap();
        assert_eq!(complete["status"]["availableReplicas"], 1, "{complete:#}");
        let modules = controller.get("modules", "").unwrap();
        let of_it: Vec<_> =
            modules["items"].as_array().unwrap().iter().filter(|module| module["spec"]["module"]["name"] == *name).collect();
        assert!(of_it.iter().all(|module| module["spec"]["baseName"] == *kind), "{modules:#}");
    }
    drop((jvm, node));
}
