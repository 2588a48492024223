//! `cargo xtask demo`: a base, the sample modules, traffic, and an upgrade in the middle of it. What differs between kinds of base is
//! in one [`Show`] each.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use harness::{
    Error,
    base::Base,
    controller::{Controller, deployment},
    jvm::{self, JvmBase},
    load::{Load, Report},
    node, samples,
};
use serde_json::{Map, Value, json};

/// How long traffic runs before and after the upgrade.
const TRAFFIC: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 16;
/// The samples, in the order in which they are deployed.
const MODULES: [&str; 4] = ["inventory", "orders", "render", "hello"];

/// A base that is up, and what is shown on it.
pub(crate) struct Show {
    base: Base,
    /// What is said at the begin of its report: name, and the order to install it.
    modules: Vec<(String, Value)>,
    /// The module that gets traffic, and the next version of it.
    star: &'static str,
    upgrade: Value,
    path: &'static str,
    /// What its first and its second version answer there.
    answers: [&'static str; 2],
    /// What can be looked at besides, once all serve.
    besides: fn(&Base) -> Result<(), Error>,
    /// What is shown at the end on a fleet of such bases, with figures for the report.
    fleet: Option<fn() -> Result<Value, Error>>,
    /// Commands to try, with the base's API and gateway in place of `API` and `GATEWAY`.
    commands: &'static [&'static str],
}

/// WebAssembly components on the `arklet` binary.
pub(crate) fn wasm(once: bool) -> Result<Show, Error> {
    say("building the sample modules");
    let packages: Vec<(&str, PathBuf)> = MODULES.iter().map(|name| Ok((*name, samples::sample(name, 1)?))).collect::<Result<_, Error>>()?;
    let upgrade = json!({"url": url(&samples::sample("hello", 2)?)});
    say("starting a base");
    let base = if once { Base::start(&[])? } else { start_for_people()? };
    // Orders are taken from wherever this base's gateway listens.
    let granted = |name: &str| match name {
        "orders" => json!({"config": {"inventory-url": format!("http://{}/inventory", base.gateway)}}),
        _ => json!({}),
    };
    let order = |(name, package): &(&str, PathBuf)| ((*name).to_owned(), json!({"url": url(package), "grants": granted(name)}));
    let modules = packages.iter().map(order).collect();
    Ok(Show {
        base,
        modules,
        star: "hello",
        upgrade,
        path: "/hello/",
        answers: ["hello from v1\n", "hello from v2\n"],
        besides: take_an_order,
        fleet: Some(roll_out),
        commands: &[
            "curl http://GATEWAY/hello/",
            "curl -d '{\"sku\":\"TEA-1\",\"quantity\":2}' http://GATEWAY/orders/orders -H 'content-type: application/json'",
            "cargo run -q --release -p arkctl -- --base API inspect hello",
        ],
    })
}

/// Spring Boot applications on one that the agent made a base.
pub(crate) fn jvm(once: bool) -> Result<Show, Error> {
    say("building the sample applications with Maven");
    let order = |name: &str, version: &str, jar: &str| -> Result<Value, Error> {
        Ok(json!({"id": {"name": name, "version": version}, "url": url(&jvm::sample(jar)?)}))
    };
    let mut modules = Vec::new();
    for (name, jar) in [("catalog", "catalog-v1"), ("quotes", "quotes"), ("ticker", "ticker"), ("stock", "stock-biz-ark-biz")] {
        modules.push((name.to_owned(), order(name, "1.0.0", jar)?));
    }
    let upgrade = order("catalog", "2.0.0", "catalog-v2")?;
    let jar = jvm::sample("base")?;
    say("starting an ordinary Spring Boot service, with the agent and no other change");
    let usual: &[&str] = &["listen=127.0.0.1:1238", "gateway=127.0.0.1:8090"];
    let base = if once {
        JvmBase::start(&jar, &[], &[])?
    } else {
        JvmBase::start(&jar, usual, &[]).or_else(|_| JvmBase::start(&jar, &[], &[]))?
    };
    if let Some(web) = base.web {
        say(&format!("its own web server goes on at http://{web}"));
    }
    Ok(Show {
        base: base.into_base(),
        modules,
        star: "catalog",
        upgrade,
        path: "/catalog/version",
        answers: ["v1", "v2"],
        besides: read_a_quote,
        fleet: None,
        commands: &[
            "curl http://GATEWAY/catalog/items",
            "curl http://GATEWAY/quotes/stream",
            "curl http://GATEWAY/",
            "cargo run -q --release -p arkctl -- --base API inspect catalog",
            "cargo run -q --release -p arkctl -- --base API why org.springframework.web.servlet.DispatcherServlet --module catalog",
            "cargo run -q --release -p arkctl -- --base API undeploy catalog",
        ],
    })
}

