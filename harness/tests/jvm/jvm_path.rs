//! The whole path: installed, isolated, served, replaced under load, removed, and back after a restart.

use harness::{
    jvm::{Jdk, JvmBase, sample},
    load::Load,
};
use serde_json::json;

use crate::support::{agent, base, body, eventually, get, get_at, install, json_of, nothing_was_lost, order, remove, state};

#[test]
fn an_ordinary_service_hosts_an_ordinary_jar_and_goes_on_as_before() {
    let base = base();
    let own = base.web.unwrap();
    install(&base, &order("catalog", "1.0.0", "catalog-v1"));
    assert_eq!(body(&base, "/catalog/version"), "v1");

    // It sees itself alone, as if it ran by itself.
    let place = json_of(&base, "/catalog/where");
    assert_eq!(place["applicationName"], "catalog");
    assert_eq!(place["foreignSettingsSeen"], false, "{place}");
    assert_eq!(place["contextClassLoaderIsOurs"], true, "{place}");
    assert_eq!(place["implementationVersion"], "1.0.0");
    assert!(place["codeSource"].as_str().unwrap().contains("/packages/sha256/"), "{place}");
    assert!(place["springCodeSource"].as_str().unwrap().contains("BOOT-INF/lib/spring-webmvc"), "{place}");

    // Links, validation, static pages, the actuator: all with its context path.
    let config = ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).build();
    let client: ureq::Agent = config.into();
    let at = |path: &str| format!("http://{}{path}", base.gateway);
    let moved = client.get(at("/catalog/old")).call().unwrap();
    assert_eq!(moved.status(), 302);
    let location = moved.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.ends_with("/catalog/items") && !location.contains(":0/"), "{location}");
    assert_eq!(get(&base, &location[location.find("/catalog").unwrap()..]).0, 200);
    let wrong = client.post(at("/catalog/items")).content_type("application/json").send(r#"{"sku":"","title":"x","priceCents":-1}"#);
    assert_eq!(wrong.unwrap().status(), 400);
    assert_eq!(get(&base, "/catalog/items/none").0, 404);
    assert!(body(&base, "/catalog/index.html").contains("Catalog v1"));
    assert_eq!(json_of(&base, "/catalog/actuator/health")["status"], "UP");

    // The base has its own port as before, and its routes are at the gateway too.
    assert_eq!(get_at(own, "/"), (200, "hello from shop-base\n".to_owned()));
    assert_eq!(body(&base, "/"), "hello from shop-base\n");
    assert_eq!(json_of(&base, "/actuator/health")["status"], "UP");
    assert_eq!(get_at(own, "/catalog/version").0, 404);

    remove(&base, "catalog", "1.0.0");
    assert_eq!(get(&base, "/catalog/version").0, 404);
    assert_eq!(state(&base, "catalog", "1.0.0"), None);
    assert_eq!(get_at(own, "/"), (200, "hello from shop-base\n".to_owned()));
    let said = base.own_log().unwrap();
    assert!(!said.contains("arklet") && !said.contains("Catalog"), "the base's output has what is not its own:\n{said}");
    assert_eq!(base.end().unwrap().code(), Some(143));
}

#[test]
fn no_request_is_lost_in_replacements_under_load() {
    let base = base();
    install(&base, &order("catalog", "1.0.0", "catalog-v1"));
    let load = Load::new(base.gateway, "/catalog/version", 8, &["v1", "v2"]).start().unwrap();
    for round in 1..=10 {
        let version = 1 + round % 2;
        let installed = base.api.install(&order("catalog", &format!("{version}.0.0"), &format!("catalog-v{version}"))).unwrap().unwrap();
        assert_eq!(installed.retired.len(), 1);
        assert_eq!(installed.retired[0].verdict.cut_requests, 0);
    }
    let report = load.stop().unwrap();
    nothing_was_lost(&base, &report);
}

#[test]
fn modules_come_back_with_the_base_and_an_install_that_was_cut_off_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let (jdk, jar) = (Jdk::current().unwrap(), sample("base").unwrap());
    let start = || JvmBase::start_in(folder.path(), &jdk, &jar, &[], &["-Xmx512m"]).unwrap();
    let mut base = start();
    let mut ticker = order("ticker", "1.0.0", "ticker");
    ticker["args"] = json!(["--ticker.interval=50ms"]);
    install(&base, &ticker);
    // It is being started when the process is killed.
    let command = json!({"bizName": "catalog", "bizVersion": "1.0.0", "bizUrl": order("catalog", "1.0.0", "catalog-v1")["url"], "async": true, "requestId": "r"});
    assert_eq!(base.api.command("installBiz", &command).unwrap()["code"], "SUCCESS");
    eventually("the install is under way", || state(&base, "catalog", "1.0.0"));
    base.kill();
    drop(base);
    let base = start();
    assert_eq!(body(&base, "/catalog/version"), "v1");
    let log = folder.path().join("ticker.log");
    let before = std::fs::metadata(&log).unwrap().len();
    eventually("the job ticks again", || (std::fs::metadata(&log).ok()?.len() > before).then_some(()));
}

#[test]
fn a_base_starts_with_the_jars_in_a_folder() {
    let (folder, modules) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(sample("catalog-v1").unwrap(), modules.path().join("catalog.jar")).unwrap();
    std::fs::copy(sample("ticker").unwrap(), modules.path().join("ticker.jar")).unwrap();
    let list = "[[module]]\nfile = \"catalog.jar\"\nname = \"catalog\"\nversion = \"1.0.0\"\nconfig = { \"catalog.revision\" = \"listed\" }\n\
                [[module]]\nfile = \"ticker.jar\"\nname = \"ticker\"\nversion = \"2.0.0\"\n";
    std::fs::write(modules.path().join("modules.toml"), list).unwrap();
    // Both from the environment: the agent by the JDK's own variable, the folder by the agent's. A second agent is none.
    let option = agent(folder.path(), &[]);
    let mut base = JvmBase::launch_by(folder.path(), &Jdk::current().unwrap(), &sample("base").unwrap(), |command| {
        command.env("JAVA_TOOL_OPTIONS", &option).env("ARKLET_MODULES_DIR", modules.path()).env("ARKLET_NAME", "shop");
        command.arg(option.clone());
    })
    .unwrap();
    base.wait_ready().unwrap();
    assert_eq!(body(&base, "/catalog/version"), "listed");
    assert!(state(&base, "ticker", "2.0.0").is_some());
    base.wait_log("the agent is there already").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&base.api.get("/v1/base").unwrap().1).unwrap()["name"], "shop");
}
