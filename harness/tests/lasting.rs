//! What lies on a base's disk: whole after `kill -9` at any moment of an install, and gone once nobody uses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    time::{Duration, Instant},
};

use harness::{base::Base, samples};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Every file below `folder`, by its path inside.
fn files(folder: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                all.insert(entry.path().strip_prefix(folder).unwrap().display().to_string());
            }
        }
    }
    all
}

fn standing(base: &Base) -> Vec<String> {
    base.api.modules().unwrap().into_iter().map(|module| format!("{} {}", module.id, module.state)).collect()
}

/// Installs the second version and kills the base when it has told `last` events. Says which they were.
fn killed_after(base: &mut Base, last: usize) -> Vec<String> {
    let order = json!({"url": url(&samples::sample("hello", 2).unwrap())}).to_string();
    let request = ureq::post(format!("{}/v1/modules", base.api.url())).header("accept", "text/event-stream");
    let answer = request.content_type("application/json").send(order).unwrap();
    let mut events = Vec::new();
    for line in BufReader::new(answer.into_body().into_reader()).lines() {
        if events.len() == last {
            break;
        }
        let Ok(line) = line else { break };
        if let Some(data) = line.strip_prefix("data: ") {
            let event: serde_json::Value = serde_json::from_str(data).unwrap();
            let step = event["step"].as_str().unwrap_or_default();
            events.push(format!("{} {step}", event["event"].as_str().unwrap()).trim().to_owned());
        }
    }
    base.kill();
    events
}

#[test]
fn a_base_that_is_killed_at_any_event_of_an_install_comes_back_with_what_was_before_or_after_and_leaves_nothing() {
    let prepared = |data: &Path| {
        let base = Base::start_in(data, &[]).unwrap();
        base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
        base.settle().unwrap();
        base
    };
    // The files of an install without any harm: no other may be there after one with.
    let untouched = tempfile::tempdir().unwrap();
    let base = prepared(untouched.path());
    base.api.install_file(&samples::sample("hello", 2).unwrap()).unwrap();
    base.settle().unwrap();
    drop(base);
    let allowed = files(untouched.path());

    let (before, after) = (["hello:1.0.0 activated"], ["hello:2.0.0 activated"]);
    let mut seen = Vec::new();
    for last in 0.. {
        let data = tempfile::tempdir().unwrap();
        let mut base = prepared(data.path());
        let events = killed_after(&mut base, last);
        let whole = events.len() < last;
        let base = Base::start_in(data.path(), &[]).unwrap();
        let found = standing(&base);
        assert!(found == before || found == after, "killed after {events:?}: {found:?}");
        let served = events.iter().any(|event| event == "serving");
        assert!(!served || found == after, "it served, and was forgotten: {events:?}");
        base.settle().unwrap();
        let version = if found == after { "v2" } else { "v1" };
        let answer = ureq::get(format!("http://{}/hello/", base.gateway)).call().unwrap().body_mut().read_to_string().unwrap();
        assert_eq!(answer, format!("hello from {version}\n"));
        let left: Vec<String> = files(data.path()).difference(&allowed).cloned().collect();
        assert!(left.is_empty(), "killed after {events:?}, and left {left:?}");
        // Nothing stands in the way of the same install once more, or of the next.
        if found == before {
            base.api.install_file(&samples::sample("hello", 2).unwrap()).unwrap();
        }
        base.api.uninstall("hello", "2.0.0").unwrap().unwrap();
        seen = events;
        if whole {
            break;
        }
    }
    for event in ["begun fetch", "ended verify", "ended prepare", "ended probe", "ended activate", "serving", "retired", "done"] {
        assert!(seen.iter().any(|one| one == event), "{event} is not among {seen:?}");
    }
}

#[test]
fn a_package_that_nobody_uses_any_more_is_removed_after_its_time_with_its_code_and_no_other() {
    let data = tempfile::tempdir().unwrap();
    let mut base = Base::start_in(data.path(), &["--keep-unused", "3"]).unwrap();
    let digest = |base: &Base, name: &str| base.api.modules().unwrap().into_iter().find(|module| module.id.name() == name).unwrap().sha256;
    let packages = || files(&data.path().join("packages/sha256"));
    let soon = |what: &str, holds: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "it is not so that {what}: {:?}", files(data.path()));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let until = |wanted: &[&String]| {
        let wanted = wanted.iter().map(|sha256| (*sha256).clone()).collect::<BTreeSet<_>>();
        soon("there are the packages that are used", &|| packages() == wanted);
    };
    base.api.install_file(&samples::sample("inventory", 1).unwrap()).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    let (inventory, first) = (digest(&base, "inventory"), digest(&base, "hello"));
    until(&[&inventory, &first]);
    // Both builds of it.
    let code = |sha256: &str| files(&data.path().join("cache")).iter().filter(|file| file.ends_with(&format!("{sha256}.cwasm"))).count();
    soon("it is compiled twice", &|| code(&first) == 2);
    // Replaced by a switch.
    base.api.install_file(&samples::sample("hello", 2).unwrap()).unwrap();
    let second = digest(&base, "hello");
    until(&[&inventory, &second]);
    soon("its code is gone", &|| code(&first) == 0);
    assert_ne!(code(&inventory), 0);
    // Removed by hand.
    base.api.uninstall("hello", "2.0.0").unwrap().unwrap();
    until(&[&inventory]);
    // Uploaded and never installed.
    let bytes = std::fs::read(samples::sample("hello", 1).unwrap()).unwrap();
    assert_eq!(ureq::put(format!("{}/v1/packages", base.api.url())).send(&bytes[..]).unwrap().status(), 200);
    assert!(packages().contains(&first));
    until(&[&inventory]);
    // What is in use outlives its time by any length, and a restart.
    base.kill();
    let base = Base::start_in(data.path(), &["--keep-unused", "1"]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    base.api.uninstall("hello", "1.0.0").unwrap().unwrap();
    until(&[&inventory]);
    assert_eq!(standing(&base), ["inventory:1.0.0 activated"]);
    assert_eq!(ureq::get(format!("http://{}/inventory/items", base.gateway)).call().unwrap().status(), 200);
}
