//! W1: one small component under full load.

use std::time::Duration;

use harness::{Error, base::Base, load::Load, samples};
use serde_json::{Map, Value, json};

use super::{
    Measured, median,
    peers::{Peer, wasmtime},
    rounded, say,
};

const ROUNDS: usize = 3;
const LASTS: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 32;
const BODY: &str = "hello from v1\n";
/// What makes wasmtime's own server fastest, as far as its flags go.
const BEST_FLAGS: [&str; 8] = [
    "-O",
    "pooling-allocator=y",
    "-O",
    "pooling-memory-keep-resident=4194304",
    "-O",
    "pooling-table-keep-resident=65536",
    "-O",
    "pooling-pagemap-scan=y",
];

enum Server {
    Base(Box<Base>),
    Peer(Peer),
}

impl Server {
    fn cpu_time(&self) -> Result<Duration, Error> {
        match self {
            Self::Base(base) => base.cpu_time(),
            Self::Peer(peer) => peer.cpu_time(),
        }
    }

    fn load(&self, path: &str) -> Load {
        let address = match self {
            Self::Base(base) => base.gateway,
            Self::Peer(peer) => peer.address,
        };
        Load::new(address, path, CONNECTIONS, &[BODY])
    }
}

struct Contender {
    name: &'static str,
    path: &'static str,
    server: Server,
    per_second: Vec<f64>,
    cpu_micros: Vec<f64>,
}

pub(super) fn measure() -> Result<Measured, Error> {
    wasmtime()?;
    let hello = samples::sample("hello", 1)?;
    let folder = tempfile::tempdir()?;
    let reusing = folder.path().join("reusing.wasm");
    samples::remade(&hello, &reusing, |manifest| manifest.reuse = Some(1_000_000))?;
    let base = |package: &std::path::Path| -> Result<Server, Error> {
        let base = Base::start(&[])?;
        base.api.install_file(package)?;
        while base.api.modules()?.iter().any(|module| module.build != "optimised") {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Server::Base(Box::new(base)))
    };
    let contender = |name, path, server| Contender { name, path, server, per_second: Vec::new(), cpu_micros: Vec::new() };
    let mut contenders = [
        contender("base", "/hello/", base(&hello)?),
        contender("baseReuse", "/hello/", base(&reusing)?),
        contender("wasmtimeServe", "/", Server::Peer(Peer::wasmtime_serve(&hello, &[])?)),
        contender("wasmtimeServeBestFlags", "/", Server::Peer(Peer::wasmtime_serve(&hello, &BEST_FLAGS)?)),
        contender("nativeHyper", "/", Server::Peer(Peer::native()?)),
    ];
    for contender in &contenders {
        contender.server.load(contender.path).run(Duration::from_millis(500))?;
    }
    for round in 1..=ROUNDS {
        for contender in &mut contenders {
            let before = contender.server.cpu_time()?;
            let report = contender.server.load(contender.path).run(LASTS)?;
            if report.lost > 0 {
                return Err(format!("{} lost {} requests: {:?}", contender.name, report.lost, report.failures).into());
            }
            let cpu = (contender.server.cpu_time()? - before).as_secs_f64() * 1e6 / report.right as f64;
            say(&format!(
                "  round {round}: {:<24} {:>8.0} requests/s, {cpu:>6.1} us CPU each, p99 {:.2} ms",
                contender.name,
                report.per_second(),
                report.quantile_ms(0.99)
            ));
            contender.per_second.push(report.per_second());
            contender.cpu_micros.push(cpu);
        }
    }
    let mut figures = Map::new();
    for contender in &contenders {
        figures.insert(format!("{}PerSecond", contender.name), json!(median(contender.per_second.clone()).round()));
        figures.insert(format!("{}CpuMicros", contender.name), json!(rounded(median(contender.cpu_micros.clone()))));
    }
    let per_second = |name: &str| figures.get(&format!("{name}PerSecond")).and_then(Value::as_f64).unwrap_or(f64::NAN);
    let shipped = per_second("base") / per_second("wasmtimeServe");
    let best = per_second("base") / per_second("wasmtimeServeBestFlags");
    let native = per_second("baseReuse") / per_second("nativeHyper");
    Ok(Measured {
        ratio: json!({"toWasmtimeServe": rounded(shipped), "toWasmtimeServeBestFlags": rounded(best), "reuseToNativeHyper": rounded(native)}),
        holds: shipped >= 3.0 && best >= 1.4 && native >= 0.5,
        figures: figures.into(),
    })
}
