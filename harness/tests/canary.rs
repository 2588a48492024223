//! A canary on a real fleet, judged by what its bases report of real requests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::Path;

use harness::{
    base::Base,
    controller::{Controller, condition, deployment},
    load::{Load, Report, Running},
    samples,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const PATH: &str = "/misbehave/work";
const ANSWERS: [&str; 2] = ["work of 1.0.0", "work of 2.0.0"];

/// Three bases under load that run one version of a module, and packages of that and of the next.
struct Fleet {
    controller: Controller,
    bases: [Base; 3],
    loads: Vec<Running>,
    folder: TempDir,
}

impl Fleet {
    fn start(strategy: &Value) -> Self {
        let controller = Controller::start(&[]).unwrap();
        let bases = ["a", "b", "c"].map(|name| controller.join(name, &[]).unwrap());
        let folder = tempfile::tempdir().unwrap();
        for version in ["1.0.0", "2.0.0"] {
            let sample = samples::sample("misbehave", 1).unwrap();
            samples::remade(&sample, &package(folder.path(), version), |manifest| manifest.version = Some(version.into())).unwrap();
        }
        let mut document = deployment("misbehave", "1.0.0", "", 3);
        document["spec"]["template"] = template(folder.path(), "1.0.0", &[]);
        document["spec"]["operationStrategy"] = strategy.clone();
        document["spec"]["operationStrategy"]["batchCount"] = json!(3);
        controller.create("moduledeployments", &document).unwrap();
        controller.wait_progress("misbehave", "Completed").unwrap();
        let loads = bases.iter().map(|base| Load::new(base.gateway, PATH, 2, &ANSWERS).start().unwrap()).collect();
        Self { controller, bases, loads, folder }
    }

    /// Has version 2.0.0 rolled out, with these variables.
    fn roll(&self, env: &[(&str, &str)]) {
        let template = template(self.folder.path(), "2.0.0", env);
        self.controller.patch("moduledeployments", "misbehave", &json!({"spec": {"template": template}})).unwrap();
    }

    fn stop(&mut self) -> Vec<Report> {
        self.loads.drain(..).map(|load| load.stop().unwrap()).collect()
    }

    /// What serves on each base.
    fn answers(&self) -> Vec<String> {
        let get = |base: &Base| ureq::get(format!("http://{}{PATH}", base.gateway)).call().unwrap().body_mut().read_to_string().unwrap();
        // More than the canary would need to have its turn.
        self.bases.iter().flat_map(|base| (0..20).map(move |_| get(base))).collect()
    }

    /// Each base has one module, and that answers so.
    fn serves(&self, answer: &str) {
        assert!(self.answers().iter().all(|answered| answered == answer), "{:?}", self.answers());
        assert!(self.bases.iter().all(|base| base.api.modules().unwrap().len() == 1));
    }
}

fn package(folder: &Path, version: &str) -> std::path::PathBuf {
    folder.join(format!("misbehave-{version}.wasm"))
}

fn template(folder: &Path, version: &str, env: &[(&str, &str)]) -> Value {
    let answer = format!("work of {version}");
    let env: Vec<_> =
        env.iter().copied().chain([("ANSWER", &*answer)]).map(|(name, value)| json!({"name": name, "value": value})).collect();
    let url = format!("file://{}", package(folder, version).display());
    json!({"spec": {"module": {"name": "misbehave", "version": version, "url": url}, "env": env}})
}

/// How many requests a version answered as wanted, on all bases.
fn count(reports: &[Report], answer: &str) -> u64 {
    reports.iter().filter_map(|report| report.bodies.get(answer.as_bytes())).sum()
}

#[test]
fn a_canary_whose_figures_are_good_goes_through_its_weights_and_no_request_is_lost() {
    let mut fleet = Fleet::start(&json!({
        "canary": [{"weight": 20, "seconds": 3}, {"weight": 60, "seconds": 3}],
        "checks": {"maxErrorPercent": 1.0, "maxP99Millis": 20_000.0, "minRequests": 100},
    }));
    fleet.roll(&[]);
    let weighed = |weight: u32| {
        move |modules: &Value| modules["items"].as_array().is_some_and(|all| all.iter().any(|module| module["spec"]["weight"] == weight))
    };
    fleet.controller.wait("modules", "", weighed(20)).unwrap();
    fleet.controller.wait("modules", "", weighed(60)).unwrap();
    fleet.controller.wait_progress("misbehave", "Completed").unwrap();
    fleet.serves(ANSWERS[1]);
    let reports = fleet.stop();
    for report in &reports {
        assert_eq!((report.lost, &report.failures), (0, &Vec::new()));
    }
    assert!(count(&reports, ANSWERS[0]) > 100 && count(&reports, ANSWERS[1]) > 100);
    let steps = ["the step with 20 % of the traffic is complete", "the step with 60 % of the traffic is complete"];
    assert_eq!(fleet.controller.wait_told("CanaryStepCompleted", 2).unwrap(), steps);
}

#[test]
fn a_canary_that_answers_with_errors_is_taken_back_and_the_condition_says_the_figure() {
    let mut fleet = Fleet::start(&json!({
        "canary": [{"weight": 20, "seconds": 1}, {"weight": 60, "seconds": 1}],
        "checks": {"maxErrorPercent": 5.0, "minRequests": 20}, "autoRevert": true,
    }));
    fleet.roll(&[("STATUS", "500")]);
    let aborted = fleet.controller.wait_progress("misbehave", "Aborted").unwrap();
    let said = condition(&aborted, "Progressing");
    assert_eq!((&said["status"], &said["reason"]), (&json!("False"), &json!("RolloutAborted")), "{said}");
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("ErrorRateTooHigh: 100.00 % of ") && message.contains("at most 5 % may"), "{message}");
    assert_eq!(aborted["status"]["availableReplicas"], 3);
    fleet.serves(ANSWERS[0]);
    let reports = fleet.stop();
    // One base of three had it, and there it had a fifth.
    let hurt = reports.iter().filter(|report| report.lost > 0).collect::<Vec<_>>();
    assert_eq!(hurt.len(), 1, "{:?}", hurt.iter().map(|report| &report.failures).collect::<Vec<_>>());
    let share = hurt[0].lost as f64 / (hurt[0].lost + hurt[0].right) as f64;
    assert!(share < 0.25, "{share}");
    assert!(hurt[0].failures.iter().all(|failure| failure.contains("status 500")), "{:?}", hurt[0].failures);
    assert!(fleet.controller.told("CanaryStepCompleted").unwrap().is_empty());
}

