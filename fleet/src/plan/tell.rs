//! What is said of a deployment: counters, conditions, its revisions.

use super::{
    Planner, delete, number,
    progress::{Aim, count},
};
use crate::resource::{Condition, Document, Kind, ModuleReplicaSet, Phase, Progress, Truth, Write, say};

impl Planner<'_> {
    /// Says all of it.
    pub(super) fn tell(&mut self, update: &ModuleReplicaSet, aim: &Aim<'_>) {
        self.count(update, aim);
        self.say_conditions(aim);
        self.tell_sets(update, aim);
        let generation = self.next.metadata.generation;
        self.next.status.observed_generation = generation;
        // A change of the spec by the controller itself raises the generation once more.
        if self.next.spec != self.before.spec {
            self.next.status.observed_generation = generation + 1;
        }
    }

    fn count(&mut self, update: &ModuleReplicaSet, aim: &Aim<'_>) {
        let there: Vec<_> = self.instances.iter().filter(|instance| instance.live()).collect();
        let updated: Vec<_> = there.iter().filter(|instance| instance.set == update.metadata.name).collect();
        let available = count(there.iter().filter(|instance| instance.available));
        let status = &mut self.next.status;
        status.desired_replicas = aim.desired;
        status.replicas = count(there.iter());
        status.ready_replicas = count(there.iter().filter(|instance| instance.ready));
        status.available_replicas = available;
        status.unavailable_replicas = aim.desired.saturating_sub(available);
        status.updated_replicas = count(updated.iter());
        status.updated_ready_replicas = count(updated.iter().filter(|instance| instance.ready));
        status.updated_available_replicas = count(updated.iter().filter(|instance| instance.available));
        status.upgrading_replicas =
            count(there.iter().filter(|instance| matches!(instance.module.status.status, Phase::Prepare | Phase::Upgrading)));
    }

    fn say_conditions(&mut self, aim: &Aim<'_>) {
        let least = aim.desired.saturating_sub(self.next.spec.operation_strategy.may_be_away(aim.desired));
        let (available, desired) = (self.next.status.available_replicas, aim.desired);
        let enough = available >= least && (available > 0 || desired == 0);
        let mut said = vec![(
            "Available",
            Truth::from(enough),
            if enough { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" }.to_owned(),
            format!("{available} of {desired} instances are available"),
        )];
        let release = &self.next.status.release_status;
        let batch = format!("batch {} of {}", release.current_batch, release.real_batch_count.max(1));
        let waits = self.unplaced.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        let failed = self.instances.iter().filter(|instance| instance.live() && instance.module.status.status == Phase::Failed);
        let failure = failed.min_by_key(|instance| &instance.module.metadata.name);
        let (given_up, why) = (&release.rejected_revision, &release.failure_message);
        let (is_so, reason, message) = match release.progress {
            Progress::Executing if !given_up.is_empty() && *given_up == release.update_revision => {
                (Truth::False, "RolloutReverting", format!("{given_up} is given up: {why}{waits}"))
            }
            Progress::Init | Progress::Executing => (Truth::True, "RolloutExecuting", format!("{batch} is under way{waits}")),
            Progress::WaitingForConfirmation => (
                Truth::True,
                "WaitingForConfirmation",
                format!("{batch} is complete; confirm it: spec.confirmBatchNum = {}", release.current_batch),
            ),
            Progress::Paused if self.next.spec.paused => (Truth::Unknown, "RolloutPaused", format!("held by request in {batch}")),
            Progress::Paused => match release.next_reconcile_time {
                Some(until) => (Truth::True, "WaitingForTime", format!("{batch} goes on at {until}")),
                None => (Truth::True, "WaitingForChecks", format!("{batch} waits{waits}")),
            },
            Progress::Completed => (Truth::True, "RolloutCompleted", format!("every instance is of {}{waits}", release.update_revision)),
            Progress::Failed => (Truth::False, "RolloutFailed", format!("{batch} does not come further: {why}")),
            Progress::Aborted => (Truth::False, "RolloutAborted", format!("{given_up} was given up: {why}")),
            Progress::Terminating | Progress::Terminated => (Truth::False, "Terminating", "its instances are being removed".to_owned()),
        };
        said.push(("Progressing", is_so, reason.to_owned(), message));
        said.push(match failure {
            Some(instance) => {
                let status = &instance.module.status;
                let reason = status.reason.map_or("Failed", ark_model::Reason::as_str).to_owned();
                (
                    "ReplicaFailure",
                    Truth::True,
                    reason,
                    format!("{} on base {}: {}", instance.module.metadata.name, instance.module.spec.base_name, status.message),
                )
            }
            None => ("ReplicaFailure", Truth::False, "NoFailure".to_owned(), "no instance has failed".to_owned()),
        });
        let generation = self.next.metadata.generation;
        for (kind, status, reason, message) in said {
            let condition =
                Condition { kind: kind.to_owned(), status, observed_generation: generation, last_transition_time: None, reason, message };
            say(&mut self.next.status.conditions, condition, self.now);
        }
    }

    /// Says of each revision what there is of it, and lets go of those too old to return to.
    fn tell_sets(&mut self, update: &ModuleReplicaSet, aim: &Aim<'_>) {
        let release = self.next.status.release_status.clone();
        let wanted = aim.set.map(|set| set.metadata.name.as_str()).unwrap_or_default();
        let mut old = Vec::new();
        for set in self.sets.clone() {
            let name = set.metadata.name.as_str();
            let there: Vec<_> = self.instances.iter().filter(|instance| instance.set == name && instance.live()).collect();
            let mut next = set.clone();
            next.spec.replicas = if name == wanted { aim.allowed } else { count(there.iter()).min(aim.desired) };
            next.status.replicas = count(there.iter());
            next.status.current_replicas = next.status.replicas;
            next.status.ready_replicas = count(there.iter().filter(|instance| instance.ready));
            next.status.available_replicas = count(there.iter().filter(|instance| instance.available));
            next.status.observed_generation = set.metadata.generation + i64::from(next.spec != set.spec);
            let is_needed = name == update.metadata.name
                || name == release.stable_revision
                || self.instances.iter().any(|instance| instance.set == name);
            if !is_needed {
                old.push(set);
            }
            if next != *set {
                self.plan.writes.push(Write::Update(Document::ModuleReplicaSet(next)));
            }
        }
        old.sort_by_key(|set| std::cmp::Reverse(number(set)));
        let kept = self.next.spec.revision_history_limit.unwrap_or(10);
        for set in old.into_iter().skip(usize::try_from(kept).unwrap_or(usize::MAX)) {
            // What was said of it above does not matter any more.
            self.plan.writes.retain(
                |write| !matches!(write, Write::Update(Document::ModuleReplicaSet(other)) if other.metadata.name == set.metadata.name),
            );
            self.plan.writes.push(delete(Kind::ModuleReplicaSet, &set.metadata));
        }
    }
}
