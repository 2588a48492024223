//! Versions replaced while the machine is saturated: every body is checked, and none may be lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use ark_model::VerdictState;
use harness::{base::Base, load::Load, samples};
use serde_json::json;

const BODIES: [&str; 2] = ["hello from v1\n", "hello from v2\n"];

#[test]
fn two_hundred_switches_under_load_lose_nothing() {
    let base = Base::start(&[]).unwrap();
    let packages = [samples::sample("hello", 1).unwrap(), samples::sample("hello", 2).unwrap()];
    base.api.install_file(&packages[0]).unwrap();
    let load = Load::new(base.gateway, "/hello/", 16, &BODIES).start().unwrap();
    for round in 1..=200 {
        let installed = base.api.install_file(&packages[round % 2]).unwrap();
        assert_eq!(installed.retired.len(), 1);
        assert_eq!(installed.retired[0].verdict.cut_requests, 0);
        assert_eq!(installed.retired[0].verdict.state, VerdictState::Unloaded, "{:?}", installed.retired[0].verdict);
    }
    let report = load.stop().unwrap();
    assert_eq!((report.lost, report.failures.clone()), (0, Vec::new()));
    assert_eq!(report.bodies.len(), 2, "both versions answered");
    assert!(report.right > 1_000);
}

#[test]
fn switches_by_hand_and_reused_instances_lose_nothing_either() {
    let base = Base::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for version in [1, 2] {
        let package = folder.path().join(format!("{version}.wasm"));
        samples::remade(&samples::sample("hello", version).unwrap(), &package, |manifest| manifest.reuse = Some(1_000)).unwrap();
        let order = json!({"url": format!("file://{}", package.display()), "activation": "keep"});
        base.api.install(&order).unwrap().unwrap();
    }
    let load = Load::new(base.gateway, "/hello/", 16, &BODIES).start().unwrap();
    for round in 0..200 {
        let path = format!("/v1/modules/hello/{}.0.0/activate", 2 - round % 2);
        assert_eq!(base.api.post(&path, "").unwrap().0, 200);
    }
    let report = load.stop().unwrap();
    assert_eq!((report.lost, report.failures.clone()), (0, Vec::new()));
    assert_eq!(report.bodies.len(), 2);
}

#[test]
fn a_hundred_replacements_of_content_under_one_version_lose_nothing() {
    let base = Base::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let packages = [1, 2].map(|version| {
        let package = folder.path().join(format!("{version}.wasm"));
        samples::remade(&samples::sample("hello", version).unwrap(), &package, |manifest| manifest.version = None).unwrap();
        package
    });
    let content = |round: usize| {
        let id = json!({"name": "hello", "version": "1.0.0"});
        json!({"id": id, "url": format!("file://{}", packages[round % 2].display()), "mark": round.to_string(), "replace": true})
    };
    base.api.install(&content(0)).unwrap().unwrap();
    let load = Load::new(base.gateway, "/hello/", 16, &BODIES).start().unwrap();
    for round in 1..=100 {
        let installed = base.api.install(&content(round)).unwrap().unwrap();
        assert_eq!((installed.module.mark, installed.retired.len()), (round.to_string(), 1));
        assert_eq!(installed.retired[0].verdict.cut_requests, 0);
    }
    let report = load.stop().unwrap();
    assert_eq!((report.lost, report.failures.clone()), (0, Vec::new()));
    assert_eq!((report.bodies.len(), base.api.modules().unwrap().len()), (2, 1));
}

#[test]
fn what_was_prepared_starts_with_its_optimised_build() {
    let base = Base::start(&[]).unwrap();
    let order = json!({"url": format!("file://{}", samples::sample("render", 1).unwrap().display())});
    let prepared = base.api.prepare(&order).unwrap().unwrap();
    assert_eq!(prepared.id.name(), "render");
    assert_eq!(base.api.modules().unwrap(), [], "nothing is installed by it");
    let installed = base.api.install(&order).unwrap().unwrap();
    assert_eq!((installed.module.build.as_str(), installed.module.sha256), ("optimised", prepared.sha256));
}

#[test]
fn an_optimised_build_takes_over_without_a_lost_request() {
    let expected: harness::load::Right = std::sync::Arc::new(|body: &[u8]| body.windows(3).any(|window| window == b"day"));
    let begun = || {
        let base = Base::start(&[]).unwrap();
        let installed = base.api.install_file(&samples::sample("render", 1).unwrap()).unwrap();
        assert_eq!(installed.module.build, "baseline");
        let load = Load { target: base.gateway, path: "/render/page?title=x".to_owned(), connections: 4, right: expected.clone() };
        let load = load.start().unwrap();
        // A machine that is busy may have the build before the load.
        (base.api.modules().unwrap()[0].build == "baseline").then_some((base, load))
    };
    let (base, load) = (0..10).find_map(|_| begun()).unwrap();
    base.settle().unwrap();
    let report = load.stop().unwrap();
    assert_eq!((report.lost, report.failures), (0, Vec::new()));
}
