//! What to order of a base next: its instances against its report.
//!
//! At most one order for each module name at a time. An order may be sent again: the base knows it by its mark and fence.

use std::collections::{BTreeMap, BTreeSet};

use ark_model::{
    Activation, Failure, InstallOrder, ModuleId, Reason, State,
    report::{BaseReport, ModuleReport},
};

use crate::{
    observe::{is_of, mark, marked},
    plan::is_permanent,
    resource::{Key, Module, Phase, Time, UpgradePolicy},
    world::World,
};

/// What a base is told to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Install it.
    Install(Box<InstallOrder>),
    /// Give it the traffic of its name.
    Activate(ModuleId),
    /// Remove it, if it is still the one with this mark: what is known of the base may be older than what it does.
    Uninstall {
        /// Which.
        id: ModuleId,
        /// The mark of the order that it was installed by.
        mark: String,
    },
}

/// An order for a base.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The module's name: the orders for one do not overlap.
    pub name: String,
    /// The instance that it is for. None for one that nobody knows.
    pub instance: Option<Key>,
    /// What to do.
    pub command: Command,
}

/// What to order of the base `key`, which says `report`, and when to ask again though nothing changes.
///
/// Nothing is ordered for the names in `busy`, for which an order is under way.
#[must_use]
pub fn drive(
    world: &World,
    key: &Key,
    report: &BaseReport,
    keeps_marks: bool,
    busy: &BTreeSet<String>,
    now: Time,
) -> (Vec<Order>, Option<Time>) {
    let mut orders = Vec::new();
    let mut again = None;
    if !report.ready {
        return (orders, again);
    }
    let mut by_name: BTreeMap<&str, Vec<&Module>> = BTreeMap::new();
    for module in world.instances_on(key) {
        by_name.entry(&module.spec.template.module.name).or_default().push(module);
    }
    let mut reported: BTreeMap<&str, Vec<&ModuleReport>> = BTreeMap::new();
    for module in &report.modules {
        reported.entry(module.id.name()).or_default().push(module);
    }
    for name in by_name.keys().chain(reported.keys()).copied().collect::<BTreeSet<_>>() {
        if busy.contains(name) {
            continue;
        }
        let none = (Vec::new(), Vec::new());
        let (wanted, there) = (by_name.get(name).unwrap_or(&none.0), reported.get(name).unwrap_or(&none.1));
        if let Some(order) = next(world, name, wanted, there, keeps_marks, now, &mut again) {
            orders.push(order);
        }
    }
    (orders, again)
}

