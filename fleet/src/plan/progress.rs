//! How far a rollout is, and whether it may go further.
//!
//! ```text
//! Init → Executing → Completed
//!           ↕ after a batch: WaitingForConfirmation, Paused
//!           ↕ an instance that cannot come up, a deadline, a check: Failed
//!           → (given up) Executing, back to the stable revision → Aborted
//! ```

use std::time::Duration;

use ark_model::Reason;

use super::{Planner, wake};
use crate::{
    batches,
    resource::{BatchProgress, CanaryStep, ModuleReplicaSet, Phase, Progress, ReleaseStatus, TrafficStatus},
};

/// What the instances are to come to now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    /// The revision that is to run. None where a first rollout was given up: nothing is.
    pub(super) set: Option<&'a ModuleReplicaSet>,
    /// How many instances of it there may be yet.
    pub(super) allowed: u32,
    /// How many instances there are to be in all.
    pub(super) desired: u32,
    /// The share of traffic of new instances beside the version before.
    pub(super) weight: Option<u32>,
    /// Whether there are to be fewer than there were: only then do instances of the revision go before the last batch.
    pub(super) shrinks: bool,
    /// Whether the rollout was given up.
    pub(super) given_up: bool,
}

/// Whether it fails for want of room, which others may give back.
fn is_want_of_room(reason: Reason) -> bool {
    matches!(reason, Reason::BudgetExceeded | Reason::MetaspaceFull | Reason::DiskFull | Reason::QueueFull)
}

impl Aim<'_> {
    /// How many instances of the revision there may be at most; those beyond go.
    pub(super) fn most(&self) -> u32 {
        if self.shrinks { self.allowed } else { self.allowed.max(self.desired) }
    }
}

/// Whether trying again cannot help: the package is not what it should be.
pub(crate) fn is_permanent(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidRequest
            | Reason::PackageTooLarge
            | Reason::DigestMismatch
            | Reason::SignatureInvalid
            | Reason::PackageInvalid
            | Reason::ImportUnknown
            | Reason::IdentityMismatch
            | Reason::CompileFailed
    )
}

/// Why a rollout does not go on.
enum Hold {
    Failed {
        reason: String,
        message: String,
    },
    /// Its figures do not say yet.
    Undecided(String),
}

impl<'a> Planner<'a> {
    fn release(&mut self) -> &mut ReleaseStatus {
        &mut self.next.status.release_status
    }

    fn enter(&mut self, progress: Progress) {
        let now = self.now;
        let release = self.release();
        if release.progress != progress {
            release.progress = progress;
            release.last_transition_time = Some(now);
        }
    }

    fn live_of(&self, set: &str) -> u32 {
        count(self.instances.iter().filter(|instance| instance.live() && !instance.draining && instance.set == set))
    }

    /// Begins a rollout where the revision is another than before, or the number of instances is.
    pub(super) fn begin(&mut self, update: &ModuleReplicaSet, desired: u32) {
        let name = &update.metadata.name;
        let from = self.live_of(name);
        let delta = |from: u32| i32::try_from(i64::from(desired) - i64::from(from)).unwrap_or(i32::MAX);
        let peers = self.next.spec.replicas < 0;
        let now = self.now;
        let release = &self.next.status.release_status;
        if release.update_revision != *name {
            let stable = release.stable_revision.clone();
            *self.release() = ReleaseStatus {
                update_revision: name.clone(),
                stable_revision: stable,
                current_batch: 1,
                original_delta_replicas: delta(from),
                target_replicas: desired,
                progress: Progress::Executing,
                canary_step: 1,
                last_transition_time: Some(now),
                last_progress_time: Some(now),
                ..ReleaseStatus::default()
            };
            let (module, version) = (&update.spec.template.spec.module.name, &update.spec.template.spec.module.version);
            self.note(false, "RolloutStarted", format!("{module}:{version} ({name}) is rolled out to {desired} instances"));
        } else if release.target_replicas != desired {
            let settled = matches!(release.progress, Progress::Completed | Progress::Aborted);
            let (start, given_up) = (
                release.target_replicas.saturating_add_signed(release.original_delta_replicas.saturating_neg()),
                release.rejected_revision == *name,
            );
            let release = self.release();
            release.target_replicas = desired;
            if settled && !given_up && !peers {
                release.current_batch = 1;
                release.original_delta_replicas = delta(from);
                release.last_progress_time = Some(now);
                release.next_reconcile_time = None;
                self.enter(Progress::Executing);
            } else if !settled {
                release.original_delta_replicas = delta(start);
            }
        }
        let batches = self.batches();
        let release = self.release();
        release.real_batch_count = u32::try_from(batches.len()).unwrap_or(u32::MAX);
        release.current_batch = release.current_batch.clamp(1, release.real_batch_count.max(1));
    }

