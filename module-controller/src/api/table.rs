//! Tables: what `kubectl get` prints, made here so that every client prints the same.

use std::time::Duration;

use fleet::resource::{
    Base, Document, Kind, Module, ModuleDeployment, ModuleReplicaSet, SchedulingPolicy, Selector, Time, Truth, UpgradePolicy, label,
};
use serde_json::{Map, Value, json};

use super::{call::Target, item::Item};
use crate::store::Event;

/// A column: its heading, what is in it, and whether only a wide table has it.
type Column = (&'static str, &'static str, &'static str, bool);

const NAME: Column = ("Name", "string", "Its name", false);
const AGE: Column = ("Age", "string", "How long ago it was made", false);

fn columns(target: Target) -> &'static [Column] {
    match target {
        Target::Fleet(Kind::ModuleDeployment, _) => &[
            NAME,
            ("Module", "string", "The module's name", false),
            ("Version", "string", "The version that is wanted", false),
            ("Ready", "string", "Instances that get traffic, of those wanted", false),
            ("Updated", "integer", "Instances of the revision that is rolled out", false),
            ("Available", "integer", "Instances that are ready for long enough", false),
            ("Phase", "string", "Where the rollout stands", false),
            ("Batch", "string", "The batch, of how many", false),
            AGE,
            ("Strategy", "string", "How an instance is replaced, and which base goes first", true),
            ("Bases", "string", "Which bases run it", true),
            ("URL", "string", "Where its package is", true),
        ],
        Target::Fleet(Kind::ModuleReplicaSet, _) => &[
            NAME,
            ("Module", "string", "The module's name", false),
            ("Version", "string", "Its version", false),
            ("Revision", "string", "The number of the revision", false),
            ("Desired", "integer", "How many instances it is to have", false),
            ("Current", "integer", "How many it has", false),
            ("Ready", "integer", "How many of them get traffic", false),
            AGE,
            ("URL", "string", "Where its package is", true),
        ],
        Target::Fleet(Kind::Module, _) => &[
            NAME,
            ("Module", "string", "The module's name", false),
            ("Version", "string", "Its version", false),
            ("Base", "string", "The base it is on", false),
            ("Status", "string", "Where it stands", false),
            ("Reason", "string", "Why, in one word", false),
            AGE,
            ("Deployment", "string", "Its deployment", true),
            ("Message", "string", "Why, in a sentence", true),
        ],
        Target::Fleet(Kind::Base, _) => &[
            NAME,
            ("Deployment", "string", "The base deployment it belongs to", false),
            ("Kinds", "string", "The kinds of module it runs", false),
            ("Modules", "integer", "How many modules it has", false),
            ("Ready", "string", "Whether it answers, and whether it takes modules", false),
            ("Version", "string", "Its version", false),
            AGE,
            ("Gateway", "string", "Where its modules answer", true),
            ("Arklet", "string", "The version of its arklet", true),
        ],
        Target::Events => &[
            ("Last Seen", "string", "When it was last heard of", false),
            ("Type", "string", "Normal or Warning", false),
            ("Reason", "string", "Why, in one word", false),
            ("Object", "string", "What it happened to", false),
            ("Message", "string", "What happened", false),
            ("Count", "integer", "How often", true),
            ("Name", "string", "Its name", true),
        ],
        Target::Namespaces => &[NAME, ("Status", "string", "Whether it is in use", false)],
        Target::Review(_) | Target::Path => &[],
    }
}

/// How much of each resource goes with its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

/// A table of `items`. `with_columns` is false where the reader has them already.
pub(crate) fn table(target: Target, items: &[Item], metadata: &Value, with_columns: bool, include: Include, now: Time) -> Value {
    let definitions: Vec<Value> = if with_columns {
        let definition = |(name, kind, description, wide): &Column| {
            let format = if *name == "Name" { "name" } else { "" };
            json!({"name": name, "type": kind, "format": format, "description": description, "priority": u8::from(*wide)})
        };
        columns(target).iter().map(definition).collect()
    } else {
        Vec::new()
    };
    let rows: Vec<Value> = items.iter().map(|item| row(target, item, include, now)).collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": definitions, "rows": rows})
}

fn row(target: Target, item: &Item, include: Include, now: Time) -> Value {
    let mut row = Map::new();
    row.insert("cells".to_owned(), cells(item, now).into());
    match include {
        Include::None => {}
        Include::Metadata => drop(row.insert("object".to_owned(), partial(&item.write(target)))),
        Include::Object => drop(row.insert("object".to_owned(), item.write(target))),
    }
    row.into()
}

/// Only the metadata of a document.
pub(crate) fn partial(document: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": document.get("metadata")})
}

fn cells(item: &Item, now: Time) -> Vec<Value> {
    match item {
        Item::Document(document) => match &**document {
            Document::ModuleDeployment(deployment) => of_deployment(deployment, now),
            Document::ModuleReplicaSet(revision) => of_revision(revision, now),
            Document::Module(module) => of_module(module, now),
            Document::Base(base) => of_base(base, now),
        },
        Item::Event(event) => of_event(event, now),
        Item::Namespace(name) => vec![name.as_str().into(), "Active".into()],
    }
}

