//! Applications of the frameworks that people use, from the registry of npm and unchanged.

use harness::node;
use serde_json::{Value, json};

use crate::support::{body, eventually, get, install, log, order_in};

#[test]
fn koa_and_nest_run_in_a_process_and_in_a_worker_and_traces_name_the_source() {
    let base = node::base(&[]).unwrap();
    for isolation in ["process", "worker"] {
        for name in ["koa", "nest"] {
            install(&base, &order_in(isolation, name, "1.0.0"));
            assert_eq!(body(&base, &format!("/{name}/version")), "v1.0.0");
            let greeting: Value = serde_json::from_str(&body(&base, &format!("/{name}/greet/you"))).unwrap();
            assert_eq!(greeting, json!({"greeting": "hello, you"}));
        }
        assert_eq!(get(&base, "/nest/broken").0, 500);
        eventually(&format!("the log of it as a {isolation} names the source"), || {
            let log = log(&base, "nest", "1.0.0");
            (log.contains("broken on purpose") && log.contains("src/main.ts:")).then_some(())
        });
        for name in ["koa", "nest"] {
            base.api.uninstall(name, "1.0.0").unwrap().unwrap();
        }
    }
}

#[test]
fn the_standalone_output_of_next_is_a_module() {
    let base = node::base(&[]).unwrap();
    for isolation in ["process", "worker"] {
        install(&base, &order_in(isolation, "next", "1.0.0"));
        let page = body(&base, "/next");
        assert!(page.contains("1.0.0"), "{page}");
        let script = page.split('"').find(|text| text.starts_with("/next/_next/static/") && text.ends_with(".js")).unwrap().to_owned();
        assert!(!body(&base, &script).is_empty());
        let time: Value = serde_json::from_str(&body(&base, "/next/api/time")).unwrap();
        assert!(time["time"].is_u64());
        base.api.uninstall("next", "1.0.0").unwrap().unwrap();
    }
}
