//! J2: the same base and module, ours as ordinary jars under the agent and theirs built for Koupleless, in turn on the same machine.

use std::time::Duration;

use harness::{Error, jvm::Usage, load::Load};
use serde_json::{Map, Value, json};

use super::{
    super::{Measured, median, rounded, say},
    contender::{Base, Jars, System},
    mib,
};

const STARTS: usize = 7;
const MODULES: usize = 10;
const CYCLES: usize = 60;
const UPGRADES: u32 = 20;
const CONNECTIONS: usize = 8;
/// How long a base is left alone before its memory is looked at, after its start and after modules: compilers have ended by then, and what they
/// took is given back.
const REST_AFTER_START: Duration = Duration::from_secs(3);
const REST: Duration = Duration::from_secs(8);
const BETWEEN_UPGRADES: Duration = Duration::from_millis(500);
/// The module that comes and goes, and is replaced.
const ONE: &str = "one";
/// What the agent may cost a base.
const START_COST_MS: f64 = 100.0;
const START_COST_MIB: f64 = 8.0;
/// What is promised of the time to be ready and of resident memory.
const PROMISED: f64 = 0.6;

const READY_P50: &str = "ready p50, ms";

/// Our figure and theirs; less is better.
struct Line {
    what: &'static str,
    ours: f64,
    theirs: f64,
}

impl Line {
    fn ahead(&self) -> bool {
        self.ours < self.theirs
    }
}

/// Ours and theirs.
struct Pair<T> {
    ours: T,
    theirs: T,
}

impl<T> Pair<T> {
    fn each<R>(&self, mut figure: impl FnMut(&T) -> R) -> Pair<R> {
        Pair { ours: figure(&self.ours), theirs: figure(&self.theirs) }
    }

    fn try_each<R>(&self, mut figure: impl FnMut(&T) -> Result<R, Error>) -> Result<Pair<R>, Error> {
        Ok(Pair { ours: figure(&self.ours)?, theirs: figure(&self.theirs)? })
    }
}

pub(crate) fn measure() -> Result<Measured, Error> {
    let names = (0..MODULES).map(|number| (module(number), 1));
    let jars = Jars::build(&names.chain([(ONE.to_owned(), 1), (ONE.to_owned(), 2)]).collect::<Vec<_>>())?;
    let mut lines = Vec::new();
    let mut figures = Map::new();

    let starts = starts(&jars, &mut figures)?;
    lines.extend(starts.lines());
    let resident = modules(&jars, &starts.plain, &mut lines, &mut figures)?;
    cycles(&jars, &mut lines, &mut figures)?;
    let upgraded = upgrades(&jars, &mut lines, &mut figures)?;

    for line in &lines {
        let ahead = if line.ahead() { "ahead" } else { "BEHIND" };
        say(&format!("  {:<44} ours {:>10.2}   theirs {:>10.2}   {ahead}", line.what, line.ours, line.theirs));
    }
    let ratio = |what: &str| lines.iter().find(|line| line.what == what).map_or(f64::NAN, |line| line.ours / line.theirs);
    let (ready, resident) = (ratio(READY_P50), resident.ours / resident.theirs);
    let ahead = lines.iter().all(Line::ahead);
    let cheap = starts.cost_ms.ours <= START_COST_MS && starts.cost_mib.ours <= START_COST_MIB;
    let told = |line: &Line| {
        let ratio = rounded(line.ours / line.theirs);
        json!({"line": line.what, "ours": rounded(line.ours), "koupleless": rounded(line.theirs), "ratio": ratio, "ahead": line.ahead()})
    };
    figures.insert("lines".to_owned(), lines.iter().map(told).collect());
    Ok(Measured {
        figures: Value::Object(figures),
        ratio: json!({
            "readyP50": rounded(ready),
            "residentPerModuleFromOwnBase": rounded(resident),
            "startCostTo100Ms": rounded(starts.cost_ms.ours / START_COST_MS),
            "startCostTo8Mib": rounded(starts.cost_mib.ours / START_COST_MIB),
            "aheadOnEveryLine": ahead,
        }),
        holds: ready <= PROMISED && resident <= PROMISED && cheap && ahead && upgraded,
    })
}

