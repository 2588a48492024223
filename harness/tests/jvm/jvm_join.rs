//! Modules that join the base's Tomcat, and modules of SOFAArk that take their libraries from the base.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use ark_model::Reason;
use harness::{
    jvm::{Jdk, JvmBase, sample},
    load::Load,
};
use serde_json::{Value, json};

use crate::support::{base, body, eventually, get, get_at, install, json_of, nothing_was_lost, order, remove, texts, url};

fn joining(name: &str, version: &str, jar: &str) -> Value {
    let mut order = order(name, version, jar);
    order["options"] = json!({"web": "join"});
    order
}

/// The package of `stock` without the libraries that a base of its generation has.
fn slim() -> Value {
    let whole: PathBuf = sample("stock-biz").unwrap();
    json!({"url": url(&whole.with_file_name("stock-biz-slim-ark-biz.jar"))})
}

/// A note of a closer look, e.g. `web server`.
fn note(base: &JvmBase, name: &str, version: &str, note: &str) -> String {
    let (status, text) = base.api.get(&format!("/v1/modules/{name}/{version}")).unwrap();
    assert_eq!(status, 200, "{text}");
    let module: Value = serde_json::from_str(&text).unwrap();
    module["inspection"]["notes"][note].as_str().unwrap_or_else(|| panic!("there is no {note:?} in {text}")).to_owned()
}

/// Where a class comes from, in words.
fn why(base: &JvmBase, module: &str, class: &str) -> String {
    base.api.get(&format!("/v1/modules/{module}/1.0.0/why?class={class}")).unwrap().1
}

fn at(address: SocketAddr, path: &str) -> String {
    let (status, body) = get_at(address, path);
    assert_eq!(status, 200, "{path}: {body}");
    body
}

#[test]
fn a_module_that_joins_has_no_server_and_answers_at_the_gateway_and_at_the_bases_own_port() {
    let base = base();
    let own = base.web.unwrap();
    // Each server has a thread that takes connections.
    let servers = || base.jvm.jcmd(&["Thread.print"]).unwrap().matches("-Acceptor\"").count();
    assert_eq!(servers(), 1);
    install(&base, &joining("catalog", "1.0.0", "catalog-v1"));
    for address in [base.gateway, own] {
        assert_eq!(at(address, "/catalog/version"), "v1");
        assert_eq!(get_at(address, "/catalog/items/none").0, 404);
        assert_eq!(get_at(address, "/catalog/old").0, 302);
        assert!(at(address, "/catalog/index.html").contains("Catalog v1"));
        assert!(at(address, "/catalog/actuator/health").contains("UP"));
        assert_eq!(at(address, "/"), "hello from shop-base\n");
    }
    assert!(note(&base, "catalog", "1.0.0", "web server").contains("joined"));
    assert_eq!(json_of(&base, "/catalog/where")["foreignSettingsSeen"], false);
    assert_eq!(servers(), 1);

    let container = why(&base, "catalog", "org.apache.catalina.core.StandardContext");
    assert!(container.contains("of the base, whose servlet container the module joins"), "{container}");

    remove(&base, "catalog", "1.0.0");
    for address in [base.gateway, own] {
        assert_eq!(get_at(address, "/catalog/version").0, 404);
        assert_eq!(at(address, "/"), "hello from shop-base\n");
    }
}

#[test]
fn no_request_is_lost_at_either_port_while_joined_versions_are_replaced() {
    let base = base();
    install(&base, &joining("catalog", "1.0.0", "catalog-v1"));
    let loads: Vec<_> = [base.gateway, base.web.unwrap()]
        .into_iter()
        .map(|address| Load::new(address, "/catalog/version", 4, &["v1", "v2"]).start().unwrap())
        .collect();
    for round in 1..=10 {
        let version = 1 + round % 2;
        let order = joining("catalog", &format!("{version}.0.0"), &format!("catalog-v{version}"));
        let installed = base.api.install(&order).unwrap().unwrap();
        assert_eq!(installed.retired[0].verdict.cut_requests, 0);
    }
    for load in loads {
        let report = load.stop().unwrap();
        nothing_was_lost(&base, &report);
    }
}

#[test]
fn the_bases_own_port_answers_with_the_version_that_the_gateway_was_given() {
    let base = base();
    let own = base.web.unwrap();
    install(&base, &joining("catalog", "1.0.0", "catalog-v1"));
    let mut beside = joining("catalog", "2.0.0", "catalog-v2");
    beside["activation"] = json!("keep");
    install(&base, &beside);
    let both_say = |answer: &str| {
        eventually(&format!("both ports answer {answer}"), || (at(own, "/catalog/version") == answer).then_some(()));
        assert_eq!(body(&base, "/catalog/version"), answer);
    };
    both_say("v1");
    for (version, answer) in [("2.0.0", "v2"), ("1.0.0", "v1"), ("2.0.0", "v2")] {
        let (status, said) = base.api.post(&format!("/v1/modules/catalog/{version}/activate"), "").unwrap();
        assert_eq!(status, 200, "{said}");
        both_say(answer);
    }
    // Nobody but the gateway can choose.
    let mut answer = ureq::get(format!("http://{own}/catalog/version")).header("ark-instance", "1").call().unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "v2");
    remove(&base, "catalog", "2.0.0");
    assert_eq!(get_at(own, "/catalog/version").0, 404, "a version that nobody activated answers nobody");
}

