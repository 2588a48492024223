//! J4: an application that is replaced under load loses no request, whether it answers on its own web server or the base's.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use harness::{
    Error,
    jvm::{JvmBase, sample},
    load::Load,
};
use serde_json::{Map, json};

use super::{
    super::{Measured, median, rounded, say},
    mib,
};

const REPLACEMENTS: usize = 100;
const CONNECTIONS: usize = 8;
const PATH: &str = "/catalog/version";
const BODIES: [&str; 2] = ["v1", "v2"];
/// The code that answers is compiled by then.
const WARM: Duration = Duration::from_secs(5);

pub(crate) fn measure() -> Result<Measured, Error> {
    let (mut figures, mut ratio, mut holds) = (Map::new(), Map::new(), true);
    let jars = Jars { base: sample("base")?, versions: [sample("catalog-v1")?, sample("catalog-v2")?] };
    // Every module has its own web server unless the agent is told otherwise.
    let modes: [(&str, &[&str], bool); 3] = [("own", &[], true), ("join", &["web=join"], true), ("joinAtBase", &["web=join"], false)];
    for (name, agent, at_gateway) in modes {
        let measured = run(&JvmBase::start(&jars.base, agent, &["-Xmx512m"])?, &jars, at_gateway)?;
        say(&format!("  {name}: {}", measured.figures));
        figures.insert(name.to_owned(), measured.figures);
        ratio.insert(name.to_owned(), measured.ratio);
        holds &= measured.holds;
    }
    Ok(Measured { figures: figures.into(), ratio: ratio.into(), holds })
}

struct Jars {
    base: PathBuf,
    versions: [PathBuf; 2],
}

/// Replaces an application, with the load at the gateway or at the base's own port.
fn run(base: &JvmBase, jars: &Jars, at_gateway: bool) -> Result<Measured, Error> {
    let without = base.jvm.usage()?;
    for package in &jars.versions {
        base.api.install_file(package)?;
    }
    let target = if at_gateway { base.gateway } else { base.web.ok_or("the base has no web server")? };
    load(target).run(WARM)?;
    let began = Instant::now();
    let switching = load(target).start()?;
    let mut steps = Vec::new();
    for package in jars.versions.iter().cycle().take(REPLACEMENTS) {
        let began = Instant::now();
        base.api.install_file(package)?;
        steps.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let with = switching.stop()?;
    // As long as the replacements took, so that both see the same of the machine's moods.
    let still = load(target).run(began.elapsed())?;
    base.jvm.collect_garbage()?;
    let usage = base.jvm.usage()?;
    Ok(Measured {
        figures: json!({
            "replacements": REPLACEMENTS,
            "seconds": rounded(with.elapsed.as_secs_f64()),
            "replacementP50Ms": rounded(median(steps)),
            "requests": with.right + with.lost,
            "lost": with.lost,
            "lostWithoutReplacements": still.lost,
            "failures": with.failures.first().or(still.failures.first()),
            "perSecond": with.per_second().round(),
            "p50Ms": with.quantile_ms(0.5),
            "p99Ms": with.quantile_ms(0.99),
            "perSecondWithout": still.per_second().round(),
            "p50WithoutMs": still.quantile_ms(0.5),
            "p99WithoutMs": still.quantile_ms(0.99),
            "threads": usage.threads.saturating_sub(without.threads),
            "residentMib": rounded(mib(usage.resident)),
            "metaspaceMib": rounded(mib(usage.metaspace)),
        }),
        ratio: json!({"p99ToP99Without": rounded(with.quantile_ms(0.99) / still.quantile_ms(0.99))}),
        holds: with.lost == 0 && still.lost == 0 && with.bodies.len() == BODIES.len(),
    })
}

fn load(target: SocketAddr) -> Load {
    Load::new(target, PATH, CONNECTIONS, &BODIES)
}