    /// Whether another revision is being followed, and not only the number of instances changed.
    fn replaces(&self) -> bool {
        let release = &self.next.status.release_status;
        release.stable_revision != release.update_revision
    }

    fn batches(&self) -> Vec<u32> {
        let (release, strategy) = (&self.next.status.release_status, &self.next.spec.operation_strategy);
        let start = release.target_replicas.saturating_add_signed(release.original_delta_replicas.saturating_neg());
        batches::targets(start, release.target_replicas, strategy.batch_count, strategy.use_beta && self.replaces())
    }

    /// Gives the rollout up where somebody asked for it.
    pub(super) fn give_up(&mut self) {
        if !std::mem::take(&mut self.next.spec.abort) {
            return;
        }
        let release = &self.next.status.release_status;
        if release.progress == Progress::Completed || release.rejected_revision == release.update_revision {
            self.note(true, "NothingToAbort", "no rollout is under way".to_owned());
        } else {
            self.reject("RolloutAborted", "by request");
        }
    }

    fn reject(&mut self, reason: &'static str, why: &str) {
        let release = self.release();
        release.rejected_revision = release.update_revision.clone();
        why.clone_into(&mut release.failure_message);
        release.next_reconcile_time = None;
        let (rejected, stable) = (release.rejected_revision.clone(), release.stable_revision.clone());
        self.enter(Progress::Executing);
        let to = if stable.is_empty() { "nothing ran before".to_owned() } else { format!("{stable} runs again") };
        self.note(true, reason, format!("{rejected} is given up ({why}); {to}"));
    }