/// What is compared of a base with ten modules: a tenth of what it has more than the plain base. So all counts that a system brings for its
/// modules, wherever that is: their libraries are in the base of Koupleless, and come with our first module.
struct Memory {
    what: &'static str,
    figure: fn(&Usage) -> f64,
}

const RESIDENT: Memory = Memory { what: "resident per module, MiB", figure: |usage| mib(usage.resident) };
const MEMORY: [Memory; 4] = [
    RESIDENT,
    Memory { what: "heap per module, MiB", figure: |usage| mib(usage.heap) },
    Memory { what: "metaspace per module, MiB", figure: |usage| mib(usage.metaspace) },
    Memory { what: "classes per module", figure: |usage| usage.classes as f64 },
];

fn module(number: usize) -> String {
    format!("m{number}")
}

/// What each system costs the base.
struct Starts {
    cost_ms: Pair<f64>,
    cost_mib: Pair<f64>,
    /// What the plain base has of each of [`MEMORY`].
    plain: [f64; MEMORY.len()],
}

impl Starts {
    fn lines(&self) -> [Line; 2] {
        [
            Line { what: "start of the base, ms more than without", ours: self.cost_ms.ours, theirs: self.cost_ms.theirs },
            Line { what: "base resident, MiB more than without", ours: self.cost_mib.ours, theirs: self.cost_mib.theirs },
        ]
    }
}

/// One start of a base.
struct Start {
    ms: f64,
    cpu_ms: f64,
    usage: Usage,
}

fn starts(jars: &Jars, figures: &mut Map<String, Value>) -> Result<Starts, Error> {
    let systems = [("plain", System::Plain), ("agent", System::Agent), ("koupleless", System::Koupleless)];
    let mut seen = [const { Vec::new() }; 3];
    for round in 1..=STARTS {
        for ((name, system), seen) in systems.iter().zip(&mut seen) {
            let base = Base::start(*system, jars)?;
            std::thread::sleep(REST_AFTER_START);
            let start = Start { ms: base.first_answer_ms, cpu_ms: base.first_answer_cpu_ms, usage: base.usage()? };
            say(&format!(
                "  start {round}: {name:<10} {:>6.0} ms, {:>6.0} ms CPU, {:>6.1} MiB resident",
                start.ms,
                start.cpu_ms,
                mib(start.usage.resident)
            ));
            seen.push(start);
        }
    }
    let [plain, ..] = &seen;
    let in_plain = MEMORY.map(|memory| median(plain.iter().map(|start| (memory.figure)(&start.usage)).collect()));
    let [plain, agent, koupleless] = seen.map(|seen| {
        let middle = |figure: fn(&Start) -> f64| rounded(median(seen.iter().map(figure).collect()));
        json!({
            "firstAnswerMs": middle(|start| start.ms),
            "firstAnswerCpuMs": middle(|start| start.cpu_ms),
            "residentMib": middle(|start| mib(start.usage.resident)),
            "heapMib": middle(|start| mib(start.usage.heap)),
            "metaspaceMib": middle(|start| mib(start.usage.metaspace)),
            "classes": middle(|start| start.usage.classes as f64),
            "threads": middle(|start| start.usage.threads as f64),
        })
    });
    let cost = |key: &str| {
        let of = |figures: &Value| figures.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        Pair { ours: of(&agent) - of(&plain), theirs: of(&koupleless) - of(&plain) }
    };
    let starts = Starts { cost_ms: cost("firstAnswerMs"), cost_mib: cost("residentMib"), plain: in_plain };
    figures.insert("starts".to_owned(), json!({"each": STARTS, "plain": plain, "agent": agent, "koupleless": koupleless}));
    Ok(starts)
}

/// What both use when they have come to rest.
fn at_rest(bases: &Pair<Base<'_>>) -> Result<Pair<Usage>, Error> {
    std::thread::sleep(REST);
    bases.try_each(Base::usage)
}

