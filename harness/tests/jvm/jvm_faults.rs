//! What can be wrong with an application: each has a clear error, and neighbours and base are as they were.

use std::{net::TcpListener, path::PathBuf};

use ark_model::{Reason, State};
use harness::jvm::{JvmBase, sample};
use serde_json::{Value, json};

use crate::support::{archive, body, compiled, eventually, get, install, order, plain_jar, remove, state, texts, url};

/// A base with a neighbour on it.
struct House {
    base: JvmBase,
    folder: tempfile::TempDir,
}

impl House {
    fn new(jvm: &[&str]) -> Self {
        let base = JvmBase::start(&sample("base").unwrap(), &[], jvm).unwrap();
        install(&base, &order("stock", "1.0.0", "stock-biz"));
        let house = Self { base, folder: tempfile::tempdir().unwrap() };
        house.all_is_well();
        house
    }

    fn all_is_well(&self) {
        assert_eq!(body(&self.base, "/stock/version"), "v1");
        assert_eq!(body(&self.base, "/"), "hello from shop-base\n");
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("fault.jar");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Orders what cannot come about; says the reason and the message, which is one line of words for people.
    fn refused(&self, order: &Value) -> (Reason, String) {
        let error = self.base.api.install(order).unwrap().expect_err("it was installed").error;
        assert!(error.message.lines().count() == 1 && error.message.len() < 1_500, "{}", error.message);
        assert!(error.message.chars().next().is_some_and(|first| !first.is_uppercase()), "{}", error.message);
        self.all_is_well();
        (error.reason, error.message)
    }

    fn refused_jar(&self, jar: &[u8]) -> (Reason, String) {
        let path = self.write(jar);
        self.refused(&json!({"id": {"name": "fault", "version": "1.0.0"}, "url": url(&path)}))
    }

    /// What has no class `App` that runs.
    fn refused_app(&self, class: &[u8]) -> (Reason, String) {
        let path = plain_jar(self.folder.path(), class);
        self.refused(&json!({"id": {"name": "fault", "version": "1.0.0"}, "url": url(&path)}))
    }

    fn compiled(&self, code: &str) -> Vec<u8> {
        compiled(self.folder.path(), code)
    }
}

fn misbehave(fault: &str) -> Value {
    let mut order = order("misbehave", "1.0.0", "misbehave");
    order["args"] = json!([format!("--misbehave={fault}")]);
    order
}

/// A deflated entry of a hundred bytes that declares 300 MB.
fn bomb() -> Vec<u8> {
    let mut bytes = archive(&[("bomb.txt", &[0; 100])]);
    let central = bytes.windows(4).position(|window| window == 0x0201_4b50_u32.to_le_bytes()).unwrap();
    for (method, size) in [(8, 22), (central + 10, central + 24)] {
        bytes[method..method + 2].copy_from_slice(&8_u16.to_le_bytes());
        bytes[size..size + 4].copy_from_slice(&300_000_000_u32.to_le_bytes());
    }
    bytes
}

#[test]
fn a_package_that_is_no_sound_jar_is_refused_and_says_what_is_wrong() {
    let house = House::new(&["-Xmx512m"]);
    let whole = std::fs::read(sample("misbehave").unwrap()).unwrap();
    let mut damaged = whole.clone();
    let middle = whole.len() / 2;
    damaged[whole.len() - 200..].fill(0xff);
    for (jar, words) in [
        (whole[..middle].to_vec(), "its end is missing"),
        (damaged, "its end is missing"),
        (bomb(), "a zip bomb"),
        (archive(&[("../../etc/cron.d/job", b"x")]), "unsafe name"),
        (archive(&[("App.class", b"a"), ("App.class", b"b")]), "two entries named \"App.class\""),
        (archive(&[("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n\n"), ("App.class", b"a")]), "Main-Class"),
        (archive(&[("App.class", b"a")]), "META-INF/MANIFEST.MF"),
    ] {
        let (reason, message) = house.refused_jar(&jar);
        assert_eq!(reason, Reason::PackageInvalid, "{message}");
        assert!(message.contains(words), "{words} is not in {message}");
    }

    // Sound, and not to be run.
    let mut future = house.compiled("public static void main(String[] arguments) { }");
    future[7] = 99;
    let (reason, message) = house.refused_app(&future);
    assert_eq!(reason, Reason::PackageInvalid, "{message}");
    assert!(message.contains("Java 55"), "{message}");
    let (reason, message) = house.refused_app(&house.compiled("static int none;"));
    assert_eq!(reason, Reason::StartFailed);
    assert!(message.contains("has no method main(String[])"), "{message}");
    let (reason, message) = house.refused_app(b"no class at all");
    assert_eq!(reason, Reason::PackageInvalid);
    assert!(message.contains("does not begin like a class file"), "{message}");
    let throws =
        house.compiled("public static void main(String[] a) { throw new Error(\"outer\", new RuntimeException(\"the root of it\")); }");
    let (reason, message) = house.refused_app(&throws);
    assert_eq!(reason, Reason::StartFailed);
    assert!(message.contains("the root of it"), "{message}");
    assert_eq!(state(&house.base, "fault", "1.0.0"), Some(State::Broken));

    // A plain program without Spring is a module too.
    let plain = house.compiled("public static void main(String[] a) { System.out.println(\"plain, \" + System.getProperty(\"given\")); }");
    let path = plain_jar(house.folder.path(), &plain);
    install(&house.base, &json!({"id": {"name": "plain", "version": "1.0.0"}, "url": url(&path), "grants": {"config": {"given": "set"}}}));
    assert_eq!(texts(&house.base, "plain", "1.0.0"), ["plain, set"]);
    assert!(!house.base.own_log().unwrap().contains("plain"));
    remove(&house.base, "plain", "1.0.0");
}

#[test]
fn an_application_that_does_not_start_leaves_the_one_that_serves() {
    let house = House::new(&["-Xmx512m"]);
    install(&house.base, &misbehave("none"));
    let mut next = misbehave("throw");
    next["id"]["version"] = json!("2.0.0");
    let (reason, message) = house.refused(&next);
    assert_eq!(reason, Reason::StartFailed);
    assert!(message.contains("password authentication failed for user \"shop\""), "{message}");
    assert!(!message.contains("\tat "), "{message}");
    // The whole of it is in its log.
    assert!(
        texts(&house.base, "misbehave", "2.0.0")
            .iter()
            .any(|line| line.contains("Caused by: java.io.IOException: no connection to the till"))
    );

    for (fault, words) in [("exit", "status 3"), ("halt", "status 4")] {
        next["args"] = json!([format!("--misbehave={fault}")]);
        let (reason, message) = house.refused(&next);
        assert_eq!(reason, Reason::StartFailed, "{message}");
        assert!(message.contains("end of the process") && message.contains(words), "{message}");
    }

    next["args"] = json!(["--misbehave=hang"]);
    next["limits"] = json!({"start-deadline-ms": 6_000});
    let (reason, message) = house.refused(&next);
    assert_eq!(reason, Reason::StartTimedOut, "{message}");
    eventually("the start that hangs is ended", || {
        (!house.base.jvm.jcmd(&["Thread.print"]).unwrap().contains("misbehave:2.0.0")).then_some(())
    });

    // A port that is fixed in the code and taken. Whoever else has it now keeps it taken just as well.
    let _taken = TcpListener::bind("127.0.0.1:17171");
    let mut fixed = misbehave("fixed-port");
    fixed["id"]["version"] = json!("3.0.0");
    let (reason, message) = house.refused(&fixed);
    assert_eq!(reason, Reason::StartFailed, "{message}");
    assert!(message.contains("Address already in use") && message.contains("port 17171"), "{message}");

    // Another module's place.
    let mut squatter = order("squatter", "1.0.0", "misbehave");
    squatter["contextPath"] = json!("/stock");
    let (reason, message) = house.refused(&squatter);
    assert_eq!(reason, Reason::ContextPathTaken, "{message}");
    assert!(message.contains("stock"), "{message}");
    assert_eq!(body(&house.base, "/misbehave/ok"), "ok");
    assert_eq!(state(&house.base, "misbehave", "1.0.0"), Some(State::Activated));
}

#[test]
fn threads_that_never_end_are_named_and_an_operation_at_a_time_has_a_name() {
    let house = House::new(&["-Xmx512m"]);
    install(&house.base, &misbehave("threads"));
    let retired = house.base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    let held: Vec<&str> = retired.verdict.held.iter().map(|held| held.what.as_str()).collect();
    for number in 1..=3 {
        assert!(held.iter().any(|what| what.contains(&format!("stubborn-{number}")) && what.contains("sleepForEver")), "{held:?}");
    }
    house.all_is_well();

    // While the old one drains, its name is not free.
    install(&house.base, &order("catalog", "1.0.0", "catalog-v1"));
    let gateway = house.base.gateway;
    let slow = std::thread::spawn(move || crate::support::get_at(gateway, "/catalog/slow?ms=10000"));
    eventually("the request is there", || {
        let modules = house.base.api.modules().unwrap();
        modules.iter().any(|module| module.id.name() == "catalog" && module.traffic.in_flight > 0).then_some(())
    });
    let api = house.base.api.clone();
    let removal = std::thread::spawn(move || api.uninstall("catalog", "1.0.0").unwrap());
    eventually("it drains", || (state(&house.base, "catalog", "1.0.0") != Some(State::Activated)).then_some(()));
    let (reason, message) = house.refused(&order("catalog", "2.0.0", "catalog-v2"));
    assert_eq!(reason, Reason::Conflict, "{message}");
    assert!(message.contains("catalog"), "{message}");
    assert_eq!(slow.join().unwrap(), (200, "v1".to_owned()));
    removal.join().unwrap().unwrap();
    install(&house.base, &order("catalog", "2.0.0", "catalog-v2"));
    assert_eq!(body(&house.base, "/catalog/version"), "v2");
}

#[test]
fn a_base_whose_heap_a_module_has_filled_answers_and_is_rid_of_it() {
    let house = House::new(&["-Xmx200m"]);
    install(&house.base, &misbehave("oom"));
    let (status, said) = get(&house.base, "/misbehave/oom");
    assert_eq!(status, 500, "{said}");
    // The memory stays taken.
    let full = house.base.jvm.usage().unwrap().heap;
    assert!(full > 120 << 20, "{full}");
    assert_eq!(state(&house.base, "misbehave", "1.0.0"), Some(State::Activated));
    assert_eq!(house.base.api.get_status("/readyz").unwrap(), 200);
    remove(&house.base, "misbehave", "1.0.0");
    house.all_is_well();
    install(&house.base, &misbehave("none"));
    assert_eq!(body(&house.base, "/misbehave/ok"), "ok");
}
