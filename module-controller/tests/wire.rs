//! What the API does where no `kubectl` looks: bounds, long lists, watches that begin with what is there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::io::{BufRead, BufReader};

use serde_json::Value;
use support::Fleet;
use ureq::{Agent, Body, http::Response};

const BASES: &str = "/apis/serverless.alipay.com/v1alpha1/namespaces/default/bases";

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).build().into()
}

fn get(fleet: &Fleet, path: &str) -> Response<Body> {
    agent().get(format!("{}{path}", fleet.address)).call().unwrap()
}

/// The events of a watch, as they come.
fn watch(fleet: &Fleet, query: &str) -> impl Iterator<Item = Value> + use<> {
    let body = get(fleet, &format!("{BASES}?watch=true&{query}")).into_body();
    BufReader::new(body.into_reader()).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

#[test]
fn a_watch_begins_with_what_is_there_and_says_where_that_ends() {
    let fleet = Fleet::open();
    fleet.join("a");
    fleet.join("b");
    let mut events = watch(&fleet, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true");
    let mut next = || events.next().unwrap();
    assert_eq!((next()["type"].clone(), next()["type"].clone()), ("ADDED".into(), "ADDED".into()));
    let bookmark = next();
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    fleet.join("c");
    let event = next();
    assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&"ADDED".into(), &"c".into()));
}

#[test]
fn a_watch_ends_when_it_was_asked_to_and_says_how_far_it_came() {
    let fleet = Fleet::open();
    fleet.join("a");
    let events: Vec<Value> = watch(&fleet, "resourceVersion=2&allowWatchBookmarks=true&timeoutSeconds=1").collect();
    assert_eq!(
        (events.len(), &events[0]["type"], &events[0]["object"]["metadata"]["resourceVersion"]),
        (1, &"BOOKMARK".into(), &"2".into())
    );
}

#[test]
fn who_selects_sees_what_comes_and_goes_by_it() {
    let fleet = Fleet::open();
    fleet.join("a");
    let mut events = watch(&fleet, "labelSelector=zone%3Dx");
    fleet.done(&["label", "bs", "a", "zone=x"]);
    assert_eq!(events.next().unwrap()["type"], "ADDED");
    fleet.done(&["label", "bs", "a", "zone=y", "--overwrite"]);
    assert_eq!(events.next().unwrap()["type"], "DELETED");
}

#[test]
fn a_watch_from_what_is_not_known_has_to_list_again() {
    let fleet = Fleet::open();
    let event = watch(&fleet, "resourceVersion=999999").next().unwrap();
    assert_eq!((&event["type"], &event["object"]["code"], &event["object"]["reason"]), (&"ERROR".into(), &410.into(), &"Expired".into()));
}

#[test]
fn at_its_bounds_it_refuses_and_says_so() {
    let fleet = Fleet::with("", |settings| module_controller::api::Settings { watches: 1, body_bytes: 1_000, ..settings });
    fleet.join("a");
    let mut first = watch(&fleet, "");
    assert_eq!(first.next().unwrap()["type"], "ADDED");
    let second = get(&fleet, &format!("{BASES}?watch=true"));
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (429, "5"));
    let large =
        agent().post(format!("{}{BASES}", fleet.address)).content_type("application/json").send("x".repeat(1_001).as_bytes()).unwrap();
    assert_eq!(large.status().as_u16(), 413);
}

#[test]
fn a_long_list_is_packed_for_who_can_unpack_it() {
    let fleet = Fleet::open();
    for number in 0..400 {
        fleet.join(&format!("base-{number}"));
    }
    let ask = |encoding: &str| agent().get(format!("{}{BASES}", fleet.address)).header("accept-encoding", encoding).call().unwrap();
    assert_eq!(ask("gzip").headers()["content-encoding"], "gzip");
    assert!(!ask("identity").headers().contains_key("content-encoding"));
}

#[test]
fn what_is_there_is_said_to_everybody_and_what_is_measured_to_who_may_look() {
    let fleet = Fleet::with("root,admin,root\njoin,base,bases\n", |settings| settings);
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(get(&fleet, path).status().as_u16(), 200);
    }
    let shop = r#"{"apiVersion":"serverless.alipay.com/v1alpha1","kind":"ModuleDeployment","metadata":{"name":"shop"},"spec":{"baseDeploymentName":"default","template":{"spec":{"module":{"name":"shop","version":"1.0.0","url":"http://packages/shop.wasm"}}}}}"#;
    let path = BASES.replace("bases", "moduledeployments");
    let made =
        agent().post(format!("{}{path}", fleet.address)).header("authorization", "Bearer root").content_type("application/json").send(shop);
    assert_eq!(made.unwrap().status().as_u16(), 201);
    let as_token = |path: &str, token: &str| {
        agent().get(format!("{}{path}", fleet.address)).header("authorization", format!("Bearer {token}")).call().unwrap()
    };
    assert_eq!(get(&fleet, "/metrics").status().as_u16(), 401);
    assert_eq!(as_token("/metrics", "join").status().as_u16(), 403);
    assert_eq!(as_token(BASES, "join").status().as_u16(), 403);
    let text = as_token("/metrics", "root").into_body().read_to_string().unwrap();
    assert!(text.contains(r#"fleet_api_requests_total{verb="create",resource="moduledeployments",code="201"} 1"#), "{text}");
}