fn pair(jars: &Jars) -> Result<Pair<Base<'_>>, Error> {
    Ok(Pair { ours: Base::start(System::Agent, jars)?, theirs: Base::start(System::Koupleless, jars)? })
}

/// Ten modules, in both bases in turn. Answers with the resident memory of each, where it is counted from the system's own base.
fn modules(jars: &Jars, plain: &[f64; MEMORY.len()], lines: &mut Vec<Line>, figures: &mut Map<String, Value>) -> Result<Pair<f64>, Error> {
    let bases = pair(jars)?;
    let before = at_rest(&bases)?;
    // Theirs is slimmed: its libraries were built into the base, and are loaded.
    let prepared = bases.ours.prepare(&module(0), 1)?;
    let mut ready = Pair { ours: Vec::new(), theirs: Vec::new() };
    let mut with_one = None;
    for number in 0..MODULES {
        let name = module(number);
        ready.ours.push(bases.ours.install(&name, 1)?);
        ready.theirs.push(bases.theirs.install(&name, 1)?);
        let last = ready.each(|ready| ready.last().copied().unwrap_or(f64::NAN));
        say(&format!("  module {name}: ready in {:.0} ms, theirs in {:.0} ms", last.ours, last.theirs));
        if number == 0 {
            with_one = Some(at_rest(&bases)?);
        }
    }
    let (Some(with_one), with_all) = (with_one, at_rest(&bases)?) else { return Err("there are no modules".into()) };

    let first = ready.each(|ready| ready.first().copied().unwrap_or(f64::NAN));
    let p50 = ready.each(|ready| median(ready.clone()));
    lines.push(Line { what: "ready first, its libraries loaded before, ms", ours: first.ours, theirs: first.theirs });
    lines.push(Line { what: READY_P50, ours: p50.ours, theirs: p50.theirs });
    for (Memory { what, figure }, plain) in MEMORY.iter().zip(plain) {
        let each = with_all.each(|usage| (figure(usage) - plain) / MODULES as f64);
        lines.push(Line { what, ours: each.ours, theirs: each.theirs });
    }
    let more = |before: &Usage, after: &Usage, modules: usize| {
        let more = |figure: fn(&Usage) -> f64| rounded((figure(after) - figure(before)) / modules as f64);
        json!({
            "residentMib": more(|usage| mib(usage.resident)),
            "heapMib": more(|usage| mib(usage.heap)),
            "metaspaceMib": more(|usage| mib(usage.metaspace)),
            "classes": more(|usage| usage.classes as f64),
            "threads": more(|usage| usage.threads as f64),
            "descriptors": more(|usage| usage.descriptors as f64),
        })
    };
    let from_own_base = json!({
        "agent": more(&before.ours, &with_all.ours, MODULES),
        "koupleless": more(&before.theirs, &with_all.theirs, MODULES),
    });
    // Ours comes with the layer of libraries, once.
    let first_costs = json!({
        "agent": more(&before.ours, &with_one.ours, 1),
        "koupleless": more(&before.theirs, &with_one.theirs, 1),
    });
    let each_further = json!({
        "agent": more(&with_one.ours, &with_all.ours, MODULES - 1),
        "koupleless": more(&with_one.theirs, &with_all.theirs, MODULES - 1),
    });
    let all_ready = ready.each(|ready| ready.iter().map(|ms| rounded(*ms)).collect::<Vec<_>>());
    figures.insert(
        "modules".to_owned(),
        json!({
            "modules": MODULES,
            "preparedMs": rounded(prepared),
            "readyMs": {"agent": all_ready.ours, "koupleless": all_ready.theirs},
            "eachFromOwnBase": from_own_base,
            "first": first_costs,
            "eachFurther": each_further,
        }),
    );
    let resident = |before: &Usage, after: &Usage| ((RESIDENT.figure)(after) - (RESIDENT.figure)(before)) / MODULES as f64;
    Ok(Pair { ours: resident(&before.ours, &with_all.ours), theirs: resident(&before.theirs, &with_all.theirs) })
}

