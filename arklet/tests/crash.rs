//! `kill -9` at every step of an install, of a switch by hand and of an uninstall, one after the other: nothing that was accepted is lost.
//!
//! The test starts itself again as a base that kills itself at its n-th step, for n from 0 until it gets through alive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ark::{
    Base, Drained, Entry, Facts, InstanceId, Journal, ModuleSpec, Package, Packages, Prepared, Reclaimed, Running, Runtime, Started,
    Target, Traffic,
};
use ark_model::{Activation, Failure, InstallOrder, Manifest, ModuleId, State, Verdict, VerdictState};
use arklet::journal::FileJournal;
use futures_util::future::BoxFuture;

const SCENARIO: &str = "CRASH_SCENARIO";
const DIE_AT: &str = "CRASH_AT";
const FOLDER: &str = "CRASH_FOLDER";
/// More steps than any scenario has.
const NEVER: u64 = 10_000;

static STEPS: AtomicU64 = AtomicU64::new(0);
static LAST: AtomicU64 = AtomicU64::new(NEVER);

/// One step of the base's work. At the last one it is killed, as nobody can prepare for.
fn step() {
    if STEPS.fetch_add(1, Ordering::SeqCst) == LAST.load(Ordering::SeqCst) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::sleep(Duration::from_secs(60));
    }
}

struct World;

impl Packages for World {
    fn fetch<'a>(&'a self, order: &'a InstallOrder) -> BoxFuture<'a, Result<Package, Failure>> {
        Box::pin(async move {
            step();
            let sha256: Arc<str> = order.sha256.clone().unwrap_or_else(|| "a".repeat(64)).into();
            Ok(Package { sha256, size: 1, path: Path::new("/nowhere").into(), head: Arc::from(&b"x"[..]) })
        })
    }

    fn verify<'a>(&'a self, _: &'a InstallOrder, _: &'a Package) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async {
            step();
            Ok(())
        })
    }
}

impl Runtime<()> for World {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn recognises(&self, _: &Package) -> bool {
        true
    }

    fn parse<'a>(&'a self, _: &'a Package) -> BoxFuture<'a, Result<Manifest, Failure>> {
        Box::pin(async {
            step();
            Ok(Manifest::default())
        })
    }

    fn prepare<'a>(&'a self, _: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<()>>, Failure>> {
        Box::pin(async {
            step();
            Ok(Box::new(World) as Box<dyn Prepared<()>>)
        })
    }
}

impl Prepared<()> for World {
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<()>, Failure>> {
        Box::pin(async {
            step();
            Ok(Started { running: Box::new(Self), refined: None })
        })
    }
}

impl Running<()> for World {
    fn endpoint(&self) {}

    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            step();
            Ok(())
        })
    }

    fn stop(&self, _: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            step();
            Ok(())
        })
    }

    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Reclaimed> {
        Box::pin(async {
            step();
            Verdict { state: VerdictState::Unloaded, ..Verdict::default() }.into()
        })
    }
}

impl Traffic<()> for World {
    fn route(&self, _: &str, _: Vec<Target<()>>) {
        step();
    }

    fn drain(&self, _: InstanceId, _: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(async {
            step();
            Drained { cut: 0 }
        })
    }
}

/// The real journal, with a step before and after each entry, and in between where it is written and not yet known to be.
struct Stepping(FileJournal);

impl Journal for Stepping {
    fn record(&self, entry: Entry) -> BoxFuture<'static, Result<(), Failure>> {
        step();
        let recorded = self.0.record(entry);
        step();
        Box::pin(async move {
            let outcome = recorded.await;
            step();
            outcome
        })
    }
}

async fn base(folder: &Path) -> Base<()> {
    let (journal, desired) = FileJournal::open(&folder.join("journal")).unwrap();
    let base = Base::builder(|| 1).runtime(Arc::new(World)).journal(Arc::new(Stepping(journal))).build(Arc::new(World), Arc::new(World));
    assert_eq!(base.bring_up(desired, Vec::new()).await, []);
    base
}

fn id(version: &str) -> ModuleId {
    ModuleId::new("a", version).unwrap()
}

fn order(version: &str, activation: Activation) -> InstallOrder {
    InstallOrder { id: Some(id(version)), url: "file:///x".to_owned(), activation: Some(activation), ..InstallOrder::default() }
}

/// What the base of the other process does. It says what it has promised.
async fn act(base: &Base<()>, scenario: &str) {
    match scenario {
        "install" => {
            let install = base.install(order("2", Activation::Switch), None).unwrap();
            install.accepted().await.unwrap();
            println!("promised");
            install.finish().await.unwrap();
        }
        "switch" => {
            base.activate(&id("2"), None).unwrap().await.unwrap();
            println!("promised");
        }
        _ => {
            base.uninstall(&id("1"), None).unwrap().await.unwrap();
            println!("promised");
        }
    }
    println!("alive");
}

fn modules(base: &Base<()>) -> Vec<(String, bool)> {
    base.modules().into_iter().map(|module| (module.id.to_string(), module.state == State::Activated)).collect()
}

#[test]
fn whatever_was_promised_is_kept_however_the_base_dies() {
    if let (Ok(scenario), Ok(at), Ok(folder)) = (std::env::var(SCENARIO), std::env::var(DIE_AT), std::env::var(FOLDER)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let base = base(Path::new(&folder)).await;
            STEPS.store(0, Ordering::SeqCst);
            LAST.store(at.parse().unwrap(), Ordering::SeqCst);
            act(&base, &scenario).await;
        });
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    static COUNTS: Mutex<Vec<(String, u64)>> = Mutex::new(Vec::new());
    for scenario in ["install", "switch", "uninstall"] {
        for at in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let old = ("a:1".to_owned(), true);
            runtime.block_on(async {
                let base = base(folder.path()).await;
                base.install(order("1", Activation::Switch), None).unwrap().finish().await.unwrap();
                if scenario == "switch" {
                    base.install(order("2", Activation::Keep), None).unwrap().finish().await.unwrap();
                }
            });
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "whatever_was_promised_is_kept_however_the_base_dies", "--nocapture"]);
            let output = command.env(SCENARIO, scenario).env(DIE_AT, at.to_string()).env(FOLDER, folder.path()).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let (promised, alive) = (said.contains("promised"), said.contains("alive"));
            assert!(alive || !output.status.success(), "neither dead nor alive: {said}");
            let after = runtime.block_on(async { modules(&base(folder.path()).await) });
            let (before, done) = match scenario {
                "install" => (vec![old], vec![("a:2".to_owned(), true)]),
                "switch" => (vec![old, ("a:2".to_owned(), false)], vec![("a:1".to_owned(), false), ("a:2".to_owned(), true)]),
                _ => (vec![old], Vec::new()),
            };
            assert!(after == done || (!promised && after == before), "{scenario}, killed at step {at}, promised {promised}: {after:?}");
            if alive {
                COUNTS.lock().unwrap().push((scenario.to_owned(), at));
                break;
            }
        }
    }
    // An install has at least: three journal steps twice, fetch, verify, parse, prepare, start, probe, route, drain, stop, reclaim.
    let counts = COUNTS.lock().unwrap();
    assert!(counts[0].1 >= 14 && counts[1].1 >= 4 && counts[2].1 >= 7, "too few steps were tried: {counts:?}");
}