fn of_deployment(deployment: &ModuleDeployment, now: Time) -> Vec<Value> {
    let ModuleDeployment { metadata, spec, status } = deployment;
    let module = &spec.template.spec.module;
    let wanted = match (spec.replicas, status.observed_generation) {
        // Nobody has counted the bases yet.
        (..0, 0) => "?".to_owned(),
        (..0, _) => status.desired_replicas.to_string(),
        (replicas, _) => replicas.to_string(),
    };
    let release = &status.release_status;
    let batch =
        if release.real_batch_count == 0 { String::new() } else { format!("{}/{}", release.current_batch, release.real_batch_count) };
    let policy = match spec.operation_strategy.upgrade_policy.unwrap_or_default() {
        UpgradePolicy::InstallThenUninstall => "install_then_uninstall",
        UpgradePolicy::UninstallThenInstall => "uninstall_then_install",
        UpgradePolicy::ScaleupThenScaledown => "scaleup_then_scaledown",
    };
    let first = match spec.scheduling_strategy.scheduling_policy {
        SchedulingPolicy::Scatter => "scatter",
        SchedulingPolicy::Stacking => "stacking",
    };
    let selected = spec.base_selector.as_ref().map(selector_text).filter(|text| !text.is_empty());
    let bases = [Some(spec.base_deployment_name.clone()).filter(|name| !name.is_empty()), selected];
    vec![
        metadata.name.as_str().into(),
        module.name.as_str().into(),
        module.version.as_str().into(),
        format!("{}/{wanted}", status.ready_replicas).into(),
        status.updated_replicas.into(),
        status.available_replicas.into(),
        format!("{:?}", release.progress).into(),
        batch.into(),
        age(metadata.creation_timestamp, now),
        format!("{policy},{first}").into(),
        bases.into_iter().flatten().collect::<Vec<_>>().join(",").into(),
        module.url.as_str().into(),
    ]
}

fn selector_text(selector: &Selector) -> String {
    let exact = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let others = selector.match_expressions.iter().map(|requirement| {
        let values: Vec<&str> = requirement.values.iter().map(String::as_str).collect();
        format!("{} {:?} ({})", requirement.key, requirement.operator, values.join(","))
    });
    exact.chain(others).collect::<Vec<_>>().join(",")
}

fn of_revision(revision: &ModuleReplicaSet, now: Time) -> Vec<Value> {
    let ModuleReplicaSet { metadata, spec, status } = revision;
    let module = &spec.template.spec.module;
    vec![
        metadata.name.as_str().into(),
        module.name.as_str().into(),
        module.version.as_str().into(),
        metadata.label(label::REVISION).unwrap_or_default().into(),
        spec.replicas.into(),
        status.replicas.into(),
        status.ready_replicas.into(),
        age(metadata.creation_timestamp, now),
        module.url.as_str().into(),
    ]
}

fn of_module(module: &Module, now: Time) -> Vec<Value> {
    let Module { metadata, spec, status } = module;
    let phase = if metadata.is_going() { "Terminating" } else { status.status.as_str() };
    vec![
        metadata.name.as_str().into(),
        spec.template.module.name.as_str().into(),
        spec.template.module.version.as_str().into(),
        spec.base_name.as_str().into(),
        phase.into(),
        status.reason.map_or("", |reason| reason.as_str()).into(),
        age(metadata.creation_timestamp, now),
        metadata.label(label::MODULE_DEPLOYMENT).unwrap_or_default().into(),
        status.message.as_str().into(),
    ]
}

fn of_base(base: &Base, now: Time) -> Vec<Value> {
    let Base { metadata, spec, status } = base;
    let ready = match base.ready().map(|condition| condition.status) {
        Some(Truth::True) => "True",
        Some(Truth::False) => "False",
        Some(Truth::Unknown) | None => "Unknown",
    };
    let takes = match (spec.drain, spec.unschedulable) {
        (true, _) => ",Draining",
        (false, true) => ",Cordoned",
        (false, false) => "",
    };
    vec![
        metadata.name.as_str().into(),
        metadata.label(label::DEPLOYMENT_NAME).unwrap_or_default().into(),
        status.kinds.join(",").into(),
        status.modules.into(),
        format!("{ready}{takes}").into(),
        status.version.as_str().into(),
        age(metadata.creation_timestamp, now),
        status.gateway.as_str().into(),
        status.arklet_version.as_str().into(),
    ]
}

fn of_event(event: &Event, now: Time) -> Vec<Value> {
    let about = &event.about;
    vec![
        age(Some(event.last), now),
        event.severity.as_str().into(),
        event.reason.as_str().into(),
        format!("{}/{}", about.kind.to_lowercase(), about.name).into(),
        event.message.as_str().into(),
        event.count.into(),
        event.name.as_str().into(),
    ]
}

fn age(since: Option<Time>, now: Time) -> Value {
    since.map_or_else(|| "<unknown>".into(), |since| rough(since.elapsed(now)).into())
}

/// A duration in at most two units, as `kubectl` writes ages: the second unit only while it tells something.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: u64, unit: char, small: u64, part: char| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (135, "2m15s"),
            (660, "11m"),
            (10_860, "3h1m"),
            (90_000, "25h"),
            (176_400, "2d1h"),
            (864_000, "10d"),
        ] {
            assert_eq!(rough(Duration::from_secs(seconds)), text);
        }
    }
}