/// One module that comes and goes, in both bases in turn.
fn cycles(jars: &Jars, lines: &mut Vec<Line>, figures: &mut Map<String, Value>) -> Result<(), Error> {
    let bases = pair(jars)?;
    // What the first install brings for good is not what a cycle costs.
    let cycle = |base: &Base<'_>| {
        let ready = base.install(ONE, 1)?;
        base.uninstall(ONE, 1)?;
        Ok(ready)
    };
    bases.try_each(cycle)?;
    let before = bases.try_each(Base::usage)?;
    let mut ready = Pair { ours: Vec::new(), theirs: Vec::new() };
    for number in 1..=CYCLES {
        let took = bases.try_each(cycle)?;
        ready.ours.push(took.ours);
        ready.theirs.push(took.theirs);
        if number % 10 == 0 {
            say(&format!("  cycle {number}: ready in {:.0} ms, theirs in {:.0} ms", took.ours, took.theirs));
        }
    }
    let after = bases.try_each(Base::usage)?;
    let loaders = bases.try_each(Base::loaders)?;
    let told = |before: &Usage, after: &Usage, ready: &[f64], loaders: u64| {
        let more = |figure: fn(&Usage) -> u64| rounded((mib(figure(after)) - mib(figure(before))) / CYCLES as f64);
        json!({
            "readyP50Ms": rounded(median(ready.to_vec())),
            "heapMibAfter": rounded(mib(after.heap)),
            "residentMibAfter": rounded(mib(after.resident)),
            "heapMibPerCycle": more(|usage| usage.heap),
            "metaspaceMibPerCycle": more(|usage| usage.metaspace),
            "residentMibPerCycle": more(|usage| usage.resident),
            "loadersAlive": loaders,
        })
    };
    figures.insert(
        "cycles".to_owned(),
        json!({
            "cycles": CYCLES,
            "agent": told(&before.ours, &after.ours, &ready.ours, loaders.ours),
            "koupleless": told(&before.theirs, &after.theirs, &ready.theirs, loaders.theirs),
        }),
    );
    lines.push(Line { what: "heap after 60 cycles, MiB", ours: mib(after.ours.heap), theirs: mib(after.theirs.heap) });
    Ok(())
}

/// A module that is replaced under load. Answers whether ours lost nothing.
fn upgrades(jars: &Jars, lines: &mut Vec<Line>, figures: &mut Map<String, Value>) -> Result<bool, Error> {
    let one = |system| -> Result<_, Error> {
        let base = Base::start(system, jars)?;
        let first = base.install(ONE, 1)?;
        let load = Load::new(base.gateway, &format!("/{ONE}/version"), CONNECTIONS, &["v1", "v2"]).start()?;
        let mut steps = Vec::new();
        for number in 0..UPGRADES {
            std::thread::sleep(BETWEEN_UPGRADES);
            let began = std::time::Instant::now();
            let (from, to) = if number % 2 == 0 { (1, 2) } else { (2, 1) };
            base.upgrade(ONE, from, to)?;
            steps.push(began.elapsed().as_secs_f64() * 1e3);
        }
        std::thread::sleep(BETWEEN_UPGRADES);
        let report = load.stop()?;
        let figures = json!({
            "requests": report.right + report.lost,
            "lost": report.lost,
            "bodies": report.bodies.len(),
            "readyFirstUnpreparedMs": rounded(first),
            "upgradeP50Ms": rounded(median(steps)),
            "p50Ms": report.quantile_ms(0.5),
            "p99Ms": report.quantile_ms(0.99),
            "failures": report.failures.first(),
        });
        Ok((report, figures))
    };
    let (ours, our_figures) = one(System::Agent)?;
    let (theirs, their_figures) = one(System::Koupleless)?;
    lines.push(Line { what: "requests lost in 20 upgrades", ours: ours.lost as f64, theirs: theirs.lost as f64 });
    figures.insert("upgrades".to_owned(), json!({"upgrades": UPGRADES, "agent": our_figures, "koupleless": their_figures}));
    Ok(ours.lost == 0 && ours.bodies.len() == 2)
}
