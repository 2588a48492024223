//! What a process has one of, and modules use side by side: MBeans, JDBC drivers, logging, caches of bundles and of beans.

use std::collections::BTreeSet;

use harness::{
    base::Base,
    jvm::{JvmBase, sample},
};
use serde_json::{Value, json};

use crate::support::{body, eventually, install, json_of, order, remove, texts};

const LOADER: &str = "ark.jvm.ModuleLoader";
/// What `DriverManager` keeps of each registered driver.
const DRIVER: &str = "java.sql.DriverInfo";

fn base(agent: &[&str]) -> JvmBase {
    JvmBase::start(&sample("base").unwrap(), agent, &["-Xmx512m", "-Duser.language=en", "-Dspring.jmx.enabled=true"]).unwrap()
}

/// An order for a desk that answers at `/NAME`, beside others of its name.
fn desk(name: &str, version: &str, jar: &str, config: &Value) -> Value {
    let mut order = order(name, version, jar);
    order["contextPath"] = json!(format!("/{name}"));
    order["activation"] = json!("keep");
    order["args"] = json!([format!("--desk.name={name}-{version}")]);
    order["grants"] = json!({"config": config});
    order
}

fn activate(base: &Base, name: &str, version: &str) {
    let (status, body) = base.api.post(&format!("/v1/modules/{name}/{version}/activate"), "").unwrap();
    assert_eq!(status, 200, "{body}");
}

fn install_and_activate(base: &Base, order: &Value) {
    install(base, order);
    activate(base, order["id"]["name"].as_str().unwrap(), order["id"]["version"].as_str().unwrap());
}

fn list(base: &Base, path: &str) -> Vec<String> {
    serde_json::from_value(json_of(base, path)).unwrap()
}

/// Waits until so many objects of a class are left.
fn wait_for(base: &JvmBase, class: &str, wanted: u64) {
    eventually(&format!("{wanted} of {class} are left"), || (base.jvm.instances(class).unwrap() == wanted).then_some(()));
}

#[test]
fn mbeans_of_modules_and_versions_do_not_clash_and_go_with_them() {
    let base = base(&["share=module", "keep=3600"]);
    // The one that looks has no MBeans that Spring exports.
    install_and_activate(&base, &desk("watch", "1.0.0", "desk-v1", &json!({"spring.jmx.enabled": "false"})));
    let now = || list(&base, "/watch/mbeans").into_iter().collect::<BTreeSet<String>>();
    let without = now();
    assert!(without.iter().any(|name| name.starts_with("org.springframework.boot:")), "the base has its own: {without:?}");
    let came = [("desk", "1.0.0", "desk-v1"), ("desk", "2.0.0", "desk-v2"), ("other", "1.0.0", "desk-v1")].map(|(name, version, jar)| {
        let before = now();
        install_and_activate(&base, &desk(name, version, jar, &json!({})));
        let came: BTreeSet<String> = now().difference(&before).cloned().collect();
        for of in ["Till", "Drawer", "Stamp", "Wrapped"] {
            assert!(came.iter().any(|name| name.contains(&format!("type={of}"))), "{of}: {came:?}");
        }
        // The context path of its web server may be there too, but nothing of others went for it.
        assert!(before.is_subset(&now()), "{before:?}");
        came
    });
    let all = now();
    remove(&base, "desk", "1.0.0");
    assert_eq!(now(), all.difference(&came[0]).cloned().collect());
    remove(&base, "desk", "2.0.0");
    remove(&base, "other", "1.0.0");
    assert_eq!(now(), without);
    remove(&base, "watch", "1.0.0");
    assert_eq!(body(&base, "/"), "hello from shop-base\n");
}

#[test]
fn a_module_finds_the_drivers_of_its_own_jars_and_no_others() {
    for share in ["share=none", "share=module"] {
        let base = base(&[share, "keep=1"]);
        // It registers one, and forgets it.
        let mut misbehave = order("misbehave", "1.0.0", "misbehave");
        misbehave["args"] = json!(["--misbehave=timers"]);
        install(&base, &misbehave);
        for name in ["desk", "other"] {
            install_and_activate(&base, &desk(name, "1.0.0", "desk-v1", &json!({})));
        }
        let drivers = ["desk", "other"].map(|name| list(&base, &format!("/{name}/drivers")));
        for drivers in &drivers {
            assert!(drivers.len() == 1 && drivers[0].starts_with("org.h2.Driver of "), "{drivers:?}");
        }
        assert_ne!(drivers[0], drivers[1], "each has its own");
        for name in ["desk", "other"] {
            assert_eq!(body(&base, &format!("/{name}/database")), "from the database");
        }
        assert_eq!(base.jvm.instances(DRIVER).unwrap(), 3);
        remove(&base, "desk", "1.0.0");
        remove(&base, "misbehave", "1.0.0");
        wait_for(&base, DRIVER, 1);
        assert_eq!(list(&base, "/other/drivers"), drivers[1]);
        assert_eq!(body(&base, "/other/database"), "from the database");
        remove(&base, "other", "1.0.0");
        wait_for(&base, DRIVER, 0);
        wait_for(&base, LOADER, 0);
    }
}

