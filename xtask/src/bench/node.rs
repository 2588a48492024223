//! N1: a module of Node.js beside the same application run by `node` itself: start, memory, requests, replacements, cycles.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use harness::{
    Error,
    base::{Base, status},
    load::Load,
    node,
};
use serde_json::{Value, json};

use super::{
    Measured, median,
    peers::{Peer, free_address},
    rounded, say,
};

const STARTS: usize = 10;
const MODULES: usize = 10;
const REPLACEMENTS: usize = 50;
const CYCLES: usize = 200;
/// When the first figures of the cycles are taken.
const WARM: usize = 50;
const CONNECTIONS: usize = 8;
/// For requests a second as many as in the measurements that the promise stands on: fewer leave processors idle.
const MANY: usize = 32;
const TRAFFIC: Duration = Duration::from_secs(5);
/// Between two starts, so that each finds what a base keeps ready.
const PAUSE: Duration = Duration::from_millis(600);
const PATH: &str = "/hello/version";
const ANSWERS: [&str; 2] = ["v1.0.0", "v2.0.0"];
const START_MS: f64 = 60.0;
const EACH_MIB: f64 = 10.0;
const REQUESTS: f64 = 0.6;
/// What the supervisor may have grown by over the cycles.
const GROWN_MIB: f64 = 4.0;
const GROWN_DESCRIPTORS: i64 = 4;

/// What the supervisor uses.
struct Usage {
    resident_mib: f64,
    descriptors: i64,
    threads: i64,
}

pub(super) fn measure() -> Result<Measured, Error> {
    let base = node::base(&[])?;
    let starts = [starts(&base, "process")?, starts(&base, "worker")?].map(median);
    let each = [each_mib(&base, "process")?, each_mib(&base, "worker")?];
    let rates = throughput(&base)?;
    let (replaced, lost, p99) = replacements(&base)?;
    let (warm, end) = cycles(&base)?;

    let relative = rates.process / rates.node;
    let grown = end.resident_mib - warm.resident_mib;
    let flat = grown <= GROWN_MIB && end.descriptors - warm.descriptors <= GROWN_DESCRIPTORS && end.threads <= warm.threads;
    let [start, start_of_worker] = starts;
    let [each, each_worker] = each;
    Ok(Measured {
        figures: json!({
            "startMs": rounded(start),
            "startOfWorkerMs": rounded(start_of_worker),
            "starts": STARTS,
            "privateMibEach": rounded(each),
            "privateMibEachWorker": rounded(each_worker),
            "perSecond": rates.process.round(),
            "perSecondOfWorker": rates.worker.round(),
            "perSecondOfNodeItself": rates.node.round(),
            "perSecondOfWatt": rates.watt.round(),
            "replacements": REPLACEMENTS,
            "requestsMeanwhile": replaced,
            "lost": lost,
            "p99MsMeanwhile": rounded(p99),
            "cycles": CYCLES,
            "supervisorMib": [rounded(warm.resident_mib), rounded(end.resident_mib)],
            "supervisorDescriptors": [warm.descriptors, end.descriptors],
            "supervisorThreads": [warm.threads, end.threads],
        }),
        ratio: json!({
            "requestsToNodeItself": rounded(relative),
            "requestsToWatt": rounded(rates.process / rates.watt),
            "wattToNodeItself": rounded(rates.watt / rates.node),
            "startTo60Ms": rounded(start / START_MS),
        }),
        holds: start <= START_MS && each <= EACH_MIB && relative >= REQUESTS && rates.process > rates.watt && lost == 0 && flat,
    })
}

fn order(name: &str, version: &str, isolation: &str) -> Result<Value, Error> {
    let package = node::package("hello", version)?;
    let (id, url) = (json!({"name": name, "version": version}), format!("file://{}", package.display()));
    Ok(json!({"id": id, "url": url, "options": {"isolation": isolation}}))
}

fn install(base: &Base, order: &Value) -> Result<(), Error> {
    base.api.install(order)?.map(drop).map_err(|refused| refused.error.message.into())
}

fn uninstall(base: &Base, name: &str, version: &str) -> Result<(), Error> {
    base.api.uninstall(name, version)?.map(drop).map_err(|refused| refused.error.message.into())
}

fn answer(address: SocketAddr, path: &str) -> Result<String, Error> {
    Ok(ureq::get(format!("http://{address}{path}")).call()?.body_mut().read_to_string()?)
}

