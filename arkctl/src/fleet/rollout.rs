//! `arkctl rollout`: how one version follows another, watched and led.

use std::time::Duration;

use fleet::resource::{Kind, ModuleDeployment, ReleaseStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Fleet, Where, duration,
    follow::{self, Deadline},
    history,
    resource::Resource,
    state::{Action, State, idle, is_seen, is_under_way, state},
    view::{self, View},
};
use crate::{context::Context, error::Error, humanise::printable, progress::Live};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arkctl rollout status shop
  arkctl rollout confirm shop
  arkctl rollout undo shop")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Follow a rollout to its end.
    Status(Status),
    /// Hold a rollout where it is.
    Pause(Pause),
    /// Let a rollout that was held go on.
    Resume(Resume),
    /// Find the batch that is complete good, so that the next one begins.
    Confirm(Confirm),
    /// Give a rollout up, and return to the revision before it.
    Abort(Abort),
    /// Return to an earlier revision.
    Undo(Undo),
    /// List the revisions that there were.
    History(history::Args),
    /// Install the same module anew on every base, batch by batch.
    Restart(Restart),
    /// Move instances to the bases where they would go now.
    Rebalance(Rebalance),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "On a terminal there is a line for each batch that is done and a bar for the one under way: what is
available, what is there and not available yet, what is to come. Elsewhere there are plain lines. Exit
code 0 means that everything runs as wanted; 1 that the rollout failed, was given up or returned to the
revision before, or that the time is over. A rollout that is paused or waits to be confirmed is waited
for.

Examples:
  arkctl rollout status shop
  arkctl apply -f shop.yaml && arkctl rollout status shop --timeout 10m
  arkctl rollout status shop --no-wait -o json | jq .state")]
