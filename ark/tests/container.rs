//! The container with a world of its own: a runtime, a data path and packages that do as they are told and remember what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ark::{
    Base, Desired, Drained, Entry, Event, Facts, InstanceId, Journal, Listener, ModuleSpec, Package, Packages, Prepared, Reclaimed,
    Refined, Running, Runtime, Settings, Started, Target, Traffic,
};
use ark_model::{
    Activation, Failure, Fence, InstallOrder, Manifest, ModuleId, Reason, State, Step, Verdict, VerdictState,
    api::{ModuleView, Progress},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Fail,
    Panic,
    Hang,
}

/// The version, and the number of the instance.
type Endpoint = (String, u64);

#[derive(Default)]
struct Facets {
    /// What a module does at a step.
    acts: HashMap<(String, Step), Act>,
    manifests: HashMap<String, Manifest>,
    routed: BTreeMap<String, Vec<(InstanceId, Endpoint, u32)>>,
    started: BTreeSet<u64>,
    reclaimed: Vec<u64>,
    drains_are_held: bool,
    refined: BTreeSet<String>,
    failed: BTreeSet<u64>,
    log: Vec<String>,
    entries: Vec<Entry>,
    disk_full: bool,
    packages_are_anonymous: bool,
}

#[derive(Clone, Default)]
struct World(Arc<(Mutex<Facets>, tokio::sync::Notify, AtomicU64)>);

impl World {
    fn with<T>(&self, change: impl FnOnce(&mut Facets) -> T) -> T {
        change(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn act(&self, module: &str, step: Step, act: Act) {
        self.with(|facets| facets.acts.insert((module.to_owned(), step), act));
    }

    fn let_drains_go(&self) {
        self.with(|facets| facets.drains_are_held = false);
        self.0.1.notify_waiters();
    }

    async fn until(&self, is: impl Fn(&Facets) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.0.1.notified());
            changed.as_mut().enable();
            if self.with(|facets| is(facets)) {
                return;
            }
            changed.await;
        }
    }

    /// Has the instances that are routed to for `name` fail.
    fn fail(&self, name: &str) {
        self.with(|facets| {
            let numbers: Vec<u64> = facets.routed.get(name).into_iter().flatten().map(|(_, (_, number), _)| *number).collect();
            facets.failed.extend(numbers);
        });
        self.0.1.notify_waiters();
    }

    async fn step(&self, module: &str, step: Step) -> Result<(), Failure> {
        let act = self.with(|facets| {
            facets.log.push(format!("{step} {module}"));
            facets.acts.get(&(module.to_owned(), step)).copied()
        });
        tokio::task::yield_now().await;
        match act {
            None => Ok(()),
            Some(Act::Fail) => Err(Failure::new(Reason::StartFailed, format!("told to fail in {step}"))),
            Some(Act::Panic) => panic!("told to panic in {step}"),
            Some(Act::Hang) => std::future::pending().await,
        }
    }

    fn base(&self, settings: Settings) -> Base<Endpoint> {
        self.watched(settings, Vec::new())
    }

    fn watched(&self, settings: Settings, watchers: Vec<Watcher>) -> Base<Endpoint> {
        let builder = Base::builder(|| 1).settings(settings).runtime(Arc::new(self.clone())).journal(Arc::new(self.clone()));
        watchers.into_iter().fold(builder, ark::Builder::listener).build(Arc::new(self.clone()), Arc::new(self.clone()))
    }

    /// The versions of `name` that are routed to.
    fn routed(&self, name: &str) -> Vec<String> {
        self.with(|facets| facets.routed.get(name).into_iter().flatten().map(|(_, (version, _), _)| version.clone()).collect())
    }

    /// How many instances started and were not given back.
    fn alive(&self) -> usize {
        self.with(|facets| facets.started.len() - facets.reclaimed.len())
    }
}

impl Packages for World {
    fn fetch<'a>(&'a self, order: &'a InstallOrder) -> BoxFuture<'a, Result<Package, Failure>> {
        Box::pin(async move {
            self.step(&order.url, Step::Fetch).await?;
            Ok(Package { sha256: order.url.as_str().into(), size: 1, path: Path::new("/").into(), head: Arc::from(&b"x"[..]) })
        })
    }

    fn verify<'a>(&'a self, order: &'a InstallOrder, _: &'a Package) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.step(&order.url, Step::Verify))
    }
}

impl Runtime<Endpoint> for World {
    fn kind(&self) -> &'static str {
        "fake"
    }

    fn recognises(&self, package: &Package) -> bool {
        package.head.starts_with(b"x")
    }

    fn packages_name_modules(&self) -> bool {
        !self.with(|facets| facets.packages_are_anonymous)
    }

    fn parse<'a>(&'a self, package: &'a Package) -> BoxFuture<'a, Result<Manifest, Failure>> {
        Box::pin(async move {
            self.step(&package.sha256, Step::Parse).await?;
            let (name, version) = package.sha256.split_once(':').unwrap();
            let plain = Manifest { name: Some(name.to_owned()), version: Some(version.to_owned()), ..Manifest::default() };
            Ok(self.with(|facets| facets.manifests.get(&*package.sha256).cloned()).unwrap_or(plain))
        })
    }

    fn prepare<'a>(&'a self, spec: &'a ModuleSpec) -> BoxFuture<'a, Result<Box<dyn Prepared<Endpoint>>, Failure>> {
        Box::pin(async move {
            self.step(&spec.id.to_string(), Step::Prepare).await?;
            Ok(Box::new(Ready { world: self.clone(), id: spec.id.to_string() }) as Box<dyn Prepared<Endpoint>>)
        })
    }
}

