//! What a base's report says of it and its instances: what to write about that.

use std::{collections::BTreeMap, time::Duration};

use ark_model::{
    Failure, Reason, State,
    report::{BaseReport, ModuleReport},
};

use crate::{
    resource::{Base, Condition, Document, FINALIZER, Key, Module, Phase, Time, TrafficStatus, Truth, Write, label, say},
    settings::Settings,
    world::{World, deployment_of},
};

/// How old the time may become at which a base was last heard.
const HEARD: Duration = Duration::from_secs(30);
/// What a mark begins with, by which a controller knows its instances again.
const MARK: &str = "module-controller/";

/// The mark by which an instance is ordered.
#[must_use]
pub fn mark(instance: &Key) -> String {
    format!("{MARK}{instance}")
}

/// The instance that a mark is of; none where the mark is another one's.
#[must_use]
pub fn marked(mark: &str) -> Option<Key> {
    let (namespace, name) = mark.strip_prefix(MARK)?.split_once('/')?;
    Some(Key::new(namespace, name))
}

/// Whether `report` is of the instance `module`: by its mark, or, of a base that keeps no marks, by what it is called.
#[must_use]
pub fn is_of(module: &Module, report: &ModuleReport, keeps_marks: bool) -> bool {
    let info = &module.spec.template.module;
    let is_called_so = report.id.name() == info.name && report.id.version() == info.version;
    is_called_so && (if keeps_marks { marked(&report.mark).as_ref() == Some(&module.metadata.key()) } else { true })
}

/// What to write after `report`, heard at `now` through `api` (empty for a tunnel).
///
/// Nothing is said of instances for which `busy` holds: an order for them is under way, and the report may be older.
#[must_use]
pub fn observe(world: &World, base: &Key, report: &BaseReport, api: &str, busy: impl Fn(&Key) -> bool, now: Time) -> Vec<Write> {
    let mut writes = Vec::new();
    let before = world.base(base);
    let next = heard(before, base, report, api, now);
    match before {
        None => writes.push(Write::Create(Document::Base(next))),
        Some(before) if *before != next => writes.push(Write::Update(Document::Base(next))),
        Some(_) => {}
    }
    let keeps_marks = api.is_empty();
    for module in world.instances_on(base) {
        if busy(&module.metadata.key()) {
            continue;
        }
        let found = report.modules.iter().find(|report| is_of(module, report, keeps_marks));
        if let Some(write) = seen(world, module, found, report.ready, now) {
            writes.push(write);
        }
    }
    writes
}

fn heard(before: Option<&Base>, key: &Key, report: &BaseReport, api: &str, now: Time) -> Base {
    let mut base = before.cloned().unwrap_or_default();
    base.metadata.namespace.clone_from(&key.namespace);
    base.metadata.name.clone_from(&key.name);
    let labels = &mut base.metadata.labels;
    labels.extend(report.labels.clone());
    let own = [
        (label::DEPLOYMENT_NAME, &report.deployment),
        (label::BASE_APP, &report.name),
        (label::BASE_VERSION, &report.version),
        (label::BASE_CLUSTER, &report.cluster),
    ];
    labels.extend(own.into_iter().filter(|(_, value)| !value.is_empty()).map(|(label, value)| (label.to_owned(), value.clone())));
    labels.extend(report.kinds.iter().map(|kind| (format!("{}{kind}", label::BASE_KIND), "true".to_owned())));
    let status = &mut base.status;
    status.name.clone_from(&report.name);
    status.version.clone_from(&report.version);
    status.cluster.clone_from(&report.cluster);
    status.kinds.clone_from(&report.kinds);
    status.gateway.clone_from(&report.gateway);
    api.clone_into(&mut status.api);
    status.arklet_version.clone_from(&report.arklet_version);
    status.started_at = Some(Time(report.started_at)).filter(|time| time.0 > 0);
    status.modules = u32::try_from(report.modules.len()).unwrap_or(u32::MAX);
    if status.last_heard_time.is_none_or(|heard| heard.elapsed(now) >= HEARD) {
        status.last_heard_time = Some(now);
        // Memory changes all the time; it is told as often as this.
        status.room.clone_from(&report.room);
    } else {
        status.room = report
            .room
            .iter()
            .map(|(room, share)| (*room, status.room.get(room).copied().filter(|said| said.total == share.total).unwrap_or(*share)))
            .collect();
    }
    let (reason, message) =
        if report.ready { ("BaseReady", "the base answers") } else { ("BaseStarting", "the base brings up what it had") };
    let ready = Condition {
        kind: "Ready".to_owned(),
        status: Truth::from(report.ready),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..Condition::default()
    };
    say(&mut status.conditions, ready, now);
    base
}

/// What to write about an instance that is to go, where its base does not have it any more by `report`.
#[must_use]
pub fn gone(module: &Module, report: &BaseReport, keeps_marks: bool, now: Time) -> Option<Write> {
    let found = report.modules.iter().find(|report| is_of(module, report, keeps_marks));
    going(module, found, report.ready, now)
}

fn going(module: &Module, found: Option<&ModuleReport>, base_ready: bool, now: Time) -> Option<Write> {
    let mut next = module.clone();
    match found {
        // While it brings up what it had, a base does not have it yet and will.
        None if base_ready => next.metadata.finalizers.retain(|finalizer| finalizer != FINALIZER),
        None | Some(_) => end(&mut next, now),
    }
    (next != *module).then_some(Write::Update(Document::Module(next)))
}

