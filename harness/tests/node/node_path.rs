//! The whole path: installed, isolated, served, replaced under load, removed, and back after a restart.

use std::{net::TcpListener, time::Duration};

use ark_model::VerdictState;
use harness::{base::Base, load::Load, node};
use serde_json::{Value, json};

use crate::support::{body, children, dialled, eventually, get, install, is_alive, log, nothing_was_lost, order, order_in, report};

#[test]
fn a_base_of_node_joins_a_controller_like_every_other() {
    let controller = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/fleet", controller.local_addr().unwrap());
    let base = node::base(&["--controller", &url, "--base-name", "node-1", "--base-deployment", "web", "--base-labels", "a=b"]).unwrap();
    let head = dialled(&controller);
    assert!(head.starts_with("get /fleet/tunnel http/1.1") && head.contains("ark-base: node-1"), "{head}");
    let report = report(&base);
    assert_eq!((report.identity.as_str(), report.deployment.as_str()), ("node-1", "web"));
    assert_eq!((report.kinds, report.labels), (vec!["node".to_owned()], [("a".to_owned(), "b".to_owned())].into()));
}

#[test]
fn other_content_under_the_same_version_takes_over_without_a_lost_request() {
    let base = node::base(&[]).unwrap();
    let content = |mark: &str| {
        let mut order = order("hello", "1.0.0");
        (order["mark"], order["replace"]) = (json!(mark), json!(true));
        order["grants"] = json!({"env": {"MARK": mark}});
        order
    };
    install(&base, &content("0"));
    let load = Load::new(base.gateway, "/hello/x", 8, &["hello, /x\n"]).start().unwrap();
    for mark in 1..=5 {
        let installed = base.api.install(&content(&mark.to_string())).unwrap().unwrap();
        assert_eq!((installed.module.mark, installed.retired[0].verdict.cut_requests), (mark.to_string(), 0));
    }
    let load = load.stop().unwrap();
    assert_eq!((load.lost, load.failures), (0, Vec::new()), "{}", base.log());
}

#[test]
fn ordinary_applications_are_installed_isolated_served_and_removed() {
    for isolation in ["process", "worker"] {
        ordinary_applications(&node::base(&["--isolation", isolation]).unwrap());
    }
}

