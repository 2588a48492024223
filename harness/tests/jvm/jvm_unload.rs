//! Removal that is real: what a module leaves behind is taken back, its classes are unloaded, and what holds one is named.

use std::time::{Duration, Instant};

use ark_model::{
    Reason, VerdictState,
    api::{ErrorBody, Holders, Retired, SearchCost, VerdictList},
};
use harness::{
    api::Api,
    jvm::{Jdk, JvmBase, sample},
};
use serde_json::{Value, json};

/// How long the VM may take to let go of what nothing holds.
const PATIENCE: Duration = Duration::from_secs(60);
const LOADER: &str = "ark.jvm.ModuleLoader";

fn start(agent: &[&str]) -> JvmBase {
    JvmBase::start(&sample("base").unwrap(), agent, &["-Xmx768m"]).unwrap()
}

fn start_on(feature: u32, agent: &[&str]) -> JvmBase {
    let jdk = Jdk::of(feature).unwrap_or_else(|| panic!("there is no JDK {feature} on this machine"));
    // The folder has to outlive the base, which the test ends.
    let folder = tempfile::tempdir().unwrap().keep();
    JvmBase::start_in(&folder, &jdk, &sample("base").unwrap(), agent, &["-Xmx768m"]).unwrap()
}

fn install(base: &JvmBase, jar: &str, name: &str, version: &str, args: &[&str]) {
    let url = format!("file://{}", sample(jar).unwrap().display());
    let order = json!({"url": url, "id": {"name": name, "version": version}, "args": args, "activation": "keep"});
    let installed = base.api.install(&order).unwrap().unwrap_or_else(|refused| panic!("{name}: {}\n{}", refused.error, base.log()));
    assert_eq!(installed.module.id.to_string(), format!("{name}:{version}"));
}

fn activate(base: &JvmBase, name: &str, version: &str) {
    let (status, body) = base.api.post(&format!("/v1/modules/{name}/{version}/activate"), "").unwrap();
    assert_eq!(status, 200, "{body}");
}