/// Applications of Node.js, from npm's registry, under the supervisor.
pub(crate) fn node(once: bool) -> Result<Show, Error> {
    say("packing the sample applications with npm");
    let order = |name: &str, version: &str| -> Result<Value, Error> {
        Ok(json!({"id": {"name": name, "version": version}, "url": url(&node::package(name, version)?)}))
    };
    let mut modules = Vec::new();
    for name in ["shop", "menu", "hello", "fetch"] {
        modules.push((name.to_owned(), order(name, "1.0.0")?));
    }
    let upgrade = order("shop", "2.0.0")?;
    say("starting a base");
    let usual = ["--listen", "127.0.0.1:1238", "--gateway", "127.0.0.1:8080"];
    let base = if once { node::base(&[])? } else { node::base(&usual).or_else(|_| node::base(&[]))? };
    Ok(Show {
        base,
        modules,
        star: "shop",
        upgrade,
        path: "/shop/version",
        answers: ["v1.0.0", "v2.0.0"],
        besides: read_the_menu,
        fleet: None,
        commands: &[
            "curl http://GATEWAY/shop/items",
            "curl http://GATEWAY/menu/",
            "curl -d body http://GATEWAY/fetch/any/path",
            "cargo run -q --release -p arkctl -- --base API inspect shop",
        ],
    })
}

pub(crate) fn run(show: fn(bool) -> Result<Show, Error>, once: bool, json_output: bool) -> Result<(), Error> {
    let show = show(once)?;
    let base = &show.base;
    say(&format!("the base is up: API {}, modules at http://{}", base.api.url(), base.gateway));

    let mut install_ms = Map::new();
    for (name, order) in &show.modules {
        let ms = deploy(base, order)?;
        say(&format!("{name} serves after {ms:.1} ms"));
        install_ms.insert(name.clone(), json!(ms));
    }
    let [before, after] = show.answers;
    let first_request_ms = first_request(base, show.path, before)?;
    (show.besides)(base)?;

    say(&format!("{CONNECTIONS} connections ask {} without a pause; in the middle of that, version 2 takes over", show.star));
    let load = Load::new(base.gateway, show.path, CONNECTIONS, &show.answers).start()?;
    std::thread::sleep(TRAFFIC);
    let ms = deploy(base, &show.upgrade)?;
    install_ms.insert(format!("{} 2.0.0", show.star), json!(ms));
    std::thread::sleep(TRAFFIC);
    let report = load.stop()?;
    tell(&report, ms);
    if !report.bodies.contains_key(after.as_bytes()) {
        return Err("version 2 never answered".into());
    }

    let fleet = show.fleet.map(|fleet| fleet()).transpose()?;
    let mut summary = json!({
        "modules": base.api.modules()?.len(),
        "switches": 1,
        "requests": report.right + report.lost,
        "lost": report.lost,
        "installMs": Value::Object(install_ms),
        "firstRequestMs": first_request_ms,
    });
    let mut lost = report.lost;
    if let Some(fleet) = fleet {
        lost += fleet.get("lost").and_then(Value::as_u64).unwrap_or_default();
        if let Value::Object(summary) = &mut summary {
            summary.insert("fleet".to_owned(), fleet);
        }
    }
    if json_output {
        println!("{summary}");
    }
    if lost > 0 {
        return Err(format!("{lost} requests were lost: {:?}", report.failures).into());
    }
    if once { show.base.end().map(drop) } else { stay(show) }
}