struct Ready {
    world: World,
    id: String,
}

impl Prepared<Endpoint> for Ready {
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Started<Endpoint>, Failure>> {
        Box::pin(async move {
            self.world.step(&self.id, Step::Start).await?;
            let running = Box::new(Instance::new(&self.world, &self.id));
            let refines = self.world.with(|facets| facets.refined.contains(&self.id));
            let refined = refines.then(|| -> Refined<Endpoint> {
                Box::pin(async move { Ok(Box::new(Instance::new(&self.world, &self.id)) as Box<dyn Running<Endpoint>>) })
            });
            Ok(Started { running, refined })
        })
    }

    fn keep(self: Box<Self>) -> BoxFuture<'static, Result<(), Failure>> {
        Box::pin(async move {
            self.world.with(|facets| facets.log.push(format!("keep {}", self.id)));
            Ok(())
        })
    }
}

/// Gives itself back when it is dropped, whoever drops it.
struct Instance {
    world: World,
    id: String,
    number: u64,
}

impl Instance {
    fn new(world: &World, id: &str) -> Self {
        let number = world.0.2.fetch_add(1, Ordering::SeqCst);
        world.with(|facets| facets.started.insert(number));
        Self { world: world.clone(), id: id.to_owned(), number }
    }
}

impl Running<Endpoint> for Instance {
    fn endpoint(&self) -> Endpoint {
        (self.id.split_once(':').unwrap().1.to_owned(), self.number)
    }

    fn facts(&self) -> Facts {
        Facts::default()
    }

    fn failed(&self) -> Option<BoxFuture<'static, Failure>> {
        let (world, number) = (self.world.clone(), self.number);
        Some(Box::pin(async move {
            world.until(|facets| facets.failed.contains(&number)).await;
            Failure::new(Reason::ModuleFailed, "told to fail")
        }))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.world.step(&self.id, Step::Probe))
    }

    fn stop(&self, _: Duration) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.world.step(&self.id, Step::Stop))
    }

    fn reclaim(self: Box<Self>) -> BoxFuture<'static, Reclaimed> {
        Box::pin(async move {
            self.world.with(|facets| facets.log.push(format!("reclaim {}", self.id)));
            Verdict { state: VerdictState::Unloaded, ..Verdict::default() }.into()
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.world.with(|facets| facets.reclaimed.push(self.number));
    }
}

impl Traffic<Endpoint> for World {
    fn route(&self, name: &str, targets: Vec<Target<Endpoint>>) {
        self.with(|facets| {
            let gone = targets.iter().any(|target| facets.reclaimed.contains(&target.endpoint.1));
            assert!(!gone, "an instance that is gone was routed to");
            let versions: Vec<&str> = targets.iter().map(|target| target.module.version()).collect();
            facets.log.push(format!("route {name} to [{}]", versions.join(",")));
            let routed = targets.into_iter().map(|target| (target.instance, target.endpoint, target.weight)).collect();
            facets.routed.insert(name.to_owned(), routed);
        });
    }

    fn drain(&self, instance: InstanceId, deadline: Duration) -> BoxFuture<'_, Drained> {
        Box::pin(async move {
            let routed = self.with(|facets| facets.routed.values().flatten().any(|(other, ..)| *other == instance));
            assert!(!routed, "an instance was drained while it was routed to");
            self.with(|facets| facets.log.push("drain".to_owned()));
            let wait = self.until(|facets| !facets.drains_are_held);
            Drained { cut: u64::from(tokio::time::timeout(deadline, wait).await.is_err()) }
        })
    }
}

impl Journal for World {
    fn record(&self, entry: Entry) -> BoxFuture<'static, Result<(), Failure>> {
        let full = self.with(|facets| {
            if !facets.disk_full {
                facets.entries.push(entry);
            }
            facets.disk_full
        });
        Box::pin(async move { if full { Err(Failure::new(Reason::DiskFull, "told to be full")) } else { Ok(()) } })
    }
}

struct Watcher {
    name: &'static str,
    priority: i32,
    refuses: Option<&'static str>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Listener for Watcher {
    fn priority(&self) -> i32 {
        self.priority
    }

    fn on(&self, event: &Event) -> Result<(), Failure> {
        let text = format!("{event:?}");
        let kind = text.split(['(', ' ']).next().unwrap_or_default();
        self.seen.lock().unwrap().push(format!("{} {kind}", self.name));
        match self.refuses {
            Some("panic") => panic!("told to"),
            Some(refused) if kind == refused => Err(Failure::new(Reason::Conflict, "not now")),
            _ => Ok(()),
        }
    }
}