#[test]
fn a_driver_of_a_layer_stays_for_the_versions_on_it() {
    let base = base(&["share=module", "keep=3600"]);
    install_and_activate(&base, &desk("desk", "1.0.0", "desk-v1", &json!({})));
    install_and_activate(&base, &desk("desk", "2.0.0", "desk-v2", &json!({})));
    assert_eq!(body(&base, "/desk/database"), "from the database");
    remove(&base, "desk", "1.0.0");
    assert_eq!(body(&base, "/desk/database"), "from the database");
    remove(&base, "desk", "2.0.0");
    install_and_activate(&base, &desk("desk", "3.0.0", "desk-v1", &json!({})));
    assert_eq!(body(&base, "/desk/database"), "from the database");
    assert_eq!(list(&base, "/desk/drivers").len(), 1);
}

#[test]
fn modules_log_by_log4j_and_by_logback_beside_each_other() {
    // Both write to files beside the process.
    let folder = tempfile::tempdir().unwrap();
    let jdk = harness::jvm::Jdk::current().unwrap();
    let base = JvmBase::start_in(folder.path(), &jdk, &sample("base").unwrap(), &["keep=1"], &["-Xmx512m"]).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let mut tick = order("ticker", "1.0.0", "ticker");
    tick["args"] = json!(["--ticker.log=tick.log", "--ticker.interval=50ms", "--ticker.message=tick"]);
    install(&base, &tick);
    let mut audit = order("audit", "1.0.0", "audit");
    audit["args"] = json!(["--audit.interval=50ms"]);
    install(&base, &audit);
    let said = eventually("it writes", || Some(read("audit.log")).filter(|said| said.contains("entry 3 by the JDK")));
    for line in ["DEBUG [", "AuditApplication: entry 3\n", "AuditApplication: entry 3 by SLF4J", "jdk: entry 3 by the JDK"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    // Its root logger has the level of its own file.
    assert!(said.lines().all(|line| line.contains("Audit") || line.contains("jdk:")), "{said}");
    let tick = eventually("the other writes", || Some(read("tick.log")).filter(|said| said.contains("tick 3")));
    assert!(!tick.contains("entry") && !tick.contains("DEBUG"), "{tick}");
    for said in [texts(&base, "audit", "1.0.0"), texts(&base, "ticker", "1.0.0"), vec![base.own_log().unwrap()]] {
        assert!(!said.iter().any(|line| line.contains("entry ") || line.contains("tick 3")), "{said:?}");
    }
    remove(&base, "audit", "1.0.0");
    wait_for(&base, LOADER, 2);
    let (ended, ticks) = (read("audit.log"), read("tick.log").len());
    eventually("the other goes on", || (read("tick.log").len() > ticks).then_some(()));
    assert_eq!(read("audit.log"), ended);

    // A level that the order gives.
    std::fs::remove_file(folder.path().join("audit.log")).unwrap();
    audit["id"]["version"] = json!("2.0.0");
    audit["args"].as_array_mut().unwrap().push(json!("--logging.level.shop.audit=WARN"));
    install(&base, &audit);
    let said = eventually("it writes", || Some(read("audit.log")).filter(|said| said.contains("entry 3 by SLF4J")));
    assert!(!said.contains("DEBUG"), "{said}");
    remove(&base, "audit", "2.0.0");
    remove(&base, "ticker", "1.0.0");
    wait_for(&base, LOADER, 0);
}

#[test]
fn two_versions_on_one_layer_have_their_own_bundles_and_beans() {
    let base = base(&["share=module", "keep=3600"]);
    for (version, revision) in [("1.0.0", "v1"), ("2.0.0", "v2")] {
        install_and_activate(&base, &desk("desk", version, &format!("desk-{revision}"), &json!({})));
        assert_eq!(body(&base, "/desk/version"), revision);
    }
    let has_its_own = |version: &str, revision: &str| {
        activate(&base, "desk", version);
        let word = |language: &str| body(&base, &format!("/desk/word?language={language}"));
        assert_eq!((word("de"), word("en")), (format!("Quittung von {revision}"), format!("receipt of {revision}")));
        assert_eq!(list(&base, "/desk/bean"), [format!("receipt of {revision}"), format!("desk:{version}")]);
    };
    for _ in 0..2 {
        has_its_own("1.0.0", "v1");
        has_its_own("2.0.0", "v2");
    }
    remove(&base, "desk", "1.0.0");
    has_its_own("2.0.0", "v2");
    remove(&base, "desk", "2.0.0");
    wait_for(&base, LOADER, 1);
}
