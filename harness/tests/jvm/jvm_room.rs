//! A base takes in what it has room for, going by what the same content took when it was here last.

use ark_model::{Reason, VerdictState, api::ErrorBody};
use harness::{
    base::Base,
    jvm::{JvmBase, sample},
};
use serde_json::{Value, json};

use crate::support::{body, install, order, remove};

fn desk(name: &str, mebibytes: u64) -> Value {
    let mut order = order(name, "1.0.0", "desk-v1");
    order["contextPath"] = json!(format!("/{name}"));
    order["args"] = json!([format!("--desk.name={name}"), format!("--desk.keeps={mebibytes}")]);
    order
}

/// An install, that is refused for want of room.
fn refused(base: &Base, order: &Value) -> ErrorBody {
    match base.api.install(order).unwrap() {
        Err(refused) => refused,
        Ok(installed) => panic!("there was room: {installed:?}\n{}", base.log()),
    }
}

/// What the command `health` says of room.
fn room(base: &Base) -> String {
    let health = base.api.command("health", &json!({})).unwrap();
    health["data"]["healthData"]["jvm"]["room for modules"].as_str().unwrap_or_else(|| panic!("{health}")).to_owned()
}

#[test]
fn what_does_not_fit_into_the_metaspace_any_more_is_refused_before_it_fills_it() {
    let base = JvmBase::start(&sample("base").unwrap(), &["share=none"], &["-Xmx512m", "-XX:MaxMetaspaceSize=160m"]).unwrap();
    assert_eq!(room(&base), "yes");
    let mut taken = Vec::new();
    let full = loop {
        let name = format!("desk{}", taken.len());
        match base.api.install(&desk(&name, 0)).unwrap() {
            Ok(_) => taken.push(name),
            Err(full) => break full.error,
        }
        assert!(taken.len() < 10, "they cannot all fit");
    };
    assert_eq!(full.reason, Reason::MetaspaceFull, "{full}");
    assert!(full.message.contains("bytes of metaspace in use and the module will take about "), "{full}");
    assert!(full.message.contains("-XX:MaxMetaspaceSize"), "{full}");
    assert!(taken.len() >= 3, "{taken:?}: {full}");
    // Nobody was harmed, and what goes makes room.
    for name in &taken {
        assert_eq!(body(&base, &format!("/{name}/version")), "v1");
    }
    assert_eq!(body(&base, "/"), "hello from shop-base\n");
    // Not all that one took comes back: the JVM's own classes have come to have more.
    for name in &taken[..2] {
        remove(&base, name, "1.0.0");
    }
    install(&base, &desk("again", 0));
    assert_eq!(body(&base, "/again/version"), "v1");
}

#[test]
fn what_a_module_kept_of_the_heap_is_known_the_next_time() {
    let base = JvmBase::start(&sample("base").unwrap(), &["share=module"], &["-Xmx400m"]).unwrap();
    // Only where it is gone at once is it known that what the heap has lost then was its.
    let weighed = (0..10).any(|_| {
        install(&base, &desk("desk", 180));
        remove(&base, "desk", "1.0.0") == VerdictState::Unloaded
    });
    assert!(weighed, "it went late each time");
    install(&base, &desk("desk", 180));
    let full = refused(&base, &desk("other", 180)).error;
    assert_eq!(full.reason, Reason::BudgetExceeded, "{full}");
    let predicted = full.message.split("will take about ").nth(1).and_then(|rest| rest.split(':').next()).unwrap_or_default();
    let predicted: u64 = predicted.parse().unwrap_or_else(|_| panic!("{full}"));
    // What it keeps, and what a small web application is besides.
    assert!((180 << 20..220 << 20).contains(&predicted), "{full}");
    // Another content is not that large.
    install(&base, &order("greet-a", "1.0.0", "greet-a"));
    for path in ["/desk/version", "/greet-a/library"] {
        body(&base, path);
    }
    remove(&base, "greet-a", "1.0.0");
    remove(&base, "desk", "1.0.0");

    // This one is larger than the last time: it is taken in, and then nobody else is.
    install(&base, &desk("desk", 335));
    base.jvm.collect_garbage().unwrap();
    assert!(room(&base).contains("bytes of heap in use: more than 90 %"), "{}", room(&base));
    let full = refused(&base, &order("greet-b", "1.0.0", "greet-b")).error;
    assert_eq!(full.reason, Reason::BudgetExceeded, "{full}");
    assert_eq!(body(&base, "/desk/version"), "v1");
    remove(&base, "desk", "1.0.0");
    assert_eq!(room(&base), "yes");
    install(&base, &order("greet-b", "1.0.0", "greet-b"));
}
