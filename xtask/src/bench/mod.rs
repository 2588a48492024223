//! `cargo xtask bench`: measures each promise of SPECIFICATION.md, as ratios inside one run.

mod density;
mod fleet;
mod install;
mod jvm;
mod node;
mod peers;
mod switching;
mod throughput;

use std::io::Write;

use harness::{Error, jvm::Jdk};
use serde_json::{Map, Value, json};

pub(crate) use peers::native;

/// What one promise was measured to.
struct Measured {
    /// Every raw figure, with its unit in its name.
    figures: Value,
    /// What is compared.
    ratio: Value,
    /// Whether the promise held in this run.
    holds: bool,
}

struct Promise {
    name: &'static str,
    what: &'static str,
    measure: fn() -> Result<Measured, Error>,
    /// What it needs of the machine, beside what all need.
    needs: Needs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Jdk,
    Node,
}

const fn promise(name: &'static str, what: &'static str, measure: fn() -> Result<Measured, Error>) -> Promise {
    Promise { name, what, measure, needs: Needs::Nothing }
}

const fn promise_on_jvm(name: &'static str, what: &'static str, measure: fn() -> Result<Measured, Error>) -> Promise {
    Promise { needs: Needs::Jdk, ..promise(name, what, measure) }
}

const PROMISES: [Promise; 11] = [
    promise("W1", "requests/s and CPU per request, against wasmtime's own server and native hyper", throughput::measure),
    promise("W2", "from install to the first answer, cached and fresh", install::measure),
    promise("W3", "1,000 switches under full load", switching::measure),
    promise("W4", "memory of idle modules", density::measure),
    promise_on_jvm("J1", "class loading, against URLClassLoader", jvm::loading::measure),
    promise_on_jvm("J2", "a base and its modules, side by side with Koupleless", jvm::side_by_side::measure),
    promise_on_jvm("J3", "500 cycles of install, call and uninstall", jvm::cycles::measure),
    promise_on_jvm("J4", "100 replacements under load, in both web modes", jvm::replacing::measure),
    Promise { needs: Needs::Node, ..promise("N1", "a module of Node.js beside node itself", node::measure) },
    promise("C1", "plans for 1,000 bases with 100 modules each", fleet::plan),
    promise("C2", "10,000 worlds of faults", fleet::faults),
];

/// What is to be measured.
pub(crate) struct Wanted(Vec<&'static Promise>);

/// The promises of these names; without names, all that this machine can measure.
pub(crate) fn wanted(names: &[&str]) -> Result<Wanted, Error> {
    if let Some(unknown) = names.iter().find(|name| !PROMISES.iter().any(|promise| promise.name == **name)) {
        let all: Vec<&str> = PROMISES.iter().map(|promise| promise.name).collect();
        return Err(format!("there is no promise {unknown}; there are {}", all.join(", ")).into());
    }
    if !names.is_empty() {
        return Ok(Wanted(PROMISES.iter().filter(|promise| names.contains(&promise.name)).collect()));
    }
    let mut lacking = Vec::new();
    if let Err(problem) = Jdk::current() {
        say(&format!("what is promised of modules on the JVM is left out: {problem}"));
        lacking.push(Needs::Jdk);
    }
    if let Err(problem) = harness::node::installed() {
        say(&format!("what is promised of modules of Node.js is left out: {problem}"));
        lacking.push(Needs::Node);
    }
    Ok(Wanted(PROMISES.iter().filter(|promise| !lacking.contains(&promise.needs)).collect()))
}

pub(crate) fn run(wanted: &Wanted, json_output: bool) -> Result<(), Error> {
    let mut all = Map::new();
    for Promise { name, what, measure, .. } in &wanted.0 {
        say(&format!("{name}: {what}"));
        let measured = measure()?;
        say(&format!(
            "{name}: {}, figures {}, ratio {}",
            if measured.holds { "holds" } else { "DOES NOT HOLD" },
            measured.figures,
            measured.ratio
        ));
        all.insert((*name).to_owned(), json!({"figures": measured.figures, "ratio": measured.ratio, "holds": measured.holds}));
    }
    if json_output {
        println!("{}", Value::Object(all));
    }
    Ok(())
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The middle of some values; the lower one of two.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// The value that this share of them stays below.
fn quantile(mut values: Vec<f64>, quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * quantile) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Two digits behind the point are all that a noisy machine is worth.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
