//! `arkctl rollout history`: the revisions of a deployment.

use fleet::resource::{Kind, ModuleDeployment, ModuleReplicaSet, Time, label};
use serde::{Deserialize, Serialize};

use super::{
    Fleet, Where,
    resource::{Resource, encoded},
};
use crate::{
    context::Context,
    error::Error,
    style,
    table::{Table, cell, figure},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "The highest number is the current one; a revision that is returned to gets a new number. As many are kept
as the deployment's revisionHistoryLimit says.

Example:
  arkctl rollout history shop")]
pub(super) struct Args {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Revision {
    pub(super) revision: u64,
    name: String,
    pub(super) module: String,
    pub(super) version: String,
    url: String,
    instances: u32,
    created: Option<Time>,
    /// What it is to the rollout: `current`, `stable`, `given up`; several, or none.
    is: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct History {
    deployment: String,
    revisions: Vec<Revision>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct List {
    items: Vec<ModuleReplicaSet>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let deployment: ModuleDeployment = fleet.get(&Resource::Fleet(Kind::ModuleDeployment).one(fleet.namespace(), &args.deployment))?;
    let revisions = revisions(&fleet, &deployment)?;
    if revisions.is_empty() {
        context.output.note(&format!("{} has no revision yet", args.deployment));
    }
    context.output.result(&History { deployment: args.deployment.clone(), revisions }, |history| render(&history.revisions))
}

/// The revisions of `deployment`, oldest first.
pub(super) fn revisions(fleet: &Fleet, deployment: &ModuleDeployment) -> Result<Vec<Revision>, Error> {
    let selector = encoded(&format!("{}={}", label::MODULE_DEPLOYMENT, deployment.metadata.name));
    let path = format!("{}?labelSelector={selector}", Resource::Fleet(Kind::ModuleReplicaSet).all(Some(fleet.namespace())));
    let list: List = fleet.get(&path)?;
    Ok(read(&list.items, deployment))
}

fn read(sets: &[ModuleReplicaSet], deployment: &ModuleDeployment) -> Vec<Revision> {
    let release = &deployment.status.release_status;
    let mut revisions: Vec<Revision> = sets
        .iter()
        .map(|set| {
            let (name, module) = (&set.metadata.name, &set.spec.template.spec.module);
            let roles =
                [("current", &release.update_revision), ("stable", &release.stable_revision), ("given up", &release.rejected_revision)];
            Revision {
                revision: set.metadata.label(label::REVISION).and_then(|number| number.parse().ok()).unwrap_or(0),
                name: name.clone(),
                module: module.name.clone(),
                version: module.version.clone(),
                url: module.url.clone(),
                instances: set.status.replicas,
                created: set.metadata.creation_timestamp,
                is: roles.into_iter().filter(|(_, of)| *of == name).map(|(role, _)| role).collect(),
            }
        })
        .collect();
    revisions.sort_by_key(|revision| revision.revision);
    revisions
}

/// The revision to return to: the one with the number `wanted`, or for 0 the one before the current one.
///
/// # Errors
/// Why there is none.
pub(super) fn target(revisions: &[Revision], wanted: u64) -> Result<&Revision, String> {
    let Some((current, earlier)) = revisions.split_last() else { return Err("there is no revision yet".to_owned()) };
    if wanted == 0 {
        return earlier.last().ok_or_else(|| format!("there is no revision before {}, the first one", current.revision));
    }
    if wanted == current.revision {
        return Err(format!("revision {wanted} is the current one"));
    }
    earlier.iter().find(|revision| revision.revision == wanted).ok_or_else(|| {
        let kept: Vec<String> = earlier.iter().map(|revision| revision.revision.to_string()).collect();
        let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
        format!("revision {wanted} is not kept; kept are {kept}")
    })
}

fn render(revisions: &[Revision]) -> String {
    if revisions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["REVISION", "MODULE", "VERSION", "INSTANCES", "CREATED", "NAME", ""]);
    for revision in revisions {
        table.row([
            figure(revision.revision.to_string()),
            cell(&revision.module),
            cell(&revision.version),
            figure(revision.instances.to_string()),
            cell(revision.created.map(|created| created.to_string()).unwrap_or_default()),
            cell(&revision.name),
            cell(revision.is.join(", ")).in_style(style::REFERENCE),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fleet::state::tests::deployment, table::plain};
    use fleet::resource::Progress;

    fn sets() -> Vec<ModuleReplicaSet> {
        let set = |number: u64, version: &str, instances| {
            let mut set = ModuleReplicaSet::default();
            set.metadata.name = format!("shop-{number}");
            set.metadata.labels.insert(label::REVISION.to_owned(), number.to_string());
            set.metadata.creation_timestamp = Some(Time(number * 1000));
            let module = &mut set.spec.template.spec.module;
            (module.name, module.version) = ("orders".to_owned(), version.to_owned());
            set.status.replicas = instances;
            set
        };
        vec![set(10, "1.2.0", 0), set(2, "1.1.0", 1), set(1, "1.0.0", 2)]
    }

    #[test]
    fn people_see_the_revisions_by_their_numbers_and_which_is_which() {
        let revisions = read(&sets(), &deployment(Progress::Executing));
        insta::assert_snapshot!(plain(&render(&revisions)), @"
        REVISION  MODULE  VERSION  INSTANCES  CREATED               NAME
               1  orders  1.0.0            2  1970-01-01T00:00:01Z  shop-1   stable
               2  orders  1.1.0            1  1970-01-01T00:00:02Z  shop-2   current
              10  orders  1.2.0            0  1970-01-01T00:00:10Z  shop-10
        ");
    }

    #[test]
    fn one_returns_to_the_revision_before_or_to_one_that_is_kept() {
        let revisions = read(&sets(), &deployment(Progress::Executing));
        assert_eq!(target(&revisions, 0).unwrap().revision, 2);
        assert_eq!(target(&revisions, 1).unwrap().version, "1.0.0");
        assert_eq!(target(&revisions, 7).unwrap_err(), "revision 7 is not kept; kept are 1, 2");
        assert_eq!(target(&revisions, 10).unwrap_err(), "revision 10 is the current one");
        assert_eq!(target(&revisions[..1], 0).unwrap_err(), "there is no revision before 1, the first one");
        assert!(target(&[], 0).is_err());
    }
}