fn id(text: &str) -> ModuleId {
    let (name, version) = text.split_once(':').unwrap();
    ModuleId::new(name, version).unwrap()
}

fn order(text: &str) -> InstallOrder {
    InstallOrder { id: Some(id(text)), url: text.to_owned(), ..InstallOrder::default() }
}

fn by(text: &str, activation: Activation) -> InstallOrder {
    InstallOrder { activation: Some(activation), ..order(text) }
}

async fn install(base: &Base<Endpoint>, text: &str) -> Result<(), Reason> {
    let operation = base.install(order(text), None).map_err(|failure| failure.reason)?;
    operation.finish().await.map(|_| ()).map_err(|failure| failure.reason)
}

fn states(base: &Base<Endpoint>) -> Vec<String> {
    base.modules().into_iter().map(|module| format!("{} {}", module.id, module.state)).collect()
}

const BEFORE_ACTIVATION: [Step; 6] = [Step::Fetch, Step::Verify, Step::Parse, Step::Prepare, Step::Start, Step::Probe];

#[tokio::test]
async fn a_switch_starts_probes_routes_and_only_then_drains_stops_and_reclaims() {
    let world = World::default();
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    world.with(|facets| facets.log.clear());
    let installed = base.install(order("a:2"), None).unwrap().finish().await.unwrap();
    let expected = [
        "fetch a:2",
        "verify a:2",
        "parse a:2",
        "prepare a:2",
        "start a:2",
        "probe a:2",
        "route a to [2]",
        "drain",
        "stop a:1",
        "reclaim a:1",
    ];
    assert_eq!(world.with(|facets| facets.log.clone()), expected);
    assert!(installed.retired.len() == 1 && installed.retired[0].verdict.state == VerdictState::Unloaded);
    assert_eq!((states(&base), world.alive()), (vec!["a:2 activated".to_owned()], 1));
    // A client that installs, and then removes the old one, must not fail.
    assert_eq!(base.uninstall(&id("a:1"), None).unwrap().await.unwrap().id, id("a:1"));
    assert_eq!(base.verdicts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_before_activation_leaves_the_old_version_serving() {
    for step in BEFORE_ACTIVATION {
        for act in [Act::Fail, Act::Panic, Act::Hang] {
            let world = World::default();
            let base = world.base(Settings::default());
            install(&base, "a:1").await.unwrap();
            world.act("a:2", step, act);
            let reason = install(&base, "a:2").await.unwrap_err();
            assert_eq!(world.routed("a"), ["1"], "{step} {act:?}");
            assert!(act != Act::Panic || reason == Reason::Internal);
            let broken = base.modules().into_iter().find(|module| module.id == id("a:2"));
            let broken = broken.map(|module| (module.state, module.failure.map(|failure| failure.reason)));
            assert_eq!(broken, (step > Step::Admit).then_some((State::Broken, Some(reason))), "{step} {act:?}");
            // It is not in the way: the same identity may be tried again.
            world.with(|facets| facets.acts.clear());
            install(&base, "a:2").await.unwrap();
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!((world.routed("a"), world.alive(), base.under_way("a")), (vec!["2".to_owned()], 1, None), "{step} {act:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_prepared_is_neither_started_nor_known_and_what_cannot_be_says_in_which_step() {
    let world = World::default();
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    world.with(|facets| facets.log.clear());
    let prepared = base.prepare(order("a:2")).await.unwrap();
    assert_eq!((prepared.id, prepared.sha256.as_str()), (id("a:2"), "a:2"));
    let steps = [Step::Fetch, Step::Verify, Step::Parse, Step::Prepare];
    assert_eq!(prepared.timings.iter().map(|timing| timing.step).collect::<Vec<_>>(), steps);
    assert_eq!(world.with(|facets| facets.log.clone()), ["fetch a:2", "verify a:2", "parse a:2", "prepare a:2", "keep a:2"]);
    assert_eq!((states(&base), base.under_way("a")), (vec!["a:1 activated".to_owned()], None));
    for step in steps {
        for act in [Act::Fail, Act::Hang] {
            world.act("a:2", step, act);
            assert_eq!(base.prepare(order("a:2")).await.unwrap_err().step, Some(step), "{act:?}");
            world.with(|facets| facets.acts.clear());
        }
    }
    install(&base, "a:2").await.unwrap();
    assert_eq!(world.alive(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_install_can_be_cancelled_at_every_step_before_activation() {
    for step in BEFORE_ACTIVATION {
        let world = World::default();
        let base = world.base(Settings::default());
        install(&base, "a:1").await.unwrap();
        world.act("a:2", step, Act::Hang);
        let mut operation = base.install(order("a:2"), None).unwrap();
        while !matches!(operation.next().await, Some(Progress::Begun { step: begun }) if begun == step) {}
        base.cancel("a").unwrap();
        let failure = operation.finish().await.unwrap_err();
        assert_eq!((failure.reason, failure.step), (Reason::Cancelled, Some(step)));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!((world.routed("a"), world.alive(), base.under_way("a")), (vec!["1".to_owned()], 1, None));
        assert_eq!(base.cancel("a").unwrap_err().reason, Reason::NotInstalled);
    }
}

#[tokio::test(start_paused = true)]
async fn operations_on_one_name_exclude_each_other_and_on_two_do_not() {
    let world = World::default();
    let base = world.base(Settings::default());
    world.act("a:1", Step::Prepare, Act::Hang);
    let first = base.install(order("a:1"), None).unwrap();
    assert_eq!(base.install(order("a:2"), None).err().unwrap().reason, Reason::Conflict);
    // One that learns its name only from its package is told as soon as it knows.
    let nameless = InstallOrder { id: None, ..order("a:3") };
    assert_eq!(base.install(nameless, None).unwrap().finish().await.unwrap_err().reason, Reason::Conflict);
    install(&base, "b:1").await.unwrap();
    assert_eq!(base.uninstall(&id("a:1"), None).err().unwrap().reason, Reason::Conflict);
    base.cancel("a").unwrap();
    assert_eq!(first.finish().await.unwrap_err().reason, Reason::Cancelled);
    install(&base, "a:2").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_further_version_waits_for_the_drain_and_so_does_the_same_identity() {
    let world = World::default();
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    world.with(|facets| facets.drains_are_held = true);
    let mut second = base.install(order("a:2"), None).unwrap();
    while !matches!(second.next().await, Some(Progress::Serving { .. })) {}
    let third = base.install(order("a:3"), None).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.routed("a"), ["2"], "one version serves and one drains: a third has to wait");
    let leaving = base.uninstall(&id("a:1"), None).unwrap();
    world.let_drains_go();
    third.finish().await.unwrap();
    assert_eq!(world.routed("a"), ["3"]);
    assert_eq!(leaving.await.unwrap().verdict.cut_requests, 0);
    install(&base, "a:1").await.unwrap();
    install(&base, "a:3").await.unwrap();
    assert_eq!(states(&base), ["a:3 activated"]);
}

#[tokio::test]
async fn versions_side_by_side_are_switched_by_hand_and_share_by_weight() {
    let world = World::default();
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    base.install(by("a:2", Activation::Keep), None).unwrap().finish().await.unwrap();
    assert_eq!(states(&base), ["a:1 activated", "a:2 deactivated"]);
    base.activate(&id("a:2"), None).unwrap().await.unwrap();
    assert_eq!(states(&base), ["a:1 deactivated", "a:2 activated"]);
    assert_eq!(world.routed("a"), ["2"]);
    base.uninstall(&id("a:1"), None).unwrap().await.unwrap();
    let third = InstallOrder { weight: Some(30), ..by("a:3", Activation::Together) };
    base.install(third, None).unwrap().finish().await.unwrap();
    assert_eq!(world.with(|facets| facets.routed["a"].iter().map(|(.., weight)| *weight).collect::<Vec<_>>()), [100, 30]);
    let fourth = base.install(by("a:4", Activation::Together), None).unwrap().finish().await.unwrap_err();
    assert_eq!(fourth.reason, Reason::BudgetExceeded);
    assert_eq!(base.activate(&id("a:4"), None).err().unwrap().reason, Reason::IllegalState);
    assert_eq!(base.activate(&id("a:9"), None).err().unwrap().reason, Reason::NotInstalled);
}

#[tokio::test]
async fn what_is_taken_or_too_much_is_refused() {
    let world = World::default();
    let base = world.base(Settings { max_modules: 2, ..Settings::default() });
    let manifest = |path: &str, hosts: &[&str]| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        Manifest { context_path: Some(path.to_owned()), hosts, ..Manifest::default() }
    };
    world.with(|facets| {
        facets.manifests.insert("a:1".to_owned(), manifest("/x", &["one.example"]));
        facets.manifests.insert("b:1".to_owned(), manifest("/x", &["ONE.example", "two.example"]));
        facets.manifests.insert("c:1".to_owned(), manifest("/x", &["two.example"]));
        facets.manifests.insert("d:1".to_owned(), manifest("/x/../y", &[]));
    });
    install(&base, "a:1").await.unwrap();
    assert_eq!(install(&base, "a:1").await, Err(Reason::AlreadyInstalled));
    assert_eq!(install(&base, "b:1").await, Err(Reason::ContextPathTaken));
    install(&base, "c:1").await.unwrap();
    assert_eq!(install(&base, "d:1").await, Err(Reason::InvalidRequest));
    assert_eq!(install(&base, "e:1").await, Err(Reason::BudgetExceeded));
    let other = InstallOrder { url: "x:9".to_owned(), ..order("a:2") };
    assert_eq!(base.install(other, None).unwrap().finish().await.unwrap_err().reason, Reason::IdentityMismatch);
}

#[tokio::test]
async fn a_package_whose_name_is_no_identity_is_called_as_the_order_says() {
    let world = World::default();
    world.with(|facets| {
        facets.packages_are_anonymous = true;
        facets.manifests.insert("a:1".to_owned(), Manifest { name: Some("A Shop of Old".to_owned()), ..Manifest::default() });
    });
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    base.install(InstallOrder { url: "x:9".to_owned(), ..order("b:2") }, None).unwrap().finish().await.unwrap();
    base.install(InstallOrder { id: None, ..order("c:3") }, None).unwrap().finish().await.unwrap();
    assert_eq!(states(&base), ["a:1 activated", "b:2 activated", "c:3 activated"]);
}

#[tokio::test]
async fn an_order_says_where_a_module_answers_in_place_of_its_package() {
    let world = World::default();
    let base = world.base(Settings::default());
    let at = |path: &str| InstallOrder { context_path: Some(path.to_owned()), ..order("a:1") };
    assert_eq!(base.install(at("/x/../y"), None).unwrap().finish().await.unwrap_err().reason, Reason::InvalidRequest);
    base.install(at("shop/"), None).unwrap().finish().await.unwrap();
    assert_eq!(base.modules()[0].context_path, "/shop");
}

#[tokio::test]
async fn listeners_are_told_in_order_and_may_refuse_a_start_and_a_stop() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watcher = |name, priority, refuses| Watcher { name, priority, refuses, seen: Arc::clone(&seen) };
    let world = World::default();
    let base = world.watched(Settings::default(), vec![watcher("late", 200, None), watcher("early", 1, None)]);
    install(&base, "a:1").await.unwrap();
    install(&base, "a:2").await.unwrap();
    let early: Vec<String> = seen.lock().unwrap().iter().filter_map(|line| line.strip_prefix("early ").map(str::to_owned)).collect();
    assert_eq!(
        early,
        ["BeforeStart", "AfterStart", "BeforeStart", "AfterStart", "BeforeSwitch", "AfterSwitch", "BeforeRecycle", "AfterStop", "Verdict"]
    );
    assert_eq!(seen.lock().unwrap()[..2], ["early BeforeStart", "late BeforeStart"]);

    let base = world.watched(Settings::default(), vec![watcher("no", 1, Some("BeforeStop"))]);
    install(&base, "b:1").await.unwrap();
    assert_eq!(base.uninstall(&id("b:1"), None).unwrap().await.unwrap_err().reason, Reason::Conflict);
    assert_eq!(world.routed("b"), ["1"]);

    let base = world.watched(Settings::default(), vec![watcher("panics", 1, Some("panic"))]);
    assert_eq!(install(&base, "c:1").await, Err(Reason::Internal));
    assert_eq!(states(&base), ["c:1 broken"]);
}

#[tokio::test(start_paused = true)]
async fn a_module_that_fails_is_broken_and_keeps_its_routes_until_it_is_replaced_or_removed() {
    let world = World::default();
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    world.fail("a");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((states(&base), world.routed("a")), (vec!["a:1 broken".to_owned()], vec!["1".to_owned()]));
    let failure = base.modules().remove(0).failure.unwrap();
    assert_eq!((failure.reason, failure.message.as_str()), (Reason::ModuleFailed, "told to fail"));

    // The same once more: what is left of the first answers until the second serves, and is then given back.
    world.act("a:1", Step::Start, Act::Fail);
    assert_eq!(install(&base, "a:1").await, Err(Reason::StartFailed));
    assert_eq!(world.routed("a"), ["1"]);
    world.with(|facets| facets.acts.clear());
    install(&base, "a:1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((states(&base), world.alive()), (vec!["a:1 activated".to_owned()], 1));

    // Another version that serves has all the traffic.
    base.install(by("a:2", Activation::Together), None).unwrap().finish().await.unwrap();
    world.with(|facets| facets.failed.insert(1));
    world.0.1.notify_waiters();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((states(&base), world.routed("a")), (vec!["a:1 broken".to_owned(), "a:2 activated".to_owned()], vec!["2".to_owned()]));
    for module in ["a:1", "a:2"] {
        base.uninstall(&id(module), None).unwrap().await.unwrap();
    }
    assert_eq!((states(&base), world.alive(), world.routed("a")), (Vec::new(), 0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_better_build_takes_over_and_the_first_is_given_back() {
    let world = World::default();
    world.with(|facets| facets.refined.insert("a:1".to_owned()));
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.with(|facets| facets.routed["a"][0].1.clone()), ("1".to_owned(), 1));
    assert_eq!((world.alive(), world.with(|facets| facets.reclaimed.clone())), (1, vec![0]));
    base.uninstall(&id("a:1"), None).unwrap().await.unwrap();
    assert_eq!(world.alive(), 0);
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_refuses_the_new_version_and_keeps_the_old() {
    let world = World::default();
    let base = world.base(Settings::default());
    install(&base, "a:1").await.unwrap();
    world.with(|facets| facets.disk_full = true);
    assert_eq!(install(&base, "a:2").await, Err(Reason::DiskFull));
    assert_eq!(base.uninstall(&id("a:1"), None).unwrap().await.unwrap_err().reason, Reason::DiskFull);
    assert_eq!(world.routed("a"), ["1"]);
}

#[tokio::test]
async fn a_base_comes_up_by_priority_and_tells_what_did_not() {
    let world = World::default();
    world.with(|facets| {
        for (name, priority) in [("a", 30), ("b", 10), ("c", 20)] {
            let manifest =
                Manifest { name: Some(name.to_owned()), version: Some("1".to_owned()), priority: Some(priority), ..Manifest::default() };
            facets.manifests.insert(format!("{name}:1"), manifest);
        }
    });
    world.act("c:1", Step::Start, Act::Fail);
    world.act("nowhere", Step::Fetch, Act::Fail);
    let base = world.base(Settings::default());
    let files = ["a:1", "b:1", "c:1", "nowhere"].map(|url| InstallOrder { id: None, url: url.to_owned(), ..InstallOrder::default() });
    let not_up = base.bring_up(Desired::default(), files.to_vec()).await;
    let what: BTreeSet<String> = not_up.iter().map(|module| module.what.clone()).collect();
    assert_eq!(what.into_iter().collect::<Vec<_>>(), ["c:1", "nowhere"]);
    let starts: Vec<String> = world.with(|facets| facets.log.iter().filter(|line| line.starts_with("start")).cloned().collect());
    assert_eq!(starts, ["start b:1", "start c:1", "start a:1"]);
    assert!(world.with(|facets| facets.entries.is_empty()), "files are no orders");
}

fn fence(epoch: u64, generation: u64) -> Option<Fence> {
    Some(Fence { epoch, generation })
}

fn marked(text: &str, mark: &str) -> InstallOrder {
    InstallOrder { mark: Some(mark.to_owned()), ..order(text) }
}

async fn up(world: &World) -> Base<Endpoint> {
    let base = world.base(Settings::default());
    assert_eq!(base.bring_up(Desired::default(), Vec::new()).await, Vec::new());
    base
}

#[tokio::test]
async fn an_order_that_comes_too_late_changes_nothing_also_where_the_newer_one_found_nothing_to_do() {
    let world = World::default();
    let base = up(&world).await;
    // A removal that overtakes its install.
    let nothing = base.uninstall(&id("a:1"), fence(1, 5)).unwrap().await.unwrap_err();
    assert_eq!(nothing.reason, Reason::NotInstalled);
    let late = base.install(order("a:1"), fence(1, 4)).err().unwrap();
    assert_eq!((late.reason, states(&base)), (Reason::OrderStale, Vec::new()));
    base.install(order("a:1"), fence(1, 6)).unwrap().finish().await.unwrap();
    assert_eq!(base.activate(&id("a:1"), fence(1, 5)).err().unwrap().reason, Reason::OrderStale);
    assert_eq!(base.uninstall(&id("a:1"), fence(1, 5)).err().unwrap().reason, Reason::OrderStale);
    assert_eq!(base.install(order("b:1"), fence(0, 9)).err().unwrap().reason, Reason::OrderStale);
    let mut nameless = order("b:1");
    nameless.id = None;
    assert_eq!(base.install(nameless, fence(2, 1)).err().unwrap().reason, Reason::InvalidRequest);
    assert_eq!(states(&base), ["a:1 activated"]);
    assert_eq!(base.reports()[0].fence, Fence { epoch: 1, generation: 6 });
}

#[tokio::test]
async fn the_same_order_again_ends_with_the_module_that_it_made_and_another_mark_does_not() {
    let world = World::default();
    let base = up(&world).await;
    let first = base.install(marked("a:1", "m"), fence(1, 1)).unwrap();
    let under_way = base.install(marked("a:1", "m"), fence(1, 1)).err().unwrap();
    assert_eq!(under_way.reason, Reason::Conflict);
    first.finish().await.unwrap();
    world.with(|facets| facets.log.clear());
    let again = base.install(marked("a:1", "m"), fence(1, 1)).unwrap().finish().await.unwrap();
    assert_eq!((again.module.id.to_string().as_str(), again.module.mark.as_str()), ("a:1", "m"));
    assert!(world.with(|facets| facets.log.is_empty()), "nothing is done a second time");
    let other = base.install(marked("a:1", "n"), fence(1, 2)).unwrap().finish().await.unwrap_err();
    assert_eq!(other.reason, Reason::AlreadyInstalled);
    let local = base.install(marked("a:1", "m"), None).unwrap().finish().await.unwrap_err();
    assert_eq!(local.reason, Reason::AlreadyInstalled);
    let long = base.install(marked("b:1", &"x".repeat(257)), None).err().unwrap();
    assert_eq!(long.reason, Reason::InvalidRequest);
}

#[tokio::test]
async fn no_fenced_order_is_taken_before_the_base_is_up_and_what_was_taken_counts_after_a_restart() {
    let world = World::default();
    let base = world.base(Settings::default());
    assert_eq!(base.uninstall(&id("a:1"), fence(1, 1)).err().unwrap().reason, Reason::Conflict);
    let base = up(&world).await;
    base.install(marked("a:1", "m"), fence(2, 2)).unwrap().finish().await.unwrap();
    let mut desired = Desired::default();
    world.with(|facets| facets.entries.clone()).into_iter().for_each(|entry| desired.apply(entry));
    let next = World::default().base(Settings::default());
    assert_eq!(next.bring_up(desired, Vec::new()).await, Vec::new());
    assert_eq!(next.reports()[0].mark, "m");
    assert_eq!(next.uninstall(&id("a:1"), fence(2, 1)).err().unwrap().reason, Reason::OrderStale);
    assert_eq!(next.uninstall(&id("b:1"), fence(1, 9)).err().unwrap().reason, Reason::OrderStale);
}

#[tokio::test]
async fn other_content_takes_the_place_of_an_instance_without_a_gap_and_a_failure_leaves_the_old_one() {
    let world = World::default();
    let base = up(&world).await;
    let replacing = |mark: &str| InstallOrder { replace: true, ..marked("a:1", mark) };
    base.install(replacing("m"), None).unwrap().finish().await.unwrap();
    base.install(by("a:2", Activation::Keep), None).unwrap().finish().await.unwrap();
    let first = world.with(|facets| facets.routed["a"].clone());
    for step in BEFORE_ACTIVATION {
        world.act("a:1", step, Act::Fail);
        base.install(replacing("n"), None).unwrap().finish().await.unwrap_err();
        world.with(|facets| facets.acts.clear());
        assert_eq!(world.with(|facets| facets.routed["a"].clone()), first);
        assert_eq!((states(&base), base.reports()[0].mark.as_str()), (vec!["a:1 activated".to_owned(), "a:2 deactivated".to_owned()], "m"));
    }
    world.with(|facets| facets.log.clear());
    let installed = base.install(replacing("n"), None).unwrap().finish().await.unwrap();
    assert_eq!((installed.module.mark.as_str(), installed.retired[0].id.to_string().as_str()), ("n", "a:1"));
    let expected = ["fetch a:1", "verify a:1", "parse a:1", "prepare a:1", "start a:1", "probe a:1", "route a to [1]", "drain", "stop a:1"];
    // The instance that failed its probe may still have been on its way out.
    let log: Vec<String> = world.with(|facets| facets.log.iter().skip_while(|line| *line != "fetch a:1").cloned().collect());
    assert_eq!(log[..9], expected);
    assert_ne!(world.with(|facets| facets.routed["a"].clone()), first);
    assert_eq!((states(&base), world.alive()), (vec!["a:1 activated".to_owned(), "a:2 deactivated".to_owned()], 2));
    // One that has no traffic gets none by that, and the same mark is no other content.
    base.activate(&id("a:2"), None).unwrap().await.unwrap();
    base.install(replacing("o"), None).unwrap().finish().await.unwrap();
    assert_eq!((states(&base), world.routed("a")), (vec!["a:1 deactivated".to_owned(), "a:2 activated".to_owned()], vec!["2".to_owned()]));
    assert_eq!(base.install(replacing("o"), None).unwrap().finish().await.unwrap_err().reason, Reason::AlreadyInstalled);

    let mut desired = Desired::default();
    world.with(|facets| facets.entries.clone()).into_iter().for_each(|entry| desired.apply(entry));
    let next = World::default().base(Settings::default());
    assert_eq!(next.bring_up(desired, Vec::new()).await, Vec::new());
    assert_eq!((states(&next), next.reports()[0].mark.as_str()), (states(&base), "o"));
    // It goes as ever.
    base.uninstall(&id("a:1"), None).unwrap().await.unwrap();
    assert_eq!((states(&base), world.alive()), (vec!["a:2 activated".to_owned()], 1));
}

#[tokio::test]
async fn content_after_content_waits_for_the_drain_of_the_one_before() {
    let world = World::default();
    let base = up(&world).await;
    let replacing = |mark: &str| InstallOrder { replace: true, ..marked("a:1", mark) };
    base.install(replacing("1"), None).unwrap().finish().await.unwrap();
    world.with(|facets| facets.drains_are_held = true);
    let mut second = base.install(replacing("2"), None).unwrap();
    while !matches!(second.next().await.unwrap(), Progress::Serving { .. }) {}
    let mut third = base.install(replacing("3"), None).unwrap();
    while !matches!(third.next().await.unwrap(), Progress::Begun { step: Step::Activate }) {}
    assert_eq!((base.reports()[0].mark.as_str(), world.alive()), ("2", 3));
    world.let_drains_go();
    third.finish().await.unwrap();
    second.finish().await.unwrap();
    assert_eq!((base.reports()[0].mark.as_str(), world.alive(), base.verdicts().len()), ("3", 1, 2));
}

/// Orders each version by the fence that it is called after, up to three under way at a time, and looks at the order of their routes.
async fn fenced(orders: Vec<(usize, u64, u64, bool)>) -> Result<(), TestCaseError> {
    let world = World::default();
    let base = up(&world).await;
    let mut under_way: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    for (name, epoch, generation, removes) in orders {
        let module = format!("{}:{epoch}.{generation}", ["a", "b"][name]);
        if removes {
            if let Ok(pending) = base.uninstall(&id(&module), fence(epoch, generation)) {
                under_way.push(Box::pin(async move { drop(pending.await) }));
            }
        } else if let Ok(operation) = base.install(marked(&module, "m"), fence(epoch, generation)) {
            under_way.push(Box::pin(async move { drop(operation.finish().await) }));
        }
        if under_way.len() >= 3 {
            under_way.next().await;
        }
    }
    while under_way.next().await.is_some() {}
    for name in ["a", "b"] {
        let to = format!("route {name} to [");
        let routed: Vec<String> =
            world.with(|facets| facets.log.iter().filter_map(|line| line.strip_prefix(&to).map(str::to_owned)).collect());
        let fences: Vec<Fence> = routed.iter().filter_map(|version| version.trim_end_matches(']').parse().ok()).collect();
        prop_assert!(fences.is_sorted(), "an older one got the traffic of {} after a newer: {:?}", name, routed);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_interleaving_of_orders_lets_an_older_one_act_after_a_newer(
        orders in proptest::collection::vec((0..2_usize, 0..3_u64, 0..4_u64, prop::bool::weighted(0.3)), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(fenced(orders))?;
    }
}

#[derive(Debug, Clone)]
enum Op {
    Install(usize, usize, Activation, Option<Step>),
    Uninstall(usize, usize),
    Activate(usize, usize),
    Cancel(usize),
    Fail(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let policy = prop_oneof![Just(Activation::Switch), Just(Activation::Keep), Just(Activation::Together)];
    let failing = prop_oneof![3 => Just(None), 1 => prop_oneof![Just(Step::Prepare), Just(Step::Start), Just(Step::Probe)].prop_map(Some)];
    prop_oneof![
        4 => (0..2_usize, 0..3_usize, policy, failing).prop_map(|(name, version, policy, failing)| Op::Install(name, version, policy, failing)),
        2 => (0..2_usize, 0..3_usize).prop_map(|(name, version)| Op::Uninstall(name, version)),
        1 => (0..2_usize, 0..3_usize).prop_map(|(name, version)| Op::Activate(name, version)),
        1 => (0..2_usize).prop_map(Op::Cancel),
        1 => (0..2_usize).prop_map(Op::Fail),
    ]
}

fn named(name: usize, version: usize) -> String {
    format!("{}:{version}", ["a", "b"][name])
}

/// Runs operations with up to three under way at a time, and looks at what came of them once all have ended.
async fn interleave(ops: Vec<Op>) -> Result<(), TestCaseError> {
    let world = World::default();
    let base = world.base(Settings::default());
    let mut under_way: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    for op in ops {
        match op {
            Op::Install(name, version, policy, failing) => {
                let module = named(name, version);
                world.with(|facets| {
                    facets.acts.retain(|(other, _), _| *other != module);
                    facets.acts.extend(failing.map(|step| ((module.clone(), step), Act::Fail)));
                });
                if let Ok(operation) = base.install(by(&module, policy), None) {
                    under_way.push(Box::pin(async move { drop(operation.finish().await) }));
                }
            }
            Op::Uninstall(name, version) => {
                if let Ok(pending) = base.uninstall(&id(&named(name, version)), None) {
                    under_way.push(Box::pin(async move { drop(pending.await) }));
                }
            }
            Op::Activate(name, version) => {
                if let Ok(pending) = base.activate(&id(&named(name, version)), None) {
                    under_way.push(Box::pin(async move { drop(pending.await) }));
                }
            }
            Op::Cancel(name) => drop(base.cancel(["a", "b"][name])),
            Op::Fail(name) => world.fail(["a", "b"][name]),
        }
        if under_way.len() >= 3 {
            under_way.next().await;
        }
    }
    while under_way.next().await.is_some() {}
    tokio::time::sleep(Duration::from_secs(60)).await;
    for name in ["a", "b"] {
        prop_assert!(base.under_way(name).is_none(), "{} stayed locked", name);
    }
    // Those that failed have their routes where nobody else has them; a restart would try them again.
    let (broken, modules): (Vec<ModuleView>, Vec<ModuleView>) =
        base.modules().into_iter().partition(|module: &ModuleView| module.state == State::Broken);
    for broken in broken {
        base.uninstall(&broken.id, None).unwrap().await.unwrap();
    }
    for name in ["a", "b"] {
        let of_name = modules.iter().filter(|module| module.id.name() == name && module.state == State::Activated);
        let active: BTreeSet<String> = of_name.map(|module| module.id.version().to_owned()).collect();
        prop_assert_eq!(active, world.routed(name).into_iter().collect::<BTreeSet<_>>());
    }
    let runs = |module: &ModuleView| matches!(module.state, State::Activated | State::Deactivated);
    let running = modules.iter().filter(|module| runs(module)).count();
    prop_assert_eq!(world.alive(), running, "an instance leaked, or was given back twice");
    prop_assert!(modules.iter().all(runs));

    // A base that takes over the journal runs the same, and gives traffic to the same.
    let mut desired = Desired::default();
    world.with(|facets| facets.entries.clone()).into_iter().for_each(|entry| desired.apply(entry));
    prop_assert!(desired.pending.is_empty());
    let standing = |modules: Vec<ModuleView>| -> BTreeSet<(String, bool)> {
        modules.into_iter().filter(runs).map(|module| (module.id.to_string(), module.state == State::Activated)).collect()
    };
    let heir = World::default();
    let next = heir.base(Settings::default());
    prop_assert_eq!(next.bring_up(desired, Vec::new()).await, Vec::new());
    prop_assert_eq!(standing(next.modules()), standing(modules));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn however_operations_interleave_routes_and_states_agree_and_a_restart_brings_back_the_same(ops in proptest::collection::vec(op(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(interleave(ops))?;
    }
}