/// A controller, three bases that join it, and a version that follows another on them, batch by batch, under traffic.
fn roll_out() -> Result<Value, Error> {
    say("starting a controller, and three bases that join it");
    let controller = Controller::start(&[])?;
    let join = |name: &&str| Base::start(&["--controller", &controller.url, "--base-name", name]);
    let bases: Vec<Base> = ["a", "b", "c"].iter().map(join).collect::<Result<_, _>>()?;
    let package = |version| samples::sample("hello", version).map(|path| url(&path));
    controller.create("moduledeployments", &deployment("hello", "1.0.0", &package(1)?, 3))?;
    controller.wait("moduledeployments", "hello", |hello| hello.pointer("/status/availableReplicas") == Some(&json!(3)))?;
    controller.wait_progress("hello", "Completed")?;
    say("hello 1.0.0 serves on all of them; version 2.0.0 follows in three batches");
    let answers = ["hello from v1\n", "hello from v2\n"];
    let load = |base: &Base| Load::new(base.gateway, "/hello/", CONNECTIONS / 4, &answers).start();
    let loads: Vec<_> = bases.iter().map(load).collect::<Result<_, _>>()?;
    std::thread::sleep(TRAFFIC);
    let began = Instant::now();
    let next = json!({"spec": {"template": {"spec": {"module": {"version": "2.0.0", "url": package(2)?}}}}});
    controller.patch("moduledeployments", "hello", &next)?;
    controller.wait_progress("hello", "Completed")?;
    let ms = began.elapsed().as_secs_f64() * 1_000.0;
    std::thread::sleep(TRAFFIC);
    let reports: Vec<Report> = loads.into_iter().map(|load| load.stop()).collect::<Result<_, _>>()?;
    let (lost, requests) = reports.iter().fold((0, 0), |(lost, all), report| (lost + report.lost, all + report.right + report.lost));
    let [_, after] = answers;
    if !reports.iter().all(|report| report.bodies.contains_key(after.as_bytes())) {
        return Err("version 2 did not answer on every base".into());
    }
    say(&format!("the rollout took {ms:.1} ms; {requests} requests meanwhile, lost {lost}"));
    Ok(json!({"bases": bases.len(), "batches": 3, "rolloutMs": ms, "requests": requests, "lost": lost}))
}

/// On the usual ports where they are free, so that the commands to try are the usual ones.
fn start_for_people() -> Result<Base, Error> {
    let usual = ["--listen", "127.0.0.1:1238", "--gateway", "127.0.0.1:8080"];
    Base::start(&usual).or_else(|_| Base::start(&[]))
}

/// How long it takes until the module serves, the last step included, in milliseconds.
fn deploy(base: &Base, order: &Value) -> Result<f64, Error> {
    let began = Instant::now();
    base.api.install(order)?.map_err(|refused| refused.error.message)?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

fn url(package: &Path) -> String {
    format!("file://{}", package.display())
}

fn first_request(base: &Base, path: &str, answer: &str) -> Result<f64, Error> {
    let began = Instant::now();
    let body = ureq::get(format!("http://{}{path}", base.gateway)).call()?.body_mut().read_to_string()?;
    if body != answer {
        return Err(format!("{path} answered {body:?}").into());
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

/// One module calls another through the base.
fn take_an_order(base: &Base) -> Result<(), Error> {
    let url = format!("http://{}/orders/orders", base.gateway);
    let answer = ureq::post(url).content_type("application/json").send(r#"{"sku":"TEA-1","quantity":2}"#)?.body_mut().read_to_string()?;
    say(&format!("orders asked inventory, and answers {}", answer.trim()));
    Ok(())
}

/// A stream comes through as it is sent.
fn read_a_quote(base: &Base) -> Result<(), Error> {
    let url = format!("http://{}/quotes/stream?ticks=1", base.gateway);
    let answer = ureq::get(url).call()?.body_mut().read_to_string()?;
    say(&format!("quotes, on another kind of server, sends {}", answer.lines().find(|line| line.starts_with("data:")).unwrap_or_default()));
    Ok(())
}

/// One on another framework, an ES module.
fn read_the_menu(base: &Base) -> Result<(), Error> {
    let answer = ureq::get(format!("http://{}/menu/", base.gateway)).call()?.body_mut().read_to_string()?;
    say(&format!("menu, on another framework, answers {answer}"));
    Ok(())
}

fn tell(report: &Report, ms: f64) {
    say(&format!(
        "{} requests in {:.1} s ({:.0} a second), p50 {:.2} ms, p99 {:.2} ms, lost {}",
        report.right + report.lost,
        report.elapsed.as_secs_f64(),
        report.per_second(),
        report.quantile_ms(0.5),
        report.quantile_ms(0.99),
        report.lost
    ));
    for (body, count) in &report.bodies {
        say(&format!("  {count:>8} × {}", String::from_utf8_lossy(body).trim()));
    }
    say(&format!("the upgrade took {ms:.1} ms, the drain of the old version included"));
}

fn stay(show: Show) -> Result<(), Error> {
    let Show { mut base, commands, .. } = show;
    let (api, gateway) = (base.api.url().to_owned(), base.gateway.to_string());
    say("the base stays up until Ctrl-C; try");
    let for_all =
        ["cargo run -q --release -p arkctl -- --base API status", "cargo run -q --release -p arkctl -- --base API top", "curl API/metrics"];
    for line in commands.iter().chain(&for_all) {
        say(&format!("  {}", line.replace("API", &api).replace("GATEWAY", &gateway)));
    }
    // Ctrl-C reaches the base too, which ends in its own time.
    base.wait()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
