//! `arkctl describe`: all that is known of one resource, for people.

use std::collections::BTreeMap;

use fleet::resource::{Base, Condition, Kind, Meta, Module, ModuleDeployment, ModuleReplicaSet, Truth, label};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Fleet, Where,
    client::Form,
    resource::{Resource, encoded},
    table::{Layout, Rows, of_word},
};
use crate::{
    context::Context,
    error::Error,
    humanise::{self, printable},
    style,
    table::{Table, cell},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Ends with what belongs to it and the events about it. For programs there is the document itself, as of
`arkctl get`.

Examples:
  arkctl describe deployment shop
  arkctl describe base base-a")]
pub(crate) struct Args {
    /// What kind: deployment, replicaset, module or base.
    #[arg(value_parser = described)]
    resource: Kind,
    /// Which one.
    name: String,
    #[command(flatten)]
    asked: Where,
}

fn described(name: &str) -> Result<Kind, String> {
    match Resource::named(name)? {
        Resource::Fleet(kind) => Ok(kind),
        other @ (Resource::Events | Resource::Namespaces) => Err(format!("of {} there is no more than `arkctl get` says", other.plural())),
    }
}

/// A resource with what belongs to it.
#[derive(Debug)]
struct Description {
    object: Value,
    sections: Vec<(&'static str, Rows)>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let object: Value = fleet.get(&Resource::Fleet(args.resource).one(fleet.namespace(), &args.name))?;
    if context.output.is_for_programs() {
        return context.output.value(&object);
    }
    let sections = sections(&fleet, args.resource, &args.name)?;
    context.output.print(&render(args.resource, &Description { object, sections }))
}

/// What belongs to it, as the server shows it.
fn sections(fleet: &Fleet, kind: Kind, name: &str) -> Result<Vec<(&'static str, Rows)>, Error> {
    let labelled = |resource: Kind, label: &str| {
        let all = Resource::Fleet(resource).all(Some(fleet.namespace()));
        format!("{all}?labelSelector={}", encoded(&format!("{label}={name}")))
    };
    let mut asked = match kind {
        Kind::ModuleDeployment => vec![
            ("instances", labelled(Kind::Module, label::MODULE_DEPLOYMENT)),
            ("revisions", labelled(Kind::ModuleReplicaSet, label::MODULE_DEPLOYMENT)),
        ],
        Kind::ModuleReplicaSet => vec![("instances", labelled(Kind::Module, label::MODULE_REPLICASET))],
        Kind::Base => vec![("modules", labelled(Kind::Module, label::BASE_NAME))],
        Kind::Module => Vec::new(),
    };
    let events = encoded(&format!("involvedObject.kind={},involvedObject.name={name}", kind.as_str()));
    asked.push(("events", format!("{}?fieldSelector={events}&includeObject=Object", Resource::Events.all(Some(fleet.namespace())))));
    let mut sections = Vec::new();
    for (name, path) in asked {
        let found: Value = fleet.get_as(&path, Form::Table)?;
        if let Some(mut rows) = Rows::read(&found).filter(|rows| rows.len() > 0) {
            if name == "events" {
                rows.sort_by("/lastTimestamp");
            }
            sections.push((name, rows));
        }
    }
    Ok(sections)
}

/// Facts about a resource, how it stands in a word, and what is said of it.
struct Facts {
    word: String,
    facts: Vec<(&'static str, String)>,
    conditions: Vec<Condition>,
}

fn render(kind: Kind, description: &Description) -> String {
    let object = &description.object;
    let meta: Meta = read(object.get("metadata").unwrap_or(&Value::Null));
    let known = match kind {
        Kind::ModuleDeployment => of_deployment(&read(object)),
        Kind::ModuleReplicaSet => of_revision(&read(object)),
        Kind::Module => of_module(&read(object)),
        Kind::Base => of_base(&read(object)),
    };
    let word = if meta.is_going() { "Terminating".to_owned() } else { known.word };
    let name = style::paint(style::HEADING, printable(&meta.name));
    let word = style::paint(of_word(&word), printable(&word));
    let mut text =
        format!("{name} {word} {}\n", style::paint(style::FAINT, format!("{} in {}", kind.as_str(), printable(&meta.namespace))));
    let mut table = Table::new(&[]);
    let of_all = [
        ("labels", pairs(&meta.labels)),
        ("annotations", pairs(&meta.annotations)),
        ("created", meta.creation_timestamp.map(|time| time.to_string()).unwrap_or_default()),
    ];
    let facts = known.facts.into_iter().chain(of_all).filter(|(_, value)| !value.is_empty());
    facts.for_each(|(name, value)| table.row([cell(name), cell(value)]));
    text.push_str(&table.render());
    text.push_str(&section("conditions", &conditions(&known.conditions)));
    for (name, rows) in &description.sections {
        text.push_str(&section(name, &Layout::new(false, false).lines(rows)));
    }
    text
}

/// What cannot be read is as if it said nothing: the document itself is what holds.
fn read<T: DeserializeOwned + Default>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// A part of a description; nothing where there is nothing in it.
pub(super) fn section(name: &str, table: &str) -> String {
    if table.is_empty() { String::new() } else { format!("\n{}\n{table}", style::paint(style::HEADING, name)) }
}

/// A table of conditions; empty where there are none.
pub(super) fn conditions(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["TYPE", "STATUS", "REASON", "MESSAGE"]);
    for condition in conditions {
        let is_bad_when_true = condition.kind == "ReplicaFailure";
        let style = match (condition.status, is_bad_when_true) {
            (Truth::True, false) | (Truth::False, true) => style::GOOD,
            (Truth::False, false) | (Truth::True, true) => style::BAD,
            (Truth::Unknown, _) => style::WAITING,
        };
        let status = format!("{:?}", condition.status);
        table.row([cell(&condition.kind), cell(status).in_style(style), cell(&condition.reason), cell(&condition.message)]);
    }
    table.render()
}

fn pairs(pairs: &BTreeMap<String, String>) -> String {
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn of_deployment(deployment: &ModuleDeployment) -> Facts {
    let ModuleDeployment { spec, status, .. } = deployment;
    let (template, strategy, release) = (&spec.template.spec, &spec.operation_strategy, &status.release_status);
    let wanted = if spec.replicas < 0 { "one on every base".to_owned() } else { spec.replicas.to_string() };
    let batches = match (strategy.batch_count.max(1), strategy.use_beta) {
        (1, false) => "1 batch".to_owned(),
        (count, false) => format!("{count} batches"),
        (count, true) => format!("a beta, {count} batches"),
    };
    let confirm = if strategy.need_confirm { ", confirmed one by one" } else { "" };
    let gray = match strategy.gray_time_between_batch_seconds {
        0 => String::new(),
        seconds => format!(", {} between them", humanise::span(u64::from(seconds))),
    };
    let reverts = if strategy.auto_revert { ", returns by itself when it fails" } else { "" };
    let policy = template.upgrade_policy.or(strategy.upgrade_policy).unwrap_or_default();
    let held = [(spec.paused, "paused"), (spec.abort, "being given up")].into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what);
    let stable = if release.stable_revision.is_empty() { String::new() } else { format!(", stable is {}", release.stable_revision) };
    let rollout = match release.real_batch_count {
        0 => String::new(),
        batches => format!("batch {} of {batches} to {}{stable}", release.current_batch, release.update_revision),
    };
    Facts {
        word: format!("{:?}", release.progress),
        facts: vec![
            ("module", format!("{}:{} from {}", template.module.name, template.module.version, template.module.url)),
            ("base deployment", spec.base_deployment_name.clone()),
            ("base selector", spec.base_selector.as_ref().map(|selector| pairs(&selector.match_labels)).unwrap_or_default()),
            (
                "instances",
                format!(
                    "{wanted} wanted; {} of {} updated, {} ready, {} available",
                    status.updated_replicas, status.desired_replicas, status.ready_replicas, status.available_replicas
                ),
            ),
            ("rollout", rollout),
            ("held", held.collect::<Vec<_>>().join(", ")),
            (
                "strategy",
                format!(
                    "{}, {batches}{confirm}{gray}{reverts}",
                    serde_json::to_value(policy).ok().and_then(|policy| policy.as_str().map(str::to_owned)).unwrap_or_default()
                ),
            ),
        ],
        conditions: status.conditions.clone(),
    }
}

fn of_revision(revision: &ModuleReplicaSet) -> Facts {
    let ModuleReplicaSet { metadata, spec, status } = revision;
    let module = &spec.template.spec.module;
    Facts {
        word: format!("revision {}", metadata.label(label::REVISION).unwrap_or("?")),
        facts: vec![
            ("module", format!("{}:{} from {}", module.name, module.version, module.url)),
            ("deployment", metadata.label(label::MODULE_DEPLOYMENT).unwrap_or_default().to_owned()),
            (
                "instances",
                format!(
                    "{} wanted; {} there, {} ready, {} available",
                    spec.replicas, status.replicas, status.ready_replicas, status.available_replicas
                ),
            ),
        ],
        conditions: status.conditions.clone(),
    }
}

fn of_module(module: &Module) -> Facts {
    let Module { metadata, spec, status } = module;
    let of = |name: &str| metadata.label(name).unwrap_or_default().to_owned();
    let why = match status.reason {
        Some(reason) => format!("{reason}: {}", status.message),
        None => status.message.clone(),
    };
    let attempts = match (status.failed_attempts, status.next_attempt_time) {
        (0, _) => String::new(),
        (count, None) => format!("{count} in vain"),
        (count, Some(next)) => format!("{count} in vain, the next at {next}"),
    };
    let traffic = status.traffic.map(|traffic| {
        let (requests, failures) = (humanise::count(traffic.requests), humanise::count(traffic.failures));
        format!("{requests} requests, {failures} failed, p99 {}", humanise::ms(traffic.p99_millis))
    });
    Facts {
        word: status.status.as_str().to_owned(),
        facts: vec![
            ("module", format!("{}:{} from {}", spec.template.module.name, spec.template.module.version, spec.template.module.url)),
            ("base", spec.base_name.clone()),
            ("deployment", of(label::MODULE_DEPLOYMENT)),
            ("revision", of(label::MODULE_REPLICASET)),
            ("weight", spec.weight.map(|weight| weight.to_string()).unwrap_or_default()),
            ("why", why),
            ("attempts", attempts),
            ("ready since", status.ready_since.map(|time| time.to_string()).unwrap_or_default()),
            ("traffic", traffic.unwrap_or_default()),
        ],
        conditions: status.conditions.clone(),
    }
}

fn of_base(base: &Base) -> Facts {
    let Base { spec, status, .. } = base;
    let takes = match (spec.drain, spec.unschedulable) {
        (true, _) => "gives its modules away",
        (false, true) => "takes no modules",
        (false, false) => "",
    };
    let most = spec.max_modules.map(|most| format!(" of at most {most}")).unwrap_or_default();
    Facts {
        word: if base.is_ready() { "Ready" } else { "Unknown" }.to_owned(),
        facts: vec![
            ("application", format!("{} {}", status.name, status.version).trim().to_owned()),
            ("kinds", status.kinds.join(", ")),
            ("modules", format!("{}{most}", status.modules)),
            ("use", takes.to_owned()),
            ("gateway", status.gateway.clone()),
            ("api", status.api.clone()),
            ("arklet", status.arklet_version.clone()),
            ("started", status.started_at.map(|time| time.to_string()).unwrap_or_default()),
            ("last heard", status.last_heard_time.map(|time| time.to_string()).unwrap_or_default()),
        ],
        conditions: status.conditions.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fleet::state::tests::deployment, table::plain};
    use fleet::resource::Progress;
    use serde_json::json;

    #[test]
    fn people_see_what_is_wanted_how_far_it_is_and_what_happened() {
        let mut rollout = deployment(Progress::WaitingForConfirmation);
        rollout.spec.base_deployment_name = "default".to_owned();
        rollout.spec.template.spec.module.url = "http://x/orders.wasm".to_owned();
        rollout.spec.operation_strategy.batch_count = 3;
        rollout.spec.operation_strategy.need_confirm = true;
        rollout.spec.operation_strategy.gray_time_between_batch_seconds = 90;
        rollout.status.conditions = vec![Condition {
            kind: "Available".to_owned(),
            status: Truth::True,
            reason: "MinimumReplicasAvailable".to_owned(),
            message: "3 of 3 instances are available".to_owned(),
            ..Condition::default()
        }];
        let events = json!({"kind": "Table", "columnDefinitions": [{"name": "Last Seen"}, {"name": "Reason"}], "rows": [{"cells": ["3s", "BatchStarted"]}]});
        let sections = vec![("events", Rows::read(&events).unwrap())];
        let description = Description { object: serde_json::to_value(&rollout).unwrap(), sections };
        insta::assert_snapshot!(plain(&render(Kind::ModuleDeployment, &description)), @"
        shop WaitingForConfirmation ModuleDeployment in default
        module           orders:1.1.0 from http://x/orders.wasm
        base deployment  default
        instances        3 wanted; 1 of 3 updated, 0 ready, 3 available
        rollout          batch 1 of 3 to shop-2, stable is shop-1
        strategy         install_then_uninstall, 3 batches, confirmed one by one, 1 min 30 s between them

        conditions
        TYPE       STATUS  REASON                    MESSAGE
        Available  True    MinimumReplicasAvailable  3 of 3 instances are available

        events
        LAST SEEN  REASON
        3s         BatchStarted
        ");
    }

    #[test]
    fn a_base_says_whether_it_is_in_use() {
        let mut base = Base::default();
        (base.metadata.name, base.metadata.namespace) = ("a".to_owned(), "default".to_owned());
        (base.spec.drain, base.spec.max_modules, base.status.modules) = (true, Some(5), 2);
        base.status.kinds = vec!["wasm".to_owned()];
        let description = Description { object: serde_json::to_value(&base).unwrap(), sections: Vec::new() };
        insta::assert_snapshot!(plain(&render(Kind::Base, &description)), @"
        a Unknown Base in default
        kinds    wasm
        modules  2 of at most 5
        use      gives its modules away
        ");
    }
}