/// The next order for one module name.
fn next(
    world: &World,
    name: &str,
    modules: &[&Module],
    there: &[&ModuleReport],
    keeps_marks: bool,
    now: Time,
    again: &mut Option<Time>,
) -> Option<Order> {
    let order = |instance: Option<Key>, command| Some(Order { name: name.to_owned(), instance, command });
    let mut later = |at: Time| *again = Some(again.map_or(at, |before: Time| before.min(at)));
    let find = |module: &Module| there.iter().find(|report| is_of(module, report, keeps_marks)).copied();
    let (going, mut wanted): (Vec<&Module>, Vec<&Module>) = modules.iter().copied().partition(|module| module.metadata.is_going());
    // An old version is left alone while the new one comes, and is brought back only where that fails.
    wanted.sort_by_key(|module| std::cmp::Reverse(module.spec.ordinal));
    let stands_back = |module: &Module| wanted.first().is_some_and(|newest| newest.metadata.name != module.metadata.name);
    let newest_fails = wanted.first().is_some_and(|newest| newest.status.status == Phase::Failed && find(newest).is_none());

    // What nobody knows any more: of a deployment that is gone, or on a base that was away while it was given up.
    if let Some(orphan) = there.iter().find(|report| marked(&report.mark).is_some_and(|key| world.module(&key).is_none())) {
        return order(None, uninstall(orphan));
    }
    for module in going {
        if let Some(report) = find(module) {
            // A pause counts from a removal that was refused, not from an install before.
            let refused = module.status.next_attempt_time.filter(|at| *at > now && module.status.status == Phase::Terminating);
            match refused {
                Some(at) => later(at),
                None => return order(Some(module.metadata.key()), uninstall(report)),
            }
        }
    }
    for module in &wanted {
        if stands_back(module) && !(newest_fails && find(module).is_none()) {
            continue;
        }
        let key = module.metadata.key();
        let waits = module.status.next_attempt_time.filter(|at| *at > now);
        match find(module) {
            Some(report) => match report.state {
                State::Activated if module.spec.weight.is_none() && is_shared(report, there) => {
                    return order(Some(key), Command::Activate(report.id.clone()));
                }
                State::Activated if relative(module).is_some_and(|weight| weight != report.weight && is_shared(report, there)) => {
                    return order(Some(key.clone()), Command::Install(Box::new(install(module, &key, there))));
                }
                State::Activated | State::Unresolved => {}
                State::Deactivated | State::Resolved => return order(Some(key), Command::Activate(report.id.clone())),
                State::Broken | State::Stopped => match waits {
                    Some(at) => later(at),
                    None if is_hopeless(module) => {}
                    None => return order(Some(key), uninstall(report)),
                },
            },
            None => {
                if let Some(at) = waits {
                    later(at);
                    continue;
                }
                if is_hopeless(module) {
                    continue;
                }
                if module.spec.upgrade_policy() == UpgradePolicy::UninstallThenInstall
                    && let Some(other) = there.first()
                {
                    return order(Some(key), uninstall(other));
                }
                return order(Some(key.clone()), Command::Install(Box::new(install(module, &key, there))));
            }
        }
    }
    None
}

/// An instance's share of traffic as bases give it: relative to the version before, which has 100.
fn relative(module: &Module) -> Option<u32> {
    let percent = module.spec.weight?.clamp(1, 99);
    Some((100 * percent).div_ceil(100 - percent))
}

/// Whether another version of the name shares its traffic.
fn is_shared(report: &ModuleReport, there: &[&ModuleReport]) -> bool {
    there.iter().any(|other| other.id != report.id && other.state == State::Activated)
}

/// Whether to try again cannot help.
fn is_hopeless(module: &Module) -> bool {
    module.status.reason.is_some_and(is_permanent) && module.status.failed_attempts > 0
}

fn uninstall(report: &ModuleReport) -> Command {
    Command::Uninstall { id: report.id.clone(), mark: report.mark.clone() }
}

fn install(module: &Module, key: &Key, there: &[&ModuleReport]) -> InstallOrder {
    let (template, info) = (&module.spec.template, &module.spec.template.module);
    let shares = relative(module).filter(|_| there.iter().any(|other| other.id.version() != info.version));
    let mut order = InstallOrder {
        id: ModuleId::new(info.name.clone(), info.version.clone()).ok(),
        url: info.url.clone(),
        sha256: info.sha256.clone(),
        signature: info.signature.clone(),
        activation: Some(if shares.is_some() { Activation::Together } else { Activation::Switch }),
        weight: shares,
        context_path: template.context_path.clone(),
        args: template.args.clone(),
        options: template.options.clone(),
        mark: Some(mark(key)),
        // Other content under the same name and version.
        replace: there.iter().any(|other| other.id.version() == info.version),
        ..InstallOrder::default()
    };
    order.grants.env.extend(template.env.iter().map(|variable| (variable.name.clone(), variable.value.clone())));
    order
}

/// Whether a refusal only says that the base is further than was known, or about to be: its next report tells what to do.
#[must_use]
pub fn is_overtaken(command: &Command, failure: &Failure) -> bool {
    match failure.reason {
        Reason::NotInstalled => !matches!(command, Command::Install(_)),
        Reason::AlreadyInstalled | Reason::Conflict | Reason::OrderStale => true,
        _ => false,
    }
}
