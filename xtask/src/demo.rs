//! `cargo xtask demo`: a base, the sample modules, traffic, and an upgrade in the middle of it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use harness::{
    Error,
    base::Base,
    load::{Load, Report},
    samples,
};
use serde_json::{Map, Value, json};

/// How long traffic runs before and after the upgrade.
const TRAFFIC: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 16;
/// The samples, in the order in which they are deployed.
const MODULES: [&str; 4] = ["inventory", "orders", "render", "hello"];

pub(crate) fn run(once: bool, json_output: bool) -> Result<(), Error> {
    say("building the sample modules");
    let packages: Vec<(&str, PathBuf)> = MODULES.iter().map(|name| Ok((*name, samples::sample(name, 1)?))).collect::<Result<_, Error>>()?;
    let upgrade = samples::sample("hello", 2)?;

    say("starting a base");
    let base = if once { Base::start(&[])? } else { start_for_people()? };
    say(&format!("the base is up: API {}, modules at http://{}", base.api.url(), base.gateway));

    let mut install_ms = Map::new();
    for (name, package) in &packages {
        let ms = deploy(&base, package)?;
        say(&format!("{name} serves after {ms:.1} ms"));
        install_ms.insert((*name).to_owned(), json!(ms));
    }
    let first_request_ms = first_request(&base)?;
    order(&base)?;

    say(&format!("{CONNECTIONS} connections ask hello without a pause; in the middle of that, version 2 takes over"));
    let load = Load::new(base.gateway, "/hello/", CONNECTIONS, &["hello from v1\n", "hello from v2\n"]).start()?;
    std::thread::sleep(TRAFFIC);
    let ms = deploy(&base, &upgrade)?;
    install_ms.insert("hello 2.0.0".to_owned(), json!(ms));
    std::thread::sleep(TRAFFIC);
    let report = load.stop()?;
    tell(&report, ms);
    if !report.bodies.contains_key(&b"hello from v2\n"[..]) {
        return Err("version 2 never answered".into());
    }

    let summary = json!({
        "modules": base.api.modules()?.len(),
        "switches": 1,
        "requests": report.right + report.lost,
        "lost": report.lost,
        "installMs": Value::Object(install_ms),
        "firstRequestMs": first_request_ms,
    });
    if json_output {
        println!("{summary}");
    }
    if report.lost > 0 {
        return Err(format!("{} requests were lost: {:?}", report.lost, report.failures).into());
    }
    if once { base.end().map(drop) } else { stay(base) }
}

/// On the usual ports where they are free, so that the commands to try are the usual ones.
fn start_for_people() -> Result<Base, Error> {
    let usual = ["--listen", "127.0.0.1:1238", "--gateway", "127.0.0.1:8080"];
    Base::start(&usual).or_else(|_| Base::start(&[]))
}

/// How long it takes until the module serves, the last step included, in milliseconds.
fn deploy(base: &Base, package: &Path) -> Result<f64, Error> {
    let began = Instant::now();
    let order = match package.file_name().and_then(|name| name.to_str()) {
        // Orders are taken from wherever this base's gateway listens.
        Some(name) if name.starts_with("orders-") => {
            json!({"url": url(package), "grants": {"config": {"inventory-url": format!("http://{}/inventory", base.gateway)}}})
        }
        _ => json!({"url": url(package)}),
    };
    let installed = base.api.install(&order)?;
    installed.map_err(|refused| refused.error.message)?;
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

fn url(package: &Path) -> String {
    format!("file://{}", package.display())
}

fn first_request(base: &Base) -> Result<f64, Error> {
    let began = Instant::now();
    let body = ureq::get(format!("http://{}/hello/", base.gateway)).call()?.body_mut().read_to_string()?;
    if body != "hello from v1\n" {
        return Err(format!("hello answered {body:?}").into());
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

/// One module calls another through the base.
fn order(base: &Base) -> Result<(), Error> {
    let url = format!("http://{}/orders/orders", base.gateway);
    let answer = ureq::post(url).content_type("application/json").send(r#"{"sku":"TEA-1","quantity":2}"#)?.body_mut().read_to_string()?;
    say(&format!("orders asked inventory, and answers {}", answer.trim()));
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

fn stay(mut base: Base) -> Result<(), Error> {
    let (api, gateway) = (base.api.url().to_owned(), base.gateway);
    say("the base stays up until Ctrl-C; try");
    for line in [
        format!("curl http://{gateway}/hello/"),
        format!("curl -d 'sku' http://{gateway}/orders/orders -H 'content-type: application/json'"),
        format!("cargo run -q --release -p arkctl -- --base {api} status"),
        format!("cargo run -q --release -p arkctl -- --base {api} inspect hello"),
        format!("cargo run -q --release -p arkctl -- --base {api} top"),
        format!("curl {api}/metrics"),
    ] {
        say(&format!("  {line}"));
    }
    // Ctrl-C reaches the base too, which ends in its own time.
    base.wait()
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
