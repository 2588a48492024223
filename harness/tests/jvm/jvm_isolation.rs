//! What belongs to the base stays with the base, and what belongs to a module with the module.

use harness::jvm::{Jdk, JvmBase, sample};
use serde_json::{Value, json};

use crate::support::{agent, body, eventually, install, json_of, lines, order, remove, seen, texts};

/// A base that is configured in every way that Spring Boot knows, and for itself alone.
fn configured(folder: &std::path::Path) -> JvmBase {
    std::fs::create_dir_all(folder.join("config")).unwrap();
    std::fs::create_dir_all(folder.join("elsewhere")).unwrap();
    std::fs::write(folder.join("application.properties"), "leak.file=yes\ncatalog.revision=leaked\n").unwrap();
    std::fs::write(folder.join("config/application.properties"), "leak.config=yes\nspring.application.name=leaked\n").unwrap();
    std::fs::write(folder.join("elsewhere/application.properties"), "leak.location=yes\n").unwrap();
    std::fs::write(folder.join("config/application-live.properties"), "leak.profile=yes\n").unwrap();
    let option = agent(folder, &[]);
    let mut base = JvmBase::launch_by(folder, &Jdk::current().unwrap(), &sample("base").unwrap(), |command| {
        command.arg(option).args([
            "-Xmx512m",
            "-Dspring.profiles.active=live",
            "-Dleak.property=yes",
            "-Dserver.servlet.session.timeout=7s",
        ]);
        command.args(["-Dspring.config.additional-location=file:./elsewhere/", "-Dcatalog.revision=leaked", "-Dspring.jmx.enabled=true"]);
        command.args(["-Dlogging.pattern.console=BASE %m%n", "-Dlogging.level.root=INFO", "-Duser.timezone=Asia/Tokyo"]);
        command.env("LEAK_ENVIRONMENT", "yes").env("SPRING_APPLICATION_JSON", r#"{"leak":{"json":"yes"}}"#);
        command.env("SERVER_ERROR_INCLUDE_MESSAGE", "always");
    })
    .unwrap();
    base.wait_ready().unwrap();
    base
}

#[test]
fn the_settings_of_the_base_are_not_the_modules() {
    let folder = tempfile::tempdir().unwrap();
    let base = configured(folder.path());
    install(&base, &order("catalog", "1.0.0", "catalog-v1"));
    for name in [
        "leak.file",
        "leak.config",
        "leak.location",
        "leak.profile",
        "leak.property",
        "leak.environment",
        "LEAK_ENVIRONMENT",
        "leak.json",
        "spring.profiles.active",
        "server.servlet.session.timeout",
        "server.error.include-message",
        "shop.secret",
        "logging.pattern.console",
        "spring.jmx.enabled",
    ] {
        assert_eq!(seen(&base, "catalog", name), Value::Null, "{name}");
    }
    // Its own, and the machine's.
    assert_eq!(seen(&base, "catalog", "catalog.revision"), "v1");
    assert_eq!(seen(&base, "catalog", "spring.application.name"), "catalog");
    assert_eq!(seen(&base, "catalog", "user.timezone"), "Asia/Tokyo");
    assert!(seen(&base, "catalog", "PATH").is_string());
    assert!(seen(&base, "catalog", "java.version").is_string());

    // What an order gives is this module's alone: by arguments, environment, and settings, which rank in this order from below.
    let mut second = order("second", "1.0.0", "catalog-v1");
    second["contextPath"] = json!("/second");
    second["args"] = json!(["--given.by=argument", "--catalog.revision=argued", "--spring.profiles.active=test"]);
    second["grants"] = json!({"env": {"GIVEN_ENVIRONMENT": "yes", "CATALOG_REVISION": "environed"}, "config": {"given.setting": "yes", "given.by": "setting"}});
    install(&base, &second);
    assert_eq!(body(&base, "/second/version"), "argued");
    assert_eq!(seen(&base, "second", "given.by"), "setting");
    assert_eq!(seen(&base, "second", "given.environment"), "yes");
    assert_eq!(seen(&base, "second", "spring.profiles.active"), "test");
    assert_eq!(seen(&base, "catalog", "given.setting"), Value::Null);
    assert_eq!(body(&base, "/catalog/version"), "v1");

    // Threads by name and group; a loader that says whose it is.
    let place = json_of(&base, "/second/where");
    assert_eq!(place["threadGroup"], "second:1.0.0", "{place}");
    assert_eq!(place["classLoaderName"], "second:1.0.0", "{place}");
    let threads = base.jvm.jcmd(&["Thread.print"]).unwrap();
    assert!(!threads.contains("\"second:1.0.0 main\""), "the thread of its main has ended");

    // Logging: each line by the pattern of whom it comes from, `java.util.logging` of the web server too; the banner is the module's.
    for name in ["catalog", "second"] {
        let said = texts(&base, name, "1.0.0");
        assert!(said.iter().any(|line| line.contains("Started CatalogApplication")), "{said:?}");
        assert!(said.iter().any(|line| line.contains("Starting service [Tomcat]")), "{said:?}");
        assert!(said.iter().any(|line| line.contains(":: Spring Boot ::")), "{said:?}");
        assert!(!said.iter().any(|line| line.starts_with("BASE ")), "{said:?}");
        assert!(lines(&base, name, "1.0.0").iter().all(|line| line.stream == "stdout"), "{said:?}");
    }
    let own = base.own_log().unwrap();
    assert!(own.contains("BASE Starting service [Tomcat]"), "{own}");
    assert_eq!(own.matches("Starting service [Tomcat]").count(), 1, "{own}");
    assert!(!own.contains("CatalogApplication"), "{own}");

    remove(&base, "second", "1.0.0");
    remove(&base, "catalog", "1.0.0");
    assert_eq!(body(&base, "/"), "hello from leaked\n");
}

#[test]
fn two_versions_of_a_library_two_logs_and_what_a_process_has_one_of() {
    // A base without a web server and without Tomcat: the first module that has one is the first that sets up what there is one of.
    let folder = tempfile::tempdir().unwrap();
    let console = "<configuration><include resource=\"org/springframework/boot/logging/logback/base.xml\"/></configuration>";
    std::fs::write(folder.path().join("console.xml"), console).unwrap();
    let option = agent(folder.path(), &[]);
    let mut base = JvmBase::launch_by(folder.path(), &Jdk::current().unwrap(), &sample("ticker").unwrap(), |command| {
        command.arg(option).args(["-Xmx512m", "-Dticker.log=base-ticker.log", "-Dticker.interval=50ms", "-Dticker.message=base"]);
        // Its own log is a file; the words of its start are waited for on standard output.
        command.arg("-Dlogging.config=file:console.xml");
    })
    .unwrap();
    base.wait_ready().unwrap();
    for name in ["greet-a", "greet-b"] {
        let mut order = order(name, "1.0.0", name);
        order["grants"] = json!({"config": {"spring.jmx.enabled": "true"}});
        install(&base, &order);
    }
    let (a, b) = (json_of(&base, "/greet-a/library"), json_of(&base, "/greet-b/library"));
    assert_eq!((&a["version"], &a["hasStrings"]), (&json!("3.12.0"), &json!(false)), "{a}");
    assert!(a["made"].as_str().unwrap().starts_with("shop.greeta.$Proxy"), "a class that was made as it ran: {a}");
    assert_eq!((&b["version"], &b["hasStrings"]), (&json!("3.18.0"), &json!(true)), "{b}");
    assert_eq!(
        (body(&base, "/greet-a/greeting?name=ada"), body(&base, "/greet-b/greeting?name=ada")),
        ("Hello, Ada".into(), "Hello, Ada".into())
    );

    // Two jobs with a logging configuration and a file each.
    for name in ["tick", "tock"] {
        let mut order = order(name, "1.0.0", "ticker");
        order["args"] = json!([format!("--ticker.log={name}.log"), "--ticker.interval=50ms", format!("--ticker.message={name}")]);
        if name == "tock" {
            order["args"].as_array_mut().unwrap().push(json!("--logging.level.shop.ticker=WARN"));
        }
        install(&base, &order);
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    eventually("it ticks", || read("tick.log").contains("TickerApplication: tick 3").then_some(()));
    let (tick, tock, own) = (read("tick.log"), read("tock.log"), base.own_log().unwrap());
    assert!(!tick.contains("tock") && !tick.contains(": base "), "{tick}");
    assert!(!tock.contains("TickerApplication: tock 1"), "its level is its own: {tock}");
    assert!(!own.contains(": tick ") && !own.contains("greet"), "{own}");
    for name in ["tick", "tock", "greet-a", "greet-b"] {
        remove(&base, name, "1.0.0");
    }
}