#[test]
fn a_canary_that_is_slow_fails_the_rollout_at_its_step_until_it_is_given_up() {
    let mut fleet = Fleet::start(&json!({
        "canary": [{"weight": 20, "seconds": 1}], "checks": {"maxP99Millis": 500.0, "minRequests": 5},
    }));
    fleet.roll(&[("DELAY_MS", "1500")]);
    let failed = fleet.controller.wait_progress("misbehave", "Failed").unwrap();
    let said = condition(&failed, "Progressing");
    assert_eq!(said["reason"], "RolloutFailed", "{said}");
    let message = said["message"].as_str().unwrap();
    let figure = message.split("LatencyTooHigh: 99 of 100 answers take up to ").nth(1).and_then(|rest| rest.split(' ').next());
    let took: f64 = figure.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("{message}"));
    assert!(took > 1_000.0 && message.contains("at most 500 ms"), "{message}");
    assert_eq!(failed["status"]["updatedReplicas"], 1, "it stays where it is");
    fleet.controller.patch("moduledeployments", "misbehave", &json!({"spec": {"abort": true}})).unwrap();
    fleet.controller.wait_progress("misbehave", "Aborted").unwrap();
    fleet.serves(ANSWERS[0]);
    for report in fleet.stop() {
        assert_eq!((report.lost, &report.failures), (0, &Vec::new()));
    }
}