    /// What the instances are to come to now.
    pub(super) fn aim(&self, update: &'a ModuleReplicaSet, desired: u32) -> Aim<'a> {
        let release = &self.next.status.release_status;
        if release.rejected_revision == update.metadata.name {
            let set =
                self.sets.iter().find(|set| set.metadata.name == release.stable_revision && set.metadata.name != update.metadata.name);
            let desired = if set.is_some() { desired } else { 0 };
            return Aim { set: set.copied(), allowed: desired, desired, weight: None, shrinks: false, given_up: true };
        }
        let batches = self.batches();
        let batch = usize::try_from(release.current_batch.saturating_sub(1)).unwrap_or(usize::MAX);
        let under_way = !matches!(release.progress, Progress::Completed);
        let mut allowed = if under_way { batches.get(batch).copied().unwrap_or(desired) } else { desired };
        if self.next.spec.paused && under_way {
            let there = self.instances.iter().filter(|instance| !instance.going && instance.set == update.metadata.name);
            allowed = allowed.min(count(there));
        }
        Aim {
            set: Some(update),
            allowed,
            desired,
            weight: self.canary().map(|step| step.weight),
            shrinks: release.original_delta_replicas < 0,
            given_up: false,
        }
    }

    /// The step of the canary that is under way.
    fn canary(&self) -> Option<CanaryStep> {
        let release = &self.next.status.release_status;
        let step = usize::try_from(release.canary_step.checked_sub(1)?).ok()?;
        let shares = self.replaces() && !release.stable_revision.is_empty() && release.current_batch == 1;
        self.next.spec.operation_strategy.canary.get(step).copied().filter(|_| shares)
    }

    /// Looks whether the batch is complete, and what comes next.
    pub(super) fn advance(&mut self, update: &ModuleReplicaSet, aim: &Aim<'_>) {
        self.mark_progress(update);
        if aim.given_up {
            let wanted = aim.set.map(|set| set.metadata.name.as_str()).unwrap_or_default();
            let (of_it, others): (Vec<super::Instance<'_>>, Vec<_>) =
                self.instances.iter().copied().partition(|instance| instance.set == wanted);
            let available = count(of_it.iter().filter(|instance| instance.available && instance.live() && !instance.draining));
            if available >= aim.desired && others.is_empty() {
                self.enter(Progress::Aborted);
            }
            return;
        }
        if self.next.status.release_status.progress == Progress::Completed {
            return;
        }
        let own = |instance: &&super::Instance<'_>| instance.set == update.metadata.name;
        let available =
            count(self.instances.iter().filter(own).filter(|instance| instance.available && instance.live() && !instance.draining));
        let there = count(self.instances.iter().filter(own).filter(|instance| !instance.draining));
        let others = count(self.instances.iter().filter(|instance| instance.set != update.metadata.name));
        let last =
            aim.allowed == aim.desired && self.next.status.release_status.current_batch >= self.next.status.release_status.real_batch_count;
        // What is one too many has gone, before more come.
        let settled = aim.weight.is_some() || there.saturating_add(others) <= aim.most().max(aim.desired);
        let complete = available >= aim.allowed && there <= aim.most() && settled && (!last || aim.weight.is_some() || others == 0);
        let fault = self.fault(update, complete);
        if let Some(Hold::Failed { reason, message }) = fault {
            return self.fail(&reason, &message);
        }
        // What is tried again has not come up yet: it stays failed, and says why, until its batch is complete.
        let stays_failed = self.next.status.release_status.progress == Progress::Failed && !complete;
        if !stays_failed {
            self.release().failure_message.clear();
        }
        if let Some(Hold::Undecided(message)) = fault {
            self.unplaced.get_or_insert(message);
            if complete {
                return self.enter(Progress::Paused);
            }
        }
        if self.next.spec.paused && !stays_failed {
            return self.enter(Progress::Paused);
        }
        if !complete {
            let deadline = self.deadline();
            self.release().batch_progress = Some(BatchProgress::Executing);
            if !stays_failed {
                self.enter(Progress::Executing);
            }
            if let Some(deadline) = deadline.filter(|deadline| *deadline > self.now) {
                wake(&mut self.plan.wake, deadline);
            }
            return;
        }
        let first_seen = self.release().batch_progress != Some(BatchProgress::Completed);
        if first_seen {
            let now = self.now;
            let release = self.release();
            release.batch_progress = Some(BatchProgress::Completed);
            release.last_progress_time = Some(now);
            release.next_reconcile_time = None;
        }
        if let Some(step) = self.canary() {
            return self.next_step(step);
        }
        if last {
            return self.complete(update);
        }
        self.next_batch();
    }

    fn next_step(&mut self, step: CanaryStep) {
        let now = self.now;
        let until = *self.release().next_reconcile_time.get_or_insert_with(|| now.after(Duration::from_secs(u64::from(step.seconds))));
        if now < until {
            self.enter(Progress::Paused);
            return wake(&mut self.plan.wake, until);
        }
        let release = self.release();
        release.canary_step += 1;
        release.next_reconcile_time = None;
        release.last_progress_time = Some(now);
        release.batch_progress = Some(BatchProgress::Executing);
        self.enter(Progress::Executing);
        self.note(false, "CanaryStepCompleted", format!("the step with {} % of the traffic is complete", step.weight));
    }

    fn next_batch(&mut self) {
        let strategy = &self.next.spec.operation_strategy;
        let (confirm, gray) = (strategy.need_confirm, Duration::from_secs(u64::from(strategy.gray_time_between_batch_seconds)));
        let beta = strategy.use_beta && self.replaces();
        let confirmed = self.next.spec.confirm_batch_num;
        let now = self.now;
        let release = self.release();
        let batch = release.current_batch;
        if (confirm || beta && batch == 1) && confirmed < batch {
            return self.enter(Progress::WaitingForConfirmation);
        }
        if !gray.is_zero() {
            let until = *release.next_reconcile_time.get_or_insert(release.last_progress_time.unwrap_or(now).after(gray));
            if now < until {
                self.enter(Progress::Paused);
                return wake(&mut self.plan.wake, until);
            }
        }
        release.current_batch += 1;
        release.next_reconcile_time = None;
        release.batch_progress = Some(BatchProgress::Executing);
        release.last_progress_time = Some(now);
        let (batch, all) = (release.current_batch, release.real_batch_count);
        self.enter(Progress::Executing);
        self.note(false, "BatchStarted", format!("batch {batch} of {all} has begun"));
    }

    fn complete(&mut self, update: &ModuleReplicaSet) {
        let name = update.metadata.name.clone();
        let release = self.release();
        release.stable_revision.clone_from(&name);
        release.next_reconcile_time = None;
        release.canary_step = 0;
        self.next.spec.confirm_batch_num = 0;
        self.enter(Progress::Completed);
        self.note(false, "RolloutCompleted", format!("{name} runs as wanted"));
    }

    fn fail(&mut self, reason: &str, message: &str) {
        let release = &self.next.status.release_status;
        let returns = self.next.spec.operation_strategy.auto_revert && !release.stable_revision.is_empty() && self.replaces();
        if returns {
            return self.reject("RolloutReverted", &format!("{reason}: {message}"));
        }
        // What it failed for stands, however the figures go on.
        if release.progress != Progress::Failed || release.failure_message.is_empty() {
            let message = format!("{reason}: {message}");
            self.release().failure_message.clone_from(&message);
            self.note(true, "RolloutFailed", message);
        }
        self.enter(Progress::Failed);
    }

    fn deadline(&self) -> Option<crate::resource::Time> {
        let seconds = self.next.spec.progress_deadline_seconds.unwrap_or(600);
        let since = self.next.status.release_status.last_progress_time?;
        Some(since.after(Duration::from_secs(u64::from(seconds))))
    }

    /// Remembers when something last came further.
    fn mark_progress(&mut self, update: &ModuleReplicaSet) {
        let available = count(self.instances.iter().filter(|instance| instance.set == update.metadata.name && instance.available));
        let now = self.now;
        if available > self.before.status.updated_available_replicas {
            self.release().last_progress_time = Some(now);
        }
    }

    /// What keeps the rollout from going on, if anything does.
    fn fault(&self, update: &ModuleReplicaSet, complete: bool) -> Option<Hold> {
        let own: Vec<_> = self.instances.iter().filter(|instance| instance.set == update.metadata.name && instance.live()).collect();
        if !complete {
            for instance in &own {
                let status = &instance.module.status;
                let Some(reason) = status.reason.filter(|_| status.status == Phase::Failed) else { continue };
                if is_permanent(reason) || status.failed_attempts >= self.settings.attempts && !is_want_of_room(reason) {
                    let message =
                        format!("{} on base {}: {}", instance.module.metadata.name, instance.module.spec.base_name, status.message);
                    return Some(Hold::Failed { reason: reason.as_str().to_owned(), message });
                }
            }
            if !self.next.spec.paused && self.deadline().is_some_and(|deadline| deadline <= self.now) {
                let seconds = self.next.spec.progress_deadline_seconds.unwrap_or(600);
                let why = self.unplaced.clone().unwrap_or_else(|| "no instance came further".to_owned());
                return Some(Hold::Failed {
                    reason: "ProgressDeadlineExceeded".to_owned(),
                    message: format!("no progress within {seconds} s: {why}"),
                });
            }
        }
        let checks = self.next.spec.operation_strategy.checks.as_ref().filter(|_| self.replaces())?;
        let said = own.iter().filter_map(|instance| self.world.traffic.get(&instance.module.metadata.key()));
        let traffic = said.fold(TrafficStatus::default(), |sum, one| TrafficStatus {
            requests: sum.requests.saturating_add(one.requests),
            failures: sum.failures.saturating_add(one.failures),
            p99_millis: sum.p99_millis.max(one.p99_millis),
        });
        let enough = traffic.requests >= checks.min_requests.max(1);
        // Where nothing is asked for at least, no request is no fault.
        if enough {
            let percent = 100.0 * traffic.failures as f64 / traffic.requests as f64;
            if let Some(most) = checks.max_error_percent.filter(|most| percent > *most) {
                let message = format!("{percent:.2} % of {} requests failed; at most {most} % may", traffic.requests);
                return Some(Hold::Failed { reason: "ErrorRateTooHigh".to_owned(), message });
            }
            if let Some(most) = checks.max_p99_millis.filter(|most| traffic.p99_millis > *most) {
                let message = format!("99 of 100 answers take up to {:.1} ms; at most {most} ms they may", traffic.p99_millis);
                return Some(Hold::Failed { reason: "LatencyTooHigh".to_owned(), message });
            }
        }
        // Where nothing ran before, nobody may know yet whom to ask.
        let waits = complete && checks.min_requests > 0 && !enough && !self.next.status.release_status.stable_revision.is_empty();
        waits.then(|| Hold::Undecided(format!("the checks wait for {} requests; there were {}", checks.min_requests, traffic.requests)))
    }
}

pub(super) fn count<T>(instances: impl Iterator<Item = T>) -> u32 {
    u32::try_from(instances.count()).unwrap_or(u32::MAX)
}