/// What to write about an instance, of which the base says `found`.
fn seen(world: &World, module: &Module, found: Option<&ModuleReport>, base_ready: bool, now: Time) -> Option<Write> {
    if module.metadata.is_going() {
        return going(module, found, base_ready, now);
    }
    let mut next = module.clone();
    match found {
        Some(found) => match found.state {
            State::Activated => {
                let since = *next.status.ready_since.get_or_insert(now);
                let soak = deployment_of(&module.metadata)
                    .and_then(|key| world.deployment(&key))
                    .map_or(0, |deployment| deployment.spec.min_ready_seconds);
                let ripe = since.elapsed(now) >= Duration::from_secs(u64::from(soak));
                next.status.reason = None;
                next.status.message.clear();
                next.status.failed_attempts = 0;
                next.status.next_attempt_time = None;
                enter(&mut next, if ripe { Phase::Available } else { Phase::Completing }, now);
            }
            State::Broken => {
                next.status.ready_since = None;
                let failure = found.failure.clone().unwrap_or_else(|| Failure::new(Reason::StartFailed, "the base says that it is broken"));
                fail(&mut next, &failure, now);
            }
            State::Unresolved | State::Resolved | State::Deactivated | State::Stopped => {
                next.status.ready_since = None;
                if base_ready && next.status.status != Phase::Upgrading {
                    enter(&mut next, Phase::Prepare, now);
                }
            }
        },
        None if next.status.status == Phase::Failed => {}
        None if !base_ready => {
            next.status.ready_since = None;
            enter(&mut next, Phase::Unknown, now);
        }
        None => {
            next.status.ready_since = None;
            enter(&mut next, Phase::Prepare, now);
        }
    }
    (next != *module).then_some(Write::Update(Document::Module(next)))
}

fn enter(module: &mut Module, phase: Phase, now: Time) {
    if module.status.status != phase {
        module.status.status = phase;
        module.status.last_transition_time = Some(now);
        let ready = Condition {
            kind: "Ready".to_owned(),
            status: Truth::from(phase.is_ready()),
            observed_generation: module.metadata.generation,
            reason: phase.as_str().to_owned(),
            message: module.status.message.clone(),
            ..Condition::default()
        };
        say(&mut module.status.conditions, ready, now);
    }
}

/// Begins to remove it; what was between two installs does not count any more.
fn end(module: &mut Module, now: Time) {
    if module.status.status != Phase::Terminating {
        module.status.next_attempt_time = None;
    }
    enter(module, Phase::Terminating, now);
}

fn fail(module: &mut Module, failure: &Failure, now: Time) {
    module.status.reason = Some(failure.reason);
    failure.message.clone_into(&mut module.status.message);
    enter(module, Phase::Failed, now);
}

/// What to write as an order for `module` is sent.
#[must_use]
pub fn ordered(module: &Module, now: Time) -> Option<Write> {
    let mut next = module.clone();
    if next.metadata.is_going() {
        end(&mut next, now);
    } else if !next.status.status.is_ready() {
        enter(&mut next, Phase::Upgrading, now);
        next.status.observed_generation = next.metadata.generation;
    }
    (next != *module).then_some(Write::Update(Document::Module(next)))
}

/// What to write after an order for `module` was refused or failed. Nothing where the base was not reached: its silence is noticed.
#[must_use]
pub fn refused(module: &Module, failure: &Failure, settings: &Settings, now: Time) -> Option<Write> {
    let mut next = module.clone();
    if next.metadata.is_going() {
        failure.message.clone_into(&mut next.status.message);
        next.status.reason = Some(failure.reason);
        next.status.next_attempt_time = Some(now.after(settings.pause(1)));
    } else {
        next.status.failed_attempts = next.status.failed_attempts.saturating_add(1);
        next.status.next_attempt_time = Some(now.after(settings.pause(next.status.failed_attempts)));
        fail(&mut next, failure, now);
    }
    (next != *module).then_some(Write::Update(Document::Module(next)))
}

/// What to write about a base that has been silent since `since`, and its instances.
#[must_use]
pub fn silent(world: &World, base: &Key, since: Option<Time>, now: Time) -> Vec<Write> {
    let Some(before) = world.base(base) else { return Vec::new() };
    if before.ready().is_some_and(|ready| ready.status == Truth::Unknown) {
        return Vec::new();
    }
    let mut writes = Vec::new();
    let mut next = before.clone();
    let message = since
        .map_or_else(|| "the base has not been heard by this controller".to_owned(), |since| format!("the base was last heard at {since}"));
    let ready =
        Condition { kind: "Ready".to_owned(), status: Truth::Unknown, reason: "BaseSilent".to_owned(), message, ..Condition::default() };
    say(&mut next.status.conditions, ready, now);
    writes.push(Write::Update(Document::Base(next)));
    for module in world.instances_on(base).filter(|module| !module.metadata.is_going() && module.status.status != Phase::Unknown) {
        let mut next = module.clone();
        next.status.ready_since = None;
        "its base does not answer".clone_into(&mut next.status.message);
        enter(&mut next, Phase::Unknown, now);
        writes.push(Write::Update(Document::Module(next)));
    }
    writes
}

/// The requests of the instances that a report is of.
#[must_use]
pub fn traffic(report: &BaseReport) -> BTreeMap<Key, TrafficStatus> {
    let of = |module: &ModuleReport| {
        Some((marked(&module.mark)?, TrafficStatus { requests: module.requests, failures: module.failures, p99_millis: module.p99_ms }))
    };
    report.modules.iter().filter_map(of).collect()
}
