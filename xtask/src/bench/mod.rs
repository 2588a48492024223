//! `cargo xtask bench`: measures each promise of SPECIFICATION.md, as ratios inside one run.

mod density;
mod install;
mod peers;
mod switching;
mod throughput;

use std::io::Write;

use harness::Error;
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

type Promise = (&'static str, &'static str, fn() -> Result<Measured, Error>);

const PROMISES: [Promise; 4] = [
    ("W1", "requests/s and CPU per request, against wasmtime's own server and native hyper", throughput::measure),
    ("W2", "from install to the first answer, cached and fresh", install::measure),
    ("W3", "1,000 switches under full load", switching::measure),
    ("W4", "memory of idle modules", density::measure),
];

pub(crate) fn run(wanted: &[&str], json_output: bool) -> Result<(), Error> {
    if let Some(unknown) = wanted.iter().find(|name| !PROMISES.iter().any(|(promise, ..)| promise == *name)) {
        return Err(format!("there is no promise {unknown}; there are W1, W2, W3 and W4").into());
    }
    let mut all = Map::new();
    for (name, what, measure) in PROMISES.iter().filter(|(name, ..)| wanted.is_empty() || wanted.contains(name)) {
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
