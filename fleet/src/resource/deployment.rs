//! A module that is to run on bases of a fleet, and how it gets there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::meta::{Condition, IntOrPercent, Meta, Selector, Time, is_false};

/// `ModuleDeployment`: which module, how many instances on which bases, and how one version is followed by the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModuleDeployment {
    /// Its names.
    pub metadata: Meta,
    /// What is wanted.
    pub spec: DeploymentSpec,
    /// What there is.
    pub status: DeploymentStatus,
}

/// What is wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentSpec {
    /// The base deployment whose bases run the module: those that joined with this `--base-deployment`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub base_deployment_name: String,
    /// The labels of these bases, in place of a base deployment's name, or in addition to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_selector: Option<Selector>,
    /// What is installed.
    pub template: Template,
    /// How many instances; -1 is one on every base.
    pub replicas: i32,
    /// How long an instance has to be ready before it counts as available.
    pub min_ready_seconds: u32,
    /// How many earlier revisions are kept to return to; 10 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<u32>,
    /// How long a rollout may go without any progress; 600 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<u32>,
    /// The number of the batch that was looked at and found good: the next one may begin. 0 again when the rollout is complete.
    pub confirm_batch_num: u32,
    /// How one version follows another.
    pub operation_strategy: OperationStrategy,
    /// Where instances go.
    pub scheduling_strategy: SchedulingStrategy,
    /// Holds the rollout where it is.
    #[serde(skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Gives up the rollout that is under way, and returns to the revision before it. Taken back by the controller once done.
    #[serde(skip_serializing_if = "is_false")]
    pub abort: bool,
    /// Returns to an earlier revision, by its number; 0 is the one before. Taken back by the controller once done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<RollbackTo>,
    /// Any text; another one is another revision, which installs the same module anew.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restarted_at: String,
    /// Any text; another one moves instances, one after the other, to the bases where they would go now. Nothing moves unless asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rebalanced_at: String,
}

impl DeploymentSpec {
    /// How one version follows another on a base: as the template says, else the operation strategy.
    #[must_use]
    pub fn upgrade_policy(&self) -> UpgradePolicy {
        match self.template.spec.upgrade_policy.or(self.operation_strategy.upgrade_policy).unwrap_or_default() {
            // One on every base: there is no base that has none.
            UpgradePolicy::ScaleupThenScaledown if self.replicas < 0 => UpgradePolicy::InstallThenUninstall,
            policy => policy,
        }
    }
}

/// The revision to return to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RollbackTo {
    /// Its number; 0 is the one before the current one.
    pub revision: u64,
}

/// What is installed: a module's spec, with labels for its instances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Template {
    /// Labels and annotations of its instances.
    #[serde(skip_serializing_if = "is_bare")]
    pub metadata: TemplateMeta,
    /// What is installed.
    pub spec: TemplateSpec,
}

fn is_bare(meta: &TemplateMeta) -> bool {
    *meta == TemplateMeta::default()
}

/// Labels and annotations of instances.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct TemplateMeta {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a base is asked to install.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateSpec {
    /// The bases it may go to, by label, in addition to what the deployment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// The module.
    pub module: ModuleInfo,
    /// How it replaces an earlier version; the deployment's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_policy: Option<UpgradePolicy>,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Where it answers, in place of what its package says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_path: Option<String>,
    /// Settings of its kind of module, e.g. `share` of one on the JVM.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// What one instance is expected to need of a base.
    #[serde(skip_serializing_if = "Requests::is_empty")]
    pub requests: Requests,
}

/// What one instance is expected to need of a base, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Requests {
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The JVM's memory for classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metaspace_bytes: Option<u64>,
}

impl Requests {
    /// Whether it expects nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModuleInfo {
    /// The module's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where its package is.
    pub url: String,
    /// The kind of base it needs: `wasm`, `jvm` or `node`; any when absent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The package's MD5, in hex. Kept for documents that have it: it changes the revision, and is not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// The package's SHA-256, in hex; a base refuses another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// A minisign signature of the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// One variable of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How a version replaces the one before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpgradePolicy {
    /// On the same base: the new version is installed beside the old one, takes over once it is ready, and the old one drains and goes.
    #[default]
    InstallThenUninstall,
    /// On the same base: the old version goes, then the new one comes. It is away meanwhile.
    UninstallThenInstall,
    /// The new version is installed on a base that has none; then the old one goes from its own.
    ScaleupThenScaledown,
}

/// How one version follows another.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OperationStrategy {
    /// How an instance is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade_policy: Option<UpgradePolicy>,
    /// In how many batches; 1 when absent.
    pub batch_count: u32,
    /// Whether there is one batch more before the others, of a single instance, after which the controller waits to be told.
    pub use_beta: bool,
    /// Whether it waits to be told after every batch but the last.
    pub need_confirm: bool,
    /// How long it waits after every batch but the last.
    pub gray_time_between_batch_seconds: u32,
    /// How many instances may be away at the same time because of a rollout, as a number or a percentage; 25 % when absent, at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrPercent>,
    /// A service for the module. Nothing acts on it outside Kubernetes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_strategy: Option<ServiceStrategy>,
    /// Whether a rollout that fails returns by itself to the revision before.
    #[serde(skip_serializing_if = "is_false")]
    pub auto_revert: bool,
    /// What the new version's own figures have to be before the next batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Checks>,
    /// Gives the new version of the first batch a growing share of traffic beside the old one, before it takes over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub canary: Vec<CanaryStep>,
}

