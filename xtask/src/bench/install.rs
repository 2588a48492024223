//! W2: how long it takes from the order to the first answer.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use harness::{Error, base::Base, samples};
use serde_json::json;

use super::{Measured, median, peers::wasmtime, quantile, rounded};

const CACHED: usize = 300;
const FRESH: usize = 5;

pub(super) fn measure() -> Result<Measured, Error> {
    let wasmtime = wasmtime()?;
    let (hello, render) = (samples::sample("hello", 1)?, samples::sample("render", 1)?);
    let cached = cached(&hello)?;
    let (mut fresh, mut compile) = (Vec::new(), Vec::new());
    for _ in 0..FRESH {
        fresh.push(first_answer(&Base::start(&[])?, &render, "/render/health")?);
        let out = tempfile::NamedTempFile::new()?;
        let began = Instant::now();
        let status = Command::new(&wasmtime).arg("compile").arg(&render).arg("-o").arg(out.path()).status()?;
        compile.push(began.elapsed().as_secs_f64() * 1_000.0);
        if !status.success() {
            return Err("wasmtime compile failed".into());
        }
    }
    let (p50, p99) = (quantile(cached.clone(), 0.5), quantile(cached, 0.99));
    let (fresh, compile) = (median(fresh), median(compile));
    let ratio = fresh / compile;
    Ok(Measured {
        figures: json!({
            "cachedP50Ms": rounded(p50),
            "cachedP99Ms": rounded(p99),
            "freshMs": rounded(fresh),
            "wasmtimeCompileMs": rounded(compile),
            "freshPackageBytes": std::fs::metadata(&render)?.len(),
        }),
        ratio: json!({"freshToOptimisingCompile": rounded(ratio)}),
        holds: p50 <= 2.0 && p99 <= 10.0 && ratio <= 0.25,
    })
}

fn cached(package: &Path) -> Result<Vec<f64>, Error> {
    let base = Base::start(&[])?;
    base.api.install_file(package)?;
    while base.api.modules()?.iter().any(|module| module.build != "optimised") {
        std::thread::sleep(Duration::from_millis(20));
    }
    let remove = || base.api.uninstall("hello", "1.0.0")?.map(drop).map_err(|refused| Error::from(refused.error.message));
    remove()?;
    let mut times = Vec::new();
    for _ in 0..CACHED {
        times.push(first_answer(&base, package, "/hello/")?);
        remove()?;
    }
    Ok(times)
}

/// From the order to the end of the first answer, in milliseconds.
fn first_answer(base: &Base, package: &Path, path: &str) -> Result<f64, Error> {
    let began = Instant::now();
    base.api.install_file(package)?;
    let status = ureq::get(format!("http://{}{path}", base.gateway)).call()?.status();
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    if status == 200 { Ok(took) } else { Err(format!("the first answer had status {status}").into()) }
}