#[test]
fn requests_at_the_bases_own_port_are_waited_for() {
    let base = base();
    let own = base.web.unwrap();
    install(&base, &joining("catalog", "1.0.0", "catalog-v1"));
    let asking = Arc::new(AtomicBool::new(true));
    let asked: Vec<_> = (0..4)
        .map(|_| {
            let asking = Arc::clone(&asking);
            // Again and again: whoever looks for them may take longer than one of them does.
            thread::spawn(move || {
                let mut answers = Vec::new();
                while asking.load(Ordering::Relaxed) {
                    answers.push(get_at(own, "/catalog/slow?ms=3000"));
                }
                answers
            })
        })
        .collect();
    // Those who take their time are inside.
    eventually("they are inside", || {
        let stacks = base.jvm.jcmd(&["Thread.print"]).unwrap();
        (stacks.matches("Controller.slow").count() >= 4).then_some(())
    });
    install(&base, &joining("catalog", "2.0.0", "catalog-v2"));
    assert_eq!(at(own, "/catalog/version"), "v2");
    asking.store(false, Ordering::Relaxed);
    for (status, body) in asked.into_iter().flat_map(|one| one.join().unwrap()) {
        assert_eq!(status, 200, "{body}");
    }
}

#[test]
fn a_module_that_cannot_join_is_refused_or_has_a_server_of_its_own_and_says_why() {
    let base = JvmBase::start(&sample("base").unwrap(), &["web=auto"], &["-Xmx768m"]).unwrap();
    for (jar, path, why) in [
        ("old-module", "/old-module/version", "tomcat-embed-core-9"),
        ("new-module", "/new-module/version", "tomcat-embed-core-11"),
        ("quotes", "/quotes/version", "it has no Tomcat"),
    ] {
        let refused = base.api.install(&joining(jar, "1.0.0", jar)).unwrap().unwrap_err().error;
        assert_eq!(refused.reason, Reason::ImportUnknown, "{}", refused.message);
        assert!(refused.message.contains(why) && refused.message.contains("web=own"), "{}", refused.message);
        install(&base, &order(jar, "2.0.0", jar));
        body(&base, path);
        let told = note(&base, jar, "2.0.0", "web server");
        assert!(told.contains(why) && told.contains("of its own"), "{told}");
    }
}

#[test]
fn a_module_joins_a_base_of_its_own_generation() {
    for (host, jar, answer) in [("old-base", "old-module", "v1 on Spring Boot 2.7"), ("new-base", "new-module", "v1 on Spring Boot 4")] {
        let base = JvmBase::start(&sample(host).unwrap(), &[], &["-Xmx512m"]).unwrap();
        install(&base, &joining(jar, "1.0.0", jar));
        for address in [base.gateway, base.web.unwrap()] {
            let said = at(address, &format!("/{jar}/version"));
            assert!(said.starts_with(answer), "{said}");
        }
        remove(&base, jar, "1.0.0");
    }
}

#[test]
fn a_joined_module_comes_back_with_the_base() {
    let folder = tempfile::tempdir().unwrap();
    let (jdk, jar) = (Jdk::current().unwrap(), sample("base").unwrap());
    let start = || JvmBase::start_in(folder.path(), &jdk, &jar, &[], &["-Xmx512m"]).unwrap();
    let mut base = start();
    install(&base, &joining("catalog", "1.0.0", "catalog-v1"));
    base.kill();
    drop(base);
    let base = start();
    for address in [base.gateway, base.web.unwrap()] {
        eventually("it answers again", || (get_at(address, "/catalog/version") == (200, "v1".to_owned())).then_some(()));
    }
}

#[test]
fn an_ark_biz_without_libraries_has_those_of_the_base_that_it_declares() {
    let base = base();
    for (web, joins) in [("own", false), ("join", true)] {
        let mut order = slim();
        order["options"] = json!({ "web": web });
        install(&base, &{
            let mut named = order.clone();
            named["id"] = json!({"name": "stock", "version": "1.0.0"});
            named
        });
        assert_eq!(body(&base, "/stock/version"), "v1");
        assert!(body(&base, "/stock/items").contains("CUP-1"));
        assert_eq!(get_at(base.web.unwrap(), "/stock/version").0, if joins { 200 } else { 404 });
        assert_eq!(note(&base, "stock", "1.0.0", "web server").contains("joined"), joins);

        let (declared, other) = ("org.springframework.boot.SpringApplication", "org.springframework.boot.actuate.health.Health");
        assert!(why(&base, "stock", declared).contains("declared-libraries list the jar"));
        assert!(why(&base, "stock", other).contains("declared-libraries do not list the jar"));
        // What it logs goes to its own log, by the base's logging, which is as it was.
        assert!(texts(&base, "stock", "1.0.0").iter().any(|line| line.contains("Started StockApplication")));
        remove(&base, "stock", "1.0.0");
        assert_eq!(get(&base, "/stock/version").0, 404);
    }
    let said = base.own_log().unwrap();
    assert!(!said.contains("Stock"), "{said}");
    assert_eq!(body(&base, "/"), "hello from shop-base\n");
}