fn ordinary_applications(base: &Base) {
    let mut shop = order("shop", "1.0.0");
    shop["args"] = json!(["--deal"]);
    shop["grants"] = json!({"env": {"GREETING": "hi"}});
    for order in [shop, order("hello", "1.0.0"), order("menu", "1.0.0"), order("fetch", "1.0.0")] {
        install(base, &order);
    }
    assert_eq!(body(base, "/hello/a/b"), "hello, /a/b\n");
    assert_eq!(body(base, "/menu/version"), "v1.0.0");
    assert!(body(base, "/menu/").contains("soup"));
    assert!(body(base, "/shop/items").contains("TEA-1"));

    let place: Value = serde_json::from_str(&body(base, "/shop/where")).unwrap();
    assert_eq!((&place["argv"], &place["greeting"], &place["prefix"]), (&json!(["--deal"]), &json!("hi"), &json!("/shop")), "{place}");
    assert_eq!(place["main"], true, "it runs as `node app.js` would: {place}");
    let environment = place["env"].as_array().unwrap();
    // It can tell that there is a base, and nothing of how.
    let of_others = |name: &Value| name == "CARGO" || (name.as_str().unwrap().contains("NODEJSLET") && name != "NODEJSLET_BASE");
    assert!(!environment.iter().any(of_others), "{place}");
    let cwd = place["cwd"].as_str().unwrap();
    assert!(std::path::Path::new(cwd).join("app.js").is_file(), "{cwd}");

    // Bodies stream through, in both directions.
    let large = "x".repeat(3 << 20);
    let url = |path: &str| format!("http://{}{path}", base.gateway);
    let mut echoed = ureq::post(url("/hello/echo")).send(&large).unwrap();
    assert_eq!(echoed.body_mut().read_to_string().unwrap().len(), large.len());
    let made = ureq::post(url("/shop/items")).content_type("application/json").send(r#"{"sku": "CUP-1", "title": "Cup"}"#).unwrap();
    assert_eq!((made.status().as_u16(), made.headers()["location"].to_str().unwrap()), (201, "/shop/items/CUP-1"));
    let mut handled = ureq::post(url("/fetch/x?y")).send("body").unwrap();
    assert_eq!(handled.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(handled.body_mut().read_to_string().unwrap(), "POST /x body");

    assert!(log(base, "shop", "1.0.0").contains("the shop is open"));
    let retired = base.api.uninstall("hello", "1.0.0").unwrap().unwrap();
    assert_eq!(retired.verdict.state, VerdictState::Unloaded, "{retired:?}");
    assert_eq!(get(base, "/hello/").0, 404);
    assert_eq!(body(base, "/menu/version"), "v1.0.0");
}

#[test]
fn no_request_is_lost_in_replacements_under_load() {
    let base = node::base(&[]).unwrap();
    install(&base, &order("shop", "1.0.0"));
    let load = Load::new(base.gateway, "/shop/version", 8, &["v1.0.0", "v2.0.0"]).start().unwrap();
    for round in 1..=10 {
        // From one isolation to the other, too.
        let isolation = if round % 4 < 2 { "process" } else { "worker" };
        let installed = base.api.install(&order_in(isolation, "shop", &format!("{}.0.0", 1 + round % 2))).unwrap().unwrap();
        assert_eq!(installed.retired[0].verdict.cut_requests, 0);
    }
    let report = load.stop().unwrap();
    nothing_was_lost(&base, &report);
}

#[test]
fn the_bases_own_application_answers_beside_the_modules() {
    let app = harness::root().join("examples/node/hello/server.js");
    let base = node::base(&[app.to_str().unwrap()]).unwrap();
    assert_eq!(body(&base, "/version"), "v1.0.0");
    install(&base, &order("menu", "1.0.0"));
    assert_eq!(body(&base, "/menu/version"), "v1.0.0");
    assert_eq!(body(&base, "/anything"), "hello, /anything\n");
    base.api.uninstall("menu", "1.0.0").unwrap().unwrap();
    assert_eq!(body(&base, "/menu/version"), "hello, /menu/version\n");
}

#[test]
fn modules_come_back_with_the_base_and_none_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut base = node::base_in(folder.path(), &[]).unwrap();
    install(&base, &order("hello", "1.0.0"));
    install(&base, &order_in("worker", "menu", "1.0.0"));
    // Also those that hear nothing any more: their event loops stand still.
    for isolation in ["process", "worker"] {
        let mut order = order_in(isolation, "misbehave", "1.0.0");
        order["limits"] = json!({"request-deadline-ms": 60_000});
        order["id"] = json!({"name": format!("loops-{isolation}"), "version": "1"});
        install(&base, &order);
        let path = format!("/loops-{isolation}");
        assert_eq!(body(&base, &format!("{path}/ok")), "ok");
        assert!(!answers(&base, &format!("{path}/loop")) && !answers(&base, &format!("{path}/ok")));
    }
    let supervised = children(base.pid());
    assert!(supervised.len() >= 3, "{supervised:?}");
    base.kill();
    drop(base);
    eventually("its processes have ended", || supervised.iter().all(|pid| !is_alive(*pid)).then_some(()));
    let base = node::base_in(folder.path(), &[]).unwrap();
    assert_eq!(body(&base, "/hello/version"), "v1.0.0");
    let supervised = children(base.pid());
    let retired = base.api.uninstall("hello", "1.0.0").unwrap().unwrap();
    assert_eq!(retired.verdict.state, VerdictState::Unloaded);
    assert!(supervised.iter().any(|pid| !is_alive(*pid)), "a module's process is gone when it is said to be");
}

/// Whether there is an answer within a second.
fn answers(base: &Base, path: &str) -> bool {
    let asked = ureq::get(format!("http://{}{path}", base.gateway)).config().timeout_global(Some(Duration::from_secs(1))).build();
    asked.call().is_ok()
}
