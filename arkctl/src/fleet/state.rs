//! What a rollout has come to, decided from the deployment alone.

use fleet::resource::{Condition, ModuleDeployment, Progress, ReleaseStatus};

/// What a rollout has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It goes on by itself.
    UnderWay,
    /// It goes on once somebody, or its time, lets it.
    Held {
        /// Why.
        why: String,
        /// The command that lets it.
        command: Option<String>,
    },
    /// Everything runs as wanted.
    Done,
    /// It came to something else.
    Failed {
        /// What, in one word.
        reason: &'static str,
        /// And in a sentence.
        message: String,
    },
}

/// What the rollout of `deployment` has come to. `under_way` is how it stood when it was last seen to be [under way](is_under_way): one
/// that ends with the revision from which it set out was reverted.
pub(super) fn state(deployment: &ModuleDeployment, under_way: Option<&ReleaseStatus>) -> State {
    let name = &deployment.metadata.name;
    let release = &deployment.status.release_status;
    let progressing = condition(deployment, "Progressing");
    let said = |otherwise: &str| {
        progressing.map(|condition| condition.message.clone()).filter(|said| !said.is_empty()).unwrap_or_else(|| otherwise.to_owned())
    };
    let goes = || State::Failed { reason: "Deleted", message: format!("{name} is being deleted") };
    if deployment.metadata.is_going() {
        return goes();
    }
    if !is_seen(deployment) {
        return State::UnderWay;
    }
    match release.progress {
        Progress::Init | Progress::Executing => State::UnderWay,
        Progress::WaitingForConfirmation => {
            let why = format!("batch {} of {} waits to be confirmed", release.current_batch, release.real_batch_count);
            State::Held { why, command: Some(format!("arkctl rollout confirm {name}")) }
        }
        Progress::Paused => {
            let command = deployment.spec.paused.then(|| format!("arkctl rollout resume {name}"));
            State::Held { why: said("it is paused"), command }
        }
        Progress::Completed if under_way.is_some_and(|before| has_returned(before, release)) => {
            State::Failed { reason: "RolloutReverted", message: format!("{name} was returned to {}", release.update_revision) }
        }
        Progress::Completed => State::Done,
        Progress::Terminating | Progress::Terminated => goes(),
        Progress::Aborted => {
            let runs = if release.stable_revision.is_empty() { String::new() } else { format!("; {} runs again", release.stable_revision) };
            let why = if release.failure_message.is_empty() { String::new() } else { format!(" ({})", release.failure_message) };
            State::Failed { reason: "RolloutAborted", message: format!("{} was given up{why}{runs}", release.rejected_revision) }
        }
        Progress::Failed => {
            let instance = condition(deployment, "ReplicaFailure").filter(|condition| condition.status == fleet::resource::Truth::True);
            let said = said("it does not come further");
            // The instance may be what it failed for.
            let instance = instance.filter(|condition| !said.contains(&condition.message));
            let instance = instance.map(|condition| format!(": {}: {}", condition.reason, condition.message)).unwrap_or_default();
            State::Failed { reason: "RolloutFailed", message: format!("the rollout of {name} failed: {said}{instance}") }
        }
    }
}

/// Whether the controller has seen what is wanted now.
pub(super) fn is_seen(deployment: &ModuleDeployment) -> bool {
    deployment.status.observed_generation >= deployment.metadata.generation
}

/// Whether the rollout was given up, and the revision before it comes back.
pub(super) fn returns(release: &ReleaseStatus) -> bool {
    !release.rejected_revision.is_empty() && release.rejected_revision == release.update_revision
}

/// Whether another revision than the one before is being rolled out.
pub(super) fn is_under_way(deployment: &ModuleDeployment) -> bool {
    let release = &deployment.status.release_status;
    is_seen(deployment) && !release.stable_revision.is_empty() && release.update_revision != release.stable_revision
}

fn has_returned(before: &ReleaseStatus, now: &ReleaseStatus) -> bool {
    now.update_revision == before.stable_revision
}

/// What is said under a type.
pub(super) fn condition<'a>(deployment: &'a ModuleDeployment, kind: &str) -> Option<&'a Condition> {
    deployment.status.conditions.iter().find(|condition| condition.kind == kind)
}

/// What may be done to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Pause,
    Resume,
    Confirm,
    Abort,
}