/// From the order to the first answer, in milliseconds.
fn starts(base: &Base, isolation: &str) -> Result<Vec<f64>, Error> {
    let order = order("hello", "1.0.0", isolation)?;
    let mut took = Vec::new();
    for _ in 0..STARTS {
        std::thread::sleep(PAUSE);
        let began = Instant::now();
        install(base, &order)?;
        answer(base.gateway, PATH)?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        uninstall(base, "hello", "1.0.0")?;
    }
    say(&format!("  {isolation}, from order to answer: {}", took.iter().map(|ms| format!("{ms:.0}")).collect::<Vec<_>>().join(", ")));
    Ok(took)
}

/// The memory that is a module's alone.
fn each_mib(base: &Base, isolation: &str) -> Result<f64, Error> {
    let names: Vec<String> = (0..MODULES).map(|number| format!("m{number}")).collect();
    let private = || -> Result<f64, Error> {
        let mut kib = 0;
        for pid in children(base.pid())? {
            let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let lines = rollup.lines().filter(|line| line.starts_with("Private_Dirty:"));
            kib += lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(kib as f64 / 1_024.0)
    };
    std::thread::sleep(PAUSE);
    let before = private()?;
    for name in &names {
        install(base, &order(name, "1.0.0", isolation)?)?;
        answer(base.gateway, &format!("/{name}/version"))?;
        std::thread::sleep(PAUSE);
    }
    let each = (private()? - before) / MODULES as f64;
    for name in &names {
        uninstall(base, name, "1.0.0")?;
    }
    say(&format!("  {isolation}: {each:.1} MiB each"));
    Ok(each)
}

fn children(pid: u32) -> Result<Vec<u32>, Error> {
    let output = Command::new("pgrep").args(["-P", &pid.to_string()]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect())
}

/// Requests a second.
struct Rates {
    process: f64,
    worker: f64,
    node: f64,
    watt: f64,
}

/// Requests a second through the base, of `node` itself, and through Watt's gateway, in turn.
fn throughput(base: &Base) -> Result<Rates, Error> {
    install(base, &order("hello", "1.0.0", "process")?)?;
    install(base, &order("worker", "1.0.0", "worker")?)?;
    let address = free_address()?;
    let mut command = Command::new("node");
    command.arg(harness::root().join("examples/node/hello/server.js")).env("PORT", address.port().to_string());
    let (itself, watt) = (Peer::start(command, address)?, Peer::watt()?);
    let targets = [(base.gateway, PATH), (base.gateway, "/worker/version"), (itself.address, "/version"), (watt.address, PATH)];
    let mut rates = targets.map(|_| Vec::new());
    for round in 1..=3 {
        for ((target, path), rates) in targets.into_iter().zip(&mut rates) {
            let report = Load::new(target, path, MANY, &ANSWERS).run(TRAFFIC)?;
            let (rate, p99) = (report.per_second(), report.quantile_ms(0.99));
            say(&format!("  round {round}: {rate:.0} requests/s at {path} of {target}, p99 {p99:.2} ms"));
            rates.push(rate);
        }
    }
    uninstall(base, "worker", "1.0.0")?;
    let [process, worker, node, watt] = rates.map(median);
    if watt == 0.0 {
        return Err("Watt does not answer".into());
    }
    Ok(Rates { process, worker, node, watt })
}

/// Requests, those lost, and the 99th percentile, while the module is replaced.
fn replacements(base: &Base) -> Result<(u64, u64, f64), Error> {
    let load = Load::new(base.gateway, PATH, CONNECTIONS, &ANSWERS).start()?;
    for round in 1..=REPLACEMENTS {
        install(base, &order("hello", if round % 2 == 1 { "2.0.0" } else { "1.0.0" }, "process")?)?;
    }
    let report = load.stop()?;
    uninstall(base, "hello", "1.0.0")?;
    Ok((report.right + report.lost, report.lost, report.quantile_ms(0.99)))
}

fn cycles(base: &Base) -> Result<(Usage, Usage), Error> {
    let order = order("hello", "1.0.0", "process")?;
    let mut warm = None;
    for cycle in 1..=CYCLES {
        install(base, &order)?;
        answer(base.gateway, PATH)?;
        uninstall(base, "hello", "1.0.0")?;
        if cycle == WARM {
            warm = Some(usage(base)?);
        }
    }
    Ok((warm.ok_or("no cycle")?, usage(base)?))
}

fn usage(base: &Base) -> Result<Usage, Error> {
    // Whatever ends with a module has ended.
    std::thread::sleep(PAUSE);
    Ok(Usage {
        resident_mib: status(base.pid(), "VmRSS:")? as f64 / 1_024.0,
        descriptors: i64::try_from(std::fs::read_dir(format!("/proc/{}/fd", base.pid()))?.count())?,
        threads: i64::try_from(status(base.pid(), "Threads:")?)?,
    })
}