struct Status {
    /// The deployment.
    deployment: String,
    /// Say how it stands now, and do not wait; exit code 1 only where it has failed.
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// How long to wait; for ever where nobody says, since the controller has a deadline of its own for progress.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "What is under way on a base is ended, and nothing new is begun. The versions that serve go on serving.

Example:
  arkctl rollout pause shop")]
struct Pause {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  arkctl rollout resume shop && arkctl rollout status shop")]
struct Resume {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "A rollout waits after its beta, and with `needConfirm` after every batch but the last. Only the batch that
is complete now is confirmed; one that is completed meanwhile waits for its own confirmation.

Example:
  arkctl rollout confirm shop && arkctl rollout status shop")]
struct Confirm {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "The revision before comes back on the bases that have the new one already. The new one stays given up
until the deployment's template changes.

Example:
  arkctl rollout abort shop && arkctl rollout status shop")]
struct Abort {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "The way back is a rollout like any other, with the batches of the deployment. The file that was applied
still says what it said: change it too, or the next apply goes forth again.

Examples:
  arkctl rollout undo shop
  arkctl rollout history shop && arkctl rollout undo shop --to-revision 3")]
struct Undo {
    /// The deployment.
    deployment: String,
    /// The number of the revision; the one before where nobody says.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    to_revision: u64,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "It is a new revision with the same module: each base installs it beside the old instance and switches once
it is ready.

Example:
  arkctl rollout restart shop && arkctl rollout status shop")]
struct Restart {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing moves by itself when bases come, or have room again. One instance after the other comes up on a base that
suits better, by `schedulingStrategy`, and goes from its own once the new one is ready.

Example:
  arkctl rollout rebalance shop && arkctl get mod")]
struct Rebalance {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    match &args.command {
        Command::Status(args) => status(args, context),
        Command::History(args) => history::run(args, context),
        Command::Pause(args) => act(context, &args.asked, &args.deployment, Action::Pause),
        Command::Resume(args) => act(context, &args.asked, &args.deployment, Action::Resume),
        Command::Confirm(args) => act(context, &args.asked, &args.deployment, Action::Confirm),
        Command::Abort(args) => act(context, &args.asked, &args.deployment, Action::Abort),
        Command::Undo(args) => undo(args, context),
        Command::Restart(args) => restart(args, context),
        Command::Rebalance(args) => rebalance(args, context),
    }
}

fn path(fleet: &Fleet, name: &str) -> String {
    Resource::Fleet(Kind::ModuleDeployment).one(fleet.namespace(), name)
}

/// Does `action`, unless it would do nothing.
fn act(context: &Context, asked: &Where, name: &str, action: Action) -> Result<(), Error> {
    let fleet = context.fleet(asked)?;
    let path = path(&fleet, name);
    let deployment: ModuleDeployment = fleet.get(&path)?;
    if let Some(why) = idle(&deployment, action) {
        // To have what is wanted already is no failure; to have nothing to confirm or give up is one.
        return match action {
            Action::Pause | Action::Resume => context.output.result(&deployment, |_| format!("{why}\n")),
            Action::Confirm | Action::Abort => Err(Error::Rollout { deployment: name.to_owned(), reason: "NothingToDo", message: why }),
        };
    }
    let after: ModuleDeployment = fleet.merge(&path, &patch(&deployment, action))?;
    context.output.result(&after, |after| format!("{}\n", done(after, action)))
}

/// The fields that `action` sets.
fn patch(deployment: &ModuleDeployment, action: Action) -> Value {
    match action {
        Action::Pause => json!({"spec": {"paused": true}}),
        Action::Resume => json!({"spec": {"paused": null}}),
        // The batch that was seen: one that is complete meanwhile was not looked at.
        Action::Confirm => json!({"spec": {"confirmBatchNum": deployment.status.release_status.current_batch}}),
        Action::Abort => json!({"spec": {"abort": true}}),
    }
}

fn done(deployment: &ModuleDeployment, action: Action) -> String {
    let (name, release) = (&deployment.metadata.name, &deployment.status.release_status);
    match action {
        Action::Pause => format!("{name} paused in batch {} of {}", release.current_batch, release.real_batch_count),
        Action::Resume => format!("{name} goes on"),
        Action::Confirm => format!("{name}: batch {} of {} confirmed", release.current_batch, release.real_batch_count),
        Action::Abort if release.stable_revision.is_empty() => format!("{name}: {} is given up", release.update_revision),
        Action::Abort => format!("{name}: {} is given up, {} comes back", release.update_revision, release.stable_revision),
    }
}

fn undo(args: &Undo, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let path = path(&fleet, &args.deployment);
    let deployment: ModuleDeployment = fleet.get(&path)?;
    let revisions = history::revisions(&fleet, &deployment)?;
    let target = history::target(&revisions, args.to_revision);
    let target = target.map_err(|message| Error::Rollout { deployment: args.deployment.clone(), reason: "NoSuchRevision", message })?;
    let back = format!("{} goes back to revision {} ({}:{})\n", args.deployment, target.revision, target.module, target.version);
    let after: ModuleDeployment = fleet.merge(&path, &json!({"spec": {"rollbackTo": {"revision": target.revision}}}))?;
    context.output.result(&after, |_| back)
}

/// Has something done by writing the time into a field of the spec: another text than before asks for it.
fn ask_now(
    context: &Context,
    asked: &Where,
    deployment: &str,
    field: &str,
    said: impl FnOnce(&ModuleDeployment) -> String,
) -> Result<(), Error> {
    let fleet = context.fleet(asked)?;
    let now = humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string();
    let after: ModuleDeployment = fleet.merge(&path(&fleet, deployment), &json!({"spec": {field: now}}))?;
    context.output.result(&after, said)
}

fn restart(args: &Restart, context: &Context) -> Result<(), Error> {
    ask_now(context, &args.asked, &args.deployment, "restartedAt", |after| {
        format!("{} restarts: {}:{}\n", after.metadata.name, after.spec.template.spec.module.name, after.spec.template.spec.module.version)
    })
}

fn rebalance(args: &Rebalance, context: &Context) -> Result<(), Error> {
    ask_now(context, &args.asked, &args.deployment, "rebalancedAt", |after| {
        format!("{}: its instances move where another base suits better\n", after.metadata.name)
    })
}

/// How a rollout stands, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    deployment: String,
    state: &'static str,
    message: String,
    updated_replicas: u32,
    available_replicas: u32,
    desired_replicas: u32,
    rollout: ReleaseStatus,
}

fn standing(deployment: &ModuleDeployment, state: &State) -> Standing {
    let (word, message) = match state {
        State::UnderWay => ("UnderWay", view::now(deployment)),
        State::Held { why, .. } => ("Held", why.clone()),
        State::Done => ("Done", finished(deployment)),
        State::Failed { reason, message } => (*reason, message.clone()),
    };
    let status = &deployment.status;
    Standing {
        deployment: deployment.metadata.name.clone(),
        state: word,
        message,
        updated_replicas: status.updated_replicas,
        available_replicas: status.available_replicas,
        desired_replicas: status.desired_replicas,
        rollout: status.release_status.clone(),
    }
}

fn finished(deployment: &ModuleDeployment) -> String {
    let (status, module) = (&deployment.status, &deployment.spec.template.spec.module);
    let instances = if status.desired_replicas == 1 { "instance" } else { "instances" };
    let (available, desired) = (status.available_replicas, status.desired_replicas);
    printable(&format!("{}:{} runs as wanted: {available} of {desired} {instances} available", module.name, module.version))
}

fn status(args: &Status, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let output = context.output;
    let mut deployment: ModuleDeployment = fleet.get(&path(&fleet, &args.deployment))?;
    let mut came_to = state(&deployment, None);
    if !args.no_wait {
        let mut under_way: Option<ReleaseStatus> = None;
        let deadline = Deadline::new(args.timeout);
        let (mut view, mut last) = (View::default(), String::new());
        let live = Live::spinner(output, &view::now(&deployment));
        follow::one(&fleet, Kind::ModuleDeployment, &args.deployment, |seen| {
            let Some(seen) = seen else {
                let message = format!("{} is not there any more", args.deployment);
                came_to = State::Failed { reason: "Deleted", message };
                return Ok(false);
            };
            deployment = serde_json::from_value(seen.clone())
                .map_err(|error| Error::Protocol { what: "the deployment".to_owned(), problem: error.to_string() })?;
            if is_under_way(&deployment) {
                under_way = Some(deployment.status.release_status.clone());
            }
            came_to = state(&deployment, under_way.as_ref());
            view.lines(&deployment, &came_to).iter().for_each(|line| live.note(output, line));
            let now = view::now(&deployment);
            if now != last {
                live.say(&now);
                if !live.is_seen() && is_seen(&deployment) && came_to == State::UnderWay {
                    output.note(&now);
                }
                last = now;
            }
            if matches!(came_to, State::Done | State::Failed { .. }) {
                return Ok(false);
            }
            deadline.check(&format!("the rollout of {}", args.deployment), &standing(&deployment, &came_to).message)?;
            Ok(true)
        })?;
    }
    let told = standing(&deployment, &came_to);
    match came_to {
        State::Failed { reason, message } if !output.is_for_programs() => {
            Err(Error::Rollout { deployment: args.deployment.clone(), reason, message })
        }
        // One value on standard output, which says it all.
        State::Failed { .. } => output.result(&told, |_| String::new()).and(Err(Error::Told)),
        State::Done | State::UnderWay | State::Held { .. } => {
            output.result(&told, |told| format!("{}: {}\n", told.deployment, told.message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::state::tests::deployment;
    use fleet::resource::Progress;

    #[test]
    fn each_action_sets_its_field_and_no_other() {
        let mut waiting = deployment(Progress::WaitingForConfirmation);
        waiting.status.release_status.current_batch = 2;
        assert_eq!(patch(&waiting, Action::Confirm), json!({"spec": {"confirmBatchNum": 2}}));
        assert_eq!(patch(&waiting, Action::Pause), json!({"spec": {"paused": true}}));
        assert_eq!(patch(&waiting, Action::Resume), json!({"spec": {"paused": null}}));
        assert_eq!(patch(&waiting, Action::Abort), json!({"spec": {"abort": true}}));
    }

    #[test]
    fn people_see_what_was_done_to_the_rollout() {
        let rollout = deployment(Progress::WaitingForConfirmation);
        assert_eq!(done(&rollout, Action::Confirm), "shop: batch 1 of 3 confirmed");
        assert_eq!(done(&rollout, Action::Abort), "shop: shop-2 is given up, shop-1 comes back");
    }

    #[test]
    fn programs_see_how_it_stands_in_one_word() {
        let mut rollout = deployment(Progress::Completed);
        rollout.status.updated_replicas = 3;
        let told = standing(&rollout, &state(&rollout, None));
        assert_eq!((told.state, told.message.as_str()), ("Done", "orders:1.1.0 runs as wanted: 3 of 3 instances available"));
        let rollout = deployment(Progress::WaitingForConfirmation);
        assert_eq!(standing(&rollout, &state(&rollout, None)).state, "Held");
    }
}