/// Why `action` would do nothing to the rollout; none where it does something.
pub(super) fn idle(deployment: &ModuleDeployment, action: Action) -> Option<String> {
    let name = &deployment.metadata.name;
    let release = &deployment.status.release_status;
    match action {
        Action::Pause => deployment.spec.paused.then(|| format!("{name} is paused already")),
        Action::Resume => (!deployment.spec.paused).then(|| format!("{name} is not paused")),
        Action::Confirm if release.progress == Progress::WaitingForConfirmation => None,
        Action::Confirm => Some(format!("nothing of {name} waits to be confirmed: its rollout is {:?}", release.progress)),
        Action::Abort if is_seen(deployment) && release.progress == Progress::Completed => {
            Some(format!("no rollout of {name} is under way: {} runs everywhere", release.update_revision))
        }
        Action::Abort if returns(release) => Some(format!("the rollout of {name} was given up already")),
        Action::Abort => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use fleet::resource::{Meta, Time, Truth};

    /// A deployment of three instances in three batches, as far as `progress`.
    pub(in crate::fleet) fn deployment(progress: Progress) -> ModuleDeployment {
        let metadata = Meta { name: "shop".to_owned(), namespace: "default".to_owned(), generation: 2, ..Meta::default() };
        let mut deployment = ModuleDeployment { metadata, ..ModuleDeployment::default() };
        deployment.spec.replicas = 3;
        let module = &mut deployment.spec.template.spec.module;
        (module.name, module.version) = ("orders".to_owned(), "1.1.0".to_owned());
        let status = &mut deployment.status;
        (status.observed_generation, status.desired_replicas, status.replicas) = (2, 3, 3);
        (status.updated_replicas, status.updated_available_replicas, status.available_replicas) = (1, 1, 3);
        status.release_status = ReleaseStatus {
            update_revision: "shop-2".to_owned(),
            stable_revision: "shop-1".to_owned(),
            current_batch: 1,
            real_batch_count: 3,
            target_replicas: 3,
            progress,
            ..ReleaseStatus::default()
        };
        deployment
    }

    fn says(deployment: &mut ModuleDeployment, kind: &str, status: Truth, reason: &str, message: &str) {
        let (kind, reason, message) = (kind.to_owned(), reason.to_owned(), message.to_owned());
        deployment.status.conditions.push(Condition { kind, status, reason, message, ..Condition::default() });
    }

    #[test]
    fn a_change_that_the_controller_has_not_seen_is_under_way_whatever_is_said_of_the_one_before() {
        for progress in [Progress::Completed, Progress::Failed, Progress::Aborted, Progress::WaitingForConfirmation] {
            let mut deployment = deployment(progress);
            deployment.metadata.generation = 3;
            assert_eq!(state(&deployment, None), State::UnderWay);
        }
    }

    #[test]
    fn a_rollout_that_waits_says_for_what_and_which_command_lets_it_go_on() {
        let waiting = state(&deployment(Progress::WaitingForConfirmation), None);
        let command = Some("arkctl rollout confirm shop".to_owned());
        assert_eq!(waiting, State::Held { why: "batch 1 of 3 waits to be confirmed".to_owned(), command });

        let mut paused = deployment(Progress::Paused);
        says(&mut paused, "Progressing", Truth::True, "WaitingForTime", "batch 1 of 3 goes on at 10:00");
        assert_eq!(state(&paused, None), State::Held { why: "batch 1 of 3 goes on at 10:00".to_owned(), command: None });
        paused.spec.paused = true;
        assert!(matches!(state(&paused, None), State::Held { command: Some(command), .. } if command == "arkctl rollout resume shop"));
    }

    #[test]
    fn a_failed_rollout_says_which_instance_is_to_blame() {
        let mut failed = deployment(Progress::Failed);
        says(&mut failed, "Progressing", Truth::False, "RolloutFailed", "batch 1 of 3 does not come further");
        says(&mut failed, "ReplicaFailure", Truth::True, "ProbeFailed", "shop-2-x on base a: /health answered 503");
        let State::Failed { reason, message } = state(&failed, None) else { panic!() };
        assert_eq!(reason, "RolloutFailed");
        assert_eq!(
            message,
            "the rollout of shop failed: batch 1 of 3 does not come further: ProbeFailed: shop-2-x on base a: /health answered 503"
        );
    }

    #[test]
    fn a_rollout_that_was_given_up_is_no_success() {
        let mut aborted = deployment(Progress::Aborted);
        aborted.status.release_status.rejected_revision = "shop-2".to_owned();
        let message = "shop-2 was given up; shop-1 runs again".to_owned();
        assert_eq!(state(&aborted, None), State::Failed { reason: "RolloutAborted", message });
        aborted.status.release_status.progress = Progress::Executing;
        assert_eq!(state(&aborted, None), State::UnderWay);
        assert!(returns(&aborted.status.release_status));
    }

    #[test]
    fn a_rollout_that_ends_with_the_revision_it_set_out_from_was_reverted() {
        let under_way = deployment(Progress::Executing);
        assert!(is_under_way(&under_way));
        let before = under_way.status.release_status;
        let mut done = deployment(Progress::Completed);
        assert_eq!(state(&done, Some(&before)), State::Done);
        done.status.release_status.update_revision = "shop-1".to_owned();
        assert!(!is_under_way(&done));
        assert!(matches!(state(&done, Some(&before)), State::Failed { reason: "RolloutReverted", .. }));
        // Who begins to look afterwards sees what is wanted.
        assert_eq!(state(&done, None), State::Done);
    }

    #[test]
    fn a_deployment_that_goes_has_no_rollout_to_wait_for() {
        let mut going = deployment(Progress::Executing);
        going.metadata.deletion_timestamp = Some(Time(1));
        assert!(matches!(state(&going, None), State::Failed { reason: "Deleted", .. }));
    }

    #[test]
    fn what_would_do_nothing_is_told_instead() {
        let mut waiting = deployment(Progress::WaitingForConfirmation);
        assert_eq!(idle(&waiting, Action::Confirm), None);
        assert_eq!(idle(&waiting, Action::Pause), None);
        assert_eq!(idle(&waiting, Action::Abort), None);
        assert_eq!(idle(&waiting, Action::Resume).unwrap(), "shop is not paused");
        waiting.spec.paused = true;
        assert_eq!(idle(&waiting, Action::Pause).unwrap(), "shop is paused already");
        let done = deployment(Progress::Completed);
        assert!(idle(&done, Action::Abort).unwrap().contains("shop-2 runs everywhere"));
        assert!(idle(&done, Action::Confirm).unwrap().contains("Completed"));
    }
}