fn call(base: &JvmBase, path: &str) -> String {
    let (status, body) = Api::new(&format!("http://{}", base.gateway)).get(path).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

fn remove(base: &JvmBase, name: &str, version: &str) -> Retired {
    base.api.uninstall(name, version).unwrap().unwrap_or_else(|refused| panic!("{name}: {}", refused.error))
}

/// What holds a removed module, as far as that can be told.
fn holders(base: &JvmBase, name: &str, version: &str) -> Result<Holders, ErrorBody> {
    let (status, body) = base.api.post(&format!("/v1/verdicts/{name}/{version}/holders?objects=10000000"), "").unwrap();
    if status < 400 { Ok(serde_json::from_str(&body).unwrap()) } else { Err(serde_json::from_str(&body).unwrap()) }
}

/// Removes a module and waits until it is unloaded.
fn unload(base: &JvmBase, name: &str, version: &str) -> Retired {
    let mut retired = remove(base, name, version);
    let end = Instant::now() + PATIENCE;
    while retired.verdict.state != VerdictState::Unloaded {
        if Instant::now() > end {
            panic!("{name}:{version} is not unloaded: {retired:#?}\n{:#?}\n{}", holders(base, name, version), base.log());
        }
        std::thread::sleep(Duration::from_millis(100));
        let list: VerdictList = serde_json::from_str(&base.api.get("/v1/verdicts").unwrap().1).unwrap();
        retired = list.verdicts.into_iter().find(|retired| retired.id.to_string() == format!("{name}:{version}")).unwrap();
    }
    retired
}

/// Waits until so many loaders, of modules and of layers, are left.
fn wait_for_loaders(base: &JvmBase, wanted: u64) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = base.jvm.instances(LOADER).unwrap();
        if left == wanted {
            return;
        }
        assert!(Instant::now() < end, "{left} class loaders are left instead of {wanted}\n{}", base.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Applications of every kind, each installed, called and removed.
fn all_unload(base: &JvmBase) {
    for (jar, path) in [
        ("catalog-v1", Some("/catalog/version")),
        ("ticker", None),
        ("audit", None),
        ("desk-v1", Some("/desk/database")),
        ("quotes", Some("/quotes/version")),
        ("old-module", Some("/old-module/version")),
        ("new-module", Some("/new-module/version")),
        ("misbehave", Some("/misbehave/ok")),
    ] {
        let name = jar.trim_end_matches("-v1");
        install(base, jar, name, "1.0.0", &[]);
        activate(base, name, "1.0.0");
        path.map(|path| call(base, path));
        let given_back = unload(base, name, "1.0.0").verdict.given_back;
        assert!(given_back.iter().any(|resource| resource.unit == "classes"), "{given_back:?}");
    }
}

/// No line of a base says that something of the sweep did not work on this JDK, nor does the JDK warn of anything.
fn nothing_went_wrong(base: &JvmBase) {
    let said = format!("{}\n{}", base.log(), base.own_log().unwrap());
    for wrong in ["could not be swept", "broke off", "panicked"] {
        assert!(!said.contains(wrong), "{wrong}: {said}");
    }
    // JDK 25 warns of what Netty does.
    let warned = said.lines().find(|line| line.starts_with("WARNING: ") && line.contains("ark."));
    assert_eq!(warned, None, "{said}");
}

#[test]
fn modules_of_every_kind_unload_with_their_libraries() {
    let base = start(&["share=none"]);
    all_unload(&base);
    wait_for_loaders(&base, 0);
    nothing_went_wrong(&base);
}

#[test]
fn modules_that_have_joined_the_bases_server_unload() {
    for feature in [17, 25] {
        let base = start_on(feature, &["share=none", "web=auto"]);
        all_unload(&base);
        wait_for_loaders(&base, 0);
        nothing_went_wrong(&base);
    }
}

#[test]
fn modules_of_every_kind_unload_on_jdk_21() {
    if Jdk::of(21).is_none() {
        return eprintln!("skipped: there is no JDK 21 here, and it could not be fetched");
    }
    for share in ["share=none", "share=module"] {
        let base = start_on(21, &[share, "keep=1"]);
        all_unload(&base);
        wait_for_loaders(&base, 0);
        nothing_went_wrong(&base);
    }
}

#[test]
fn modules_of_every_kind_unload_on_jdk_25() {
    let base = start_on(25, &["share=none"]);
    all_unload(&base);
    wait_for_loaders(&base, 0);
    nothing_went_wrong(&base);
}

#[test]
fn a_layer_holds_no_module_that_was_on_it() {
    for feature in [17, 25] {
        let base = start_on(feature, &["share=module", "keep=3600"]);
        all_unload(&base);
        // One layer of each.
        wait_for_loaders(&base, 8);
        nothing_went_wrong(&base);
    }
}

#[test]
fn the_layer_goes_when_its_keep_time_is_over() {
    for feature in [17, 25] {
        let base = start_on(feature, &["share=module", "keep=1"]);
        all_unload(&base);
        wait_for_loaders(&base, 0);
        nothing_went_wrong(&base);
    }
}

#[test]
fn a_version_that_goes_leaves_the_one_on_the_same_layer_alone() {
    let base = start(&["share=module", "keep=3600"]);
    for (jar, name, path) in [("catalog-v1", "catalog", "/catalog/version"), ("quotes", "quotes", "/quotes/version")] {
        install(&base, jar, name, "1.0.0", &[]);
        activate(&base, name, "1.0.0");
        call(&base, path);
        install(&base, jar, name, "2.0.0", &[]);
        activate(&base, name, "2.0.0");
        unload(&base, name, "1.0.0");
        for _ in 0..20 {
            call(&base, path);
        }
        unload(&base, name, "2.0.0");
    }
    wait_for_loaders(&base, 2);
}

#[test]
fn a_module_that_leaves_timers_hooks_drivers_and_handlers_unloads() {
    for (feature, share) in [(17, "share=none"), (17, "share=module"), (17, "share=set"), (25, "share=none"), (25, "share=module")] {
        let base = start_on(feature, &[share, "keep=1"]);
        install(&base, "misbehave", "misbehave", "1.0.0", &["--misbehave=timers"]);
        activate(&base, "misbehave", "1.0.0");
        call(&base, "/misbehave/ok");
        let left: Vec<String> = serde_json::from_str(&call(&base, "/misbehave/left")).unwrap();
        assert!(left.len() >= 14, "{left:?}");
        let verdict = unload(&base, "misbehave", "1.0.0").verdict;
        assert!(verdict.held.is_empty(), "{verdict:?}");
        wait_for_loaders(&base, 0);
        nothing_went_wrong(&base);
        let threads = base.jvm.jcmd(&["Thread.print"]).unwrap();
        assert!(!threads.contains("left-timer") && !threads.contains("pool-"), "{threads}");
    }
}

#[test]
fn what_a_module_changed_of_the_bases_defaults_is_put_back() {
    let base = start(&["share=module"]);
    let defaults = |base: &JvmBase, version: &str| -> Value {
        activate(base, "misbehave", version);
        serde_json::from_str(&call(base, "/misbehave/defaults")).unwrap()
    };
    install(&base, "misbehave", "misbehave", "1.0.0", &[]);
    let before = defaults(&base, "1.0.0");
    remove(&base, "misbehave", "1.0.0");
    install(&base, "misbehave", "misbehave", "2.0.0", &["--misbehave=timers"]);
    let changed = defaults(&base, "2.0.0");
    assert_eq!(
        (&changed["locale"], &changed["timeZone"], &changed["property"]),
        (&json!("mi-NZ"), &json!("Pacific/Chatham"), &json!("here"))
    );
    remove(&base, "misbehave", "2.0.0");
    install(&base, "misbehave", "misbehave", "3.0.0", &[]);
    assert_eq!(defaults(&base, "3.0.0"), before);
}

#[test]
fn a_thread_that_never_ends_is_named_with_its_stack() {
    for feature in [17, 25] {
        let base = start_on(feature, &["share=module"]);
        install(&base, "misbehave", "misbehave", "1.0.0", &["--misbehave=threads"]);
        let verdict = remove(&base, "misbehave", "1.0.0").verdict;
        assert_eq!(verdict.state, VerdictState::Leaking, "{verdict:?}");
        for number in 1..=3 {
            let named = format!("thread stubborn-{number} ");
            let held = verdict.held.iter().find(|held| held.what.starts_with(&named)).unwrap_or_else(|| panic!("{verdict:?}"));
            assert!(held.what.contains("shop.misbehave.Misbehaviour.sleepForEver"), "{held:?}");
        }
        assert_eq!(verdict.held.iter().filter(|held| held.unit == "threads").count(), 3, "{verdict:?}");
        let holders = holders(&base, "misbehave", "1.0.0").unwrap();
        assert!(holders.paths.iter().any(|path| path.steps[0].by.contains("thread")), "{holders:#?}");
    }
}

#[test]
fn what_the_base_holds_is_named_by_its_path() {
    for feature in [17, 25] {
        let base = start_on(feature, &["share=none"]);
        install(&base, "misbehave", "misbehave", "1.0.0", &["--misbehave=held"]);
        let verdict = remove(&base, "misbehave", "1.0.0").verdict;
        assert_ne!(verdict.state, VerdictState::Unloaded, "{verdict:?}");

        let cost = base.api.get("/v1/verdicts/misbehave/1.0.0/holders").unwrap();
        let cost: SearchCost = serde_json::from_str(&cost.1).unwrap_or_else(|error| panic!("{error}: {cost:?}"));
        assert!(cost.objects > 10_000 && cost.stopped_ms > 0.0, "{cost:?}");

        let found = holders(&base, "misbehave", "1.0.0").unwrap();
        let ways: Vec<Vec<String>> =
            found.paths.iter().map(|path| path.steps.iter().map(|step| format!("{} {}", step.by, step.to)).collect()).collect();
        let wanted = "static .handler shop.misbehave.Misbehaviour$KeptForEver";
        let way = ways.iter().find(|way| way.last().unwrap() == wanted).unwrap_or_else(|| panic!("{found:#?}"));
        assert!(way[way.len() - 2].ends_with("class java.rmi.server.RMISocketFactory"), "{way:?}");
        // Nothing else does.
        assert!(ways.len() == 1 && !found.paths[0].soft, "{ways:?}");
        assert!(found.objects > 10_000 && found.references > found.objects, "{found:?}");
        println!(
            "JDK {feature}: told {cost:?}; {} objects, {} references, stopped {:.0} ms, total {:.0} ms",
            found.objects, found.references, found.stopped_ms, found.total_ms
        );

        let (status, body) = base.api.post("/v1/verdicts/misbehave/1.0.0/holders?objects=20000", "").unwrap();
        let refused: ErrorBody = serde_json::from_str(&body).unwrap();
        assert!(status >= 400 && refused.error.reason == Reason::BudgetExceeded, "{body}");

        let metrics = base.api.get("/metrics").unwrap().1;
        assert!(metrics.contains("ark_verdicts_total{state=\"pending\"} 1"), "{metrics}");
        assert!(metrics.contains("ark_removed_modules_not_unloaded 1"), "{metrics}");
    }
}

#[test]
fn nothing_is_said_to_hold_what_is_gone_or_was_never_there() {
    let base = start(&["share=none"]);
    install(&base, "misbehave", "misbehave", "1.0.0", &[]);
    let refused = |version: &str| holders(&base, "misbehave", version).unwrap_err().error;
    assert!(refused("1.0.0").message.contains("is installed"), "{}", refused("1.0.0"));
    unload(&base, "misbehave", "1.0.0");
    let gone = refused("1.0.0");
    assert!(gone.reason == Reason::NotInstalled && gone.message.contains("nothing is left of misbehave:1.0.0"), "{gone}");
    assert!(refused("2.0.0").message.contains("was not removed here"), "{}", refused("2.0.0"));
}

/// Run by hand: `cargo test --release -p harness --test jvm_unload -- --ignored --nocapture`.
#[test]
#[ignore = "it takes minutes and prints figures"]
fn figures_of_many_cycles() {
    let cycles: usize = std::env::var("CYCLES").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(100);
    for share in ["share=none", "share=module"] {
        let base = start(&[share, "keep=3600"]);
        println!("{share}\ncycle loaders classes metaspace heap resident threads descriptors");
        for cycle in 0..=cycles {
            if cycle > 0 {
                let version = format!("1.0.{cycle}");
                install(&base, "catalog-v1", "catalog", &version, &[]);
                activate(&base, "catalog", &version);
                for _ in 0..5 {
                    call(&base, "/catalog/items");
                }
                unload(&base, "catalog", &version);
            }
            if cycle % 10 == 0 {
                base.jvm.collect_garbage().unwrap();
                let (loaders, usage) = (base.jvm.instances(LOADER).unwrap(), base.jvm.usage().unwrap());
                let mib = |bytes: u64| format!("{:.2}", bytes as f64 / f64::from(1 << 20));
                println!(
                    "{cycle} {loaders} {} {} {} {} {} {}",
                    usage.classes,
                    mib(usage.metaspace),
                    mib(usage.heap),
                    mib(usage.resident),
                    usage.threads,
                    usage.descriptors
                );
            }
        }
    }
}
