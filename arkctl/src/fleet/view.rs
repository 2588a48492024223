//! What people see of a rollout while it goes on: a line for what is over, and a line that moves for what is under way.

use anstyle::Style;
use fleet::resource::ModuleDeployment;

use super::state::{State, is_seen, returns};
use crate::{humanise::printable, style};

/// How many cells the bar has.
const CELLS: u32 = 24;

/// Remembers what was told, so that each line is told once.
#[derive(Debug, Default)]
pub(super) struct View {
    revision: String,
    batch: u32,
    held: Option<String>,
    returning: bool,
}

impl View {
    /// The lines that are to be told now, since the last time.
    pub(super) fn lines(&mut self, deployment: &ModuleDeployment, state: &State) -> Vec<String> {
        let mut lines = Vec::new();
        let release = &deployment.status.release_status;
        if !is_seen(deployment) || release.update_revision.is_empty() {
            return lines;
        }
        let revision = &release.update_revision;
        if self.revision != *revision {
            let module = &deployment.spec.template.spec.module;
            let (wanted, batches) = (deployment.status.desired_replicas, release.real_batch_count);
            let batches = if batches == 1 { "1 batch".to_owned() } else { format!("{batches} batches") };
            lines.push(printable(&format!("{}:{} ({revision}): {wanted} instances in {batches}", module.name, module.version)));
            *self = Self { revision: revision.clone(), batch: release.current_batch.max(1), ..Self::default() };
        }
        let last = match state {
            State::Done => release.real_batch_count + 1,
            State::UnderWay | State::Held { .. } | State::Failed { .. } => release.current_batch,
        };
        while self.batch < last {
            lines.push(marked(style::GOOD, "done", &format!("batch {} of {}", self.batch, release.real_batch_count)));
            self.batch += 1;
        }
        if returns(release) && !self.returning {
            self.returning = true;
            let to = if release.stable_revision.is_empty() { "nothing ran before" } else { &release.stable_revision };
            lines.push(marked(style::BAD, "stop", &format!("{} is given up; back to {to}", release.rejected_revision)));
        }
        let held = match state {
            State::Held { why, command: Some(command) } => Some(format!("{why}: `{command}`")),
            State::Held { why, command: None } => Some(why.clone()),
            State::UnderWay | State::Done | State::Failed { .. } => None,
        };
        if held != self.held {
            lines.extend(held.as_ref().map(|held| marked(style::WAITING, "hold", held)));
            self.held = held;
        }
        lines
    }
}

fn marked(style: Style, mark: &str, text: &str) -> String {
    format!("{} {}", style::paint(style, mark), printable(text))
}

/// How far it is, in one line.
pub(super) fn now(deployment: &ModuleDeployment) -> String {
    let (status, release) = (&deployment.status, &deployment.status.release_status);
    if !is_seen(deployment) {
        return "the controller has not seen the change yet".to_owned();
    }
    let (updated, available, wanted) = (status.updated_replicas, status.updated_available_replicas, status.desired_replicas);
    let what = if returns(release) {
        "going back".to_owned()
    } else {
        format!("batch {} of {}", release.current_batch, release.real_batch_count.max(1))
    };
    format!("{what}  {}  {updated} of {wanted} updated, {available} available", bar(available, updated, wanted))
}

/// A bar: what is available, what is there and not available yet, what is to come.
fn bar(available: u32, updated: u32, wanted: u32) -> String {
    let cells = |count: u32| {
        let count = u64::from(count.min(wanted)) * u64::from(CELLS);
        usize::try_from(count.checked_div(u64::from(wanted)).unwrap_or(u64::from(CELLS))).unwrap_or(0)
    };
    let (full, part) = (cells(available), cells(updated.max(available)));
    let rest = usize::try_from(CELLS).unwrap_or(0).saturating_sub(part);
    format!("{}{}{}", "█".repeat(full), "▒".repeat(part.saturating_sub(full)), "░".repeat(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fleet::state::{state, tests::deployment},
        table::plain,
    };
    use fleet::resource::Progress;

    fn told(view: &mut View, deployment: &ModuleDeployment) -> Vec<String> {
        view.lines(deployment, &state(deployment, None)).iter().map(|line| plain(line)).collect()
    }

    #[test]
    fn every_batch_and_every_hold_is_told_once() {
        let mut view = View::default();
        let mut rollout = deployment(Progress::Executing);
        assert_eq!(told(&mut view, &rollout), ["orders:1.1.0 (shop-2): 3 instances in 3 batches"]);
        assert!(told(&mut view, &rollout).is_empty());
        rollout.status.release_status.progress = Progress::WaitingForConfirmation;
        assert_eq!(told(&mut view, &rollout), ["hold batch 1 of 3 waits to be confirmed: `arkctl rollout confirm shop`"]);
        assert!(told(&mut view, &rollout).is_empty());
        rollout.status.release_status.progress = Progress::Executing;
        rollout.status.release_status.current_batch = 2;
        assert_eq!(told(&mut view, &rollout), ["done batch 1 of 3"]);
        rollout.status.release_status.progress = Progress::Completed;
        rollout.status.release_status.current_batch = 3;
        assert_eq!(told(&mut view, &rollout), ["done batch 2 of 3", "done batch 3 of 3"]);
        assert!(told(&mut view, &rollout).is_empty());
    }

    #[test]
    fn a_rollout_that_goes_back_is_told_once() {
        let mut view = View::default();
        let mut rollout = deployment(Progress::Executing);
        told(&mut view, &rollout);
        rollout.status.release_status.rejected_revision = "shop-2".to_owned();
        assert_eq!(told(&mut view, &rollout), ["stop shop-2 is given up; back to shop-1"]);
        assert!(told(&mut view, &rollout).is_empty());
        assert!(now(&rollout).starts_with("going back"));
    }

    #[test]
    fn the_bar_shows_what_is_available_and_what_is_on_its_way() {
        let mut rollout = deployment(Progress::Executing);
        rollout.status.updated_replicas = 2;
        assert_eq!(now(&rollout), "batch 1 of 3  ████████▒▒▒▒▒▒▒▒░░░░░░░░  2 of 3 updated, 1 available");
        assert_eq!(bar(0, 0, 0), "█".repeat(24));
        assert_eq!(bar(9, 9, 3), "█".repeat(24));
    }

    #[test]
    fn what_the_controller_has_not_seen_is_not_told() {
        let mut view = View::default();
        let mut rollout = deployment(Progress::Completed);
        rollout.metadata.generation = 3;
        assert!(told(&mut view, &rollout).is_empty());
        assert_eq!(now(&rollout), "the controller has not seen the change yet");
    }
}