impl OperationStrategy {
    /// How many of `desired` instances may be away at a time because of us; at least one.
    #[must_use]
    pub fn may_be_away(&self, desired: u32) -> u32 {
        let quarter = IntOrPercent::Percent("25%".to_owned());
        self.max_unavailable.as_ref().unwrap_or(&quarter).of(desired).unwrap_or(0).max(1)
    }
}

/// One step of a canary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStep {
    /// The new version's share of traffic, of a hundred; 1 to 99.
    pub weight: u32,
    /// How long it has that share at least.
    pub seconds: u32,
}

/// Bounds on the figures of the new version's instances since their install.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Checks {
    /// The most failures (a status of 500 or more) of a hundred requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_error_percent: Option<f64>,
    /// The most milliseconds below which 99 of 100 answers stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_p99_millis: Option<f64>,
    /// How many requests it takes to judge; below, nothing is decided and the rollout waits. 0 judges at once.
    pub min_requests: u64,
}

/// A service for the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStrategy {
    /// Whether there is one.
    pub enable_module_service: bool,
    /// Its port.
    pub port: i32,
    /// The port behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<Port>,
}

/// A port, by number or name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Port {
    /// By number.
    Number(i32),
    /// By name.
    Name(String),
}

/// Where instances go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulingStrategy {
    /// Which base goes first.
    pub scheduling_policy: SchedulingPolicy,
    /// Bases it prefers to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefer: Option<Selector>,
    /// Bases it avoids where others have room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avoid: Option<Selector>,
    /// Modules it shares no base with, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart_from: Vec<String>,
    /// The most modules on a base for this one to go there; the base's own bound holds besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_modules_per_base: Option<u32>,
}

/// Which base goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchedulingPolicy {
    /// The one with the fewest modules.
    #[default]
    Scatter,
    /// The one with the most modules that has room.
    Stacking,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    /// The generation of the spec that all this is said of.
    pub observed_generation: i64,
    /// Instances.
    pub replicas: u32,
    /// Of these, ready.
    pub ready_replicas: u32,
    /// Of these, ready for long enough.
    pub available_replicas: u32,
    /// Wanted, and not available.
    pub unavailable_replicas: u32,
    /// Instances of the revision that is being rolled out.
    pub updated_replicas: u32,
    /// Of these, ready.
    pub updated_ready_replicas: u32,
    /// Of these, ready for long enough.
    pub updated_available_replicas: u32,
    /// Instances whose install is under way.
    pub upgrading_replicas: u32,
    /// How often a revision's name was taken by another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collision_count: Option<i32>,
    /// How many instances are wanted, with -1 resolved.
    pub desired_replicas: u32,
    /// The `rebalancedAt` that has been done: every instance is where it would have gone then.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rebalanced_at: String,
    /// One of each type: `Available`, `Progressing`, `ReplicaFailure`.
    pub conditions: Vec<Condition>,
    /// The rollout.
    pub release_status: ReleaseStatus,
}

/// How far a rollout is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// The revision (the name of its `ModuleReplicaSet`) that is being rolled out, or was last.
    pub update_revision: String,
    /// The revision that was complete last: the one to return to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stable_revision: String,
    /// A revision that was given up; nothing more is done for it until the template changes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rejected_revision: String,
    /// Why the rollout failed or was given up, with the figures that decided it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_message: String,
    /// The batch, from 1.
    pub current_batch: u32,
    /// How many there are.
    pub real_batch_count: u32,
    /// By how many instances the whole rollout changes what was there.
    pub original_delta_replicas: i32,
    /// How many instances were wanted when it began.
    pub target_replicas: u32,
    /// Where it stands.
    pub progress: Progress,
    /// Whether the batch is under way or complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_progress: Option<BatchProgress>,
    /// The step of the canary, from 1; 0 outside one.
    pub canary_step: u32,
    /// When `progress`, the batch or the step last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// When an instance last came further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_progress_time: Option<Time>,
    /// When it goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_reconcile_time: Option<Time>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Progress {
    /// It is about to begin.
    #[default]
    Init,
    /// A batch is under way.
    Executing,
    /// A batch is complete, and the next one waits to be told.
    WaitingForConfirmation,
    /// It waits: for its time, for figures, or because somebody holds it.
    Paused,
    /// Everything runs as wanted.
    Completed,
    /// It failed, and stays where it is until the spec changes.
    Failed,
    /// It was given up, and the revision before it runs again.
    Aborted,
    /// Its instances are being removed.
    Terminating,
    /// They are gone.
    Terminated,
}

/// Whether a batch is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum BatchProgress {
    /// It is.
    Executing,
    /// All its instances are available.
    Completed,
}
