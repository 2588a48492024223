//! One instance of a module on one base.

use ark_model::Reason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    deployment::{TemplateSpec, UpgradePolicy},
    meta::{Condition, Meta, Time},
};

/// `Module`: one instance of a revision, on one base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Module {
    /// Its names; its labels say to which deployment, revision and base it belongs.
    pub metadata: Meta,
    /// What is to run.
    pub spec: ModuleSpec,
    /// What does.
    pub status: ModuleStatus,
}

/// What is to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleSpec {
    /// What is installed.
    #[serde(flatten)]
    pub template: TemplateSpec,
    /// The base, by its name.
    pub base_name: String,
    /// Of two instances of a deployment the one with the higher number was made later, and takes the other's place where they share a base.
    #[serde(skip_serializing_if = "is_nothing")]
    pub ordinal: u64,
    /// The share of traffic, of a hundred, that it gets beside the version before; all of it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

fn is_nothing(number: &u64) -> bool {
    *number == 0
}

impl ModuleSpec {
    /// How it replaces an earlier version.
    #[must_use]
    pub fn upgrade_policy(&self) -> UpgradePolicy {
        self.template.upgrade_policy.unwrap_or_default()
    }
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleStatus {
    /// Where it stands.
    pub status: Phase,
    /// When that last changed.
    #[serde(rename = "last_transition_time", skip_serializing_if = "Option::is_none", alias = "lastTransitionTime")]
    pub last_transition_time: Option<Time>,
    /// The generation that was last ordered.
    pub observed_generation: i64,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when it is ready without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Time>,
    /// How often it was ordered in vain, one after the other.
    pub failed_attempts: u32,
    /// When it is ordered again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// Its requests, as the base last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<TrafficStatus>,
    /// One of each type: `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The requests of an instance since its install.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficStatus {
    /// Answered.
    pub requests: u64,
    /// With a status of 500 or more.
    pub failures: u64,
    /// The milliseconds below which 99 of 100 answers stay.
    pub p99_millis: f64,
}

/// Where an instance stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Phase {
    /// It waits for its base.
    #[default]
    Pending,
    /// It has a base, and is about to be ordered there.
    Prepare,
    /// The base installs it.
    Upgrading,
    /// It is ready, and not yet for long enough.
    Completing,
    /// It is ready for long enough.
    Available,
    /// It does not come up: it was refused, or failed. It is ordered again, unless that cannot help.
    Failed,
    /// The base does not answer.
    Unknown,
    /// It is being removed.
    Terminating,
}

impl Phase {
    /// Whether its base says that it gets traffic.
    #[must_use]
    pub fn is_ready(self) -> bool {
        match self {
            Self::Completing | Self::Available => true,
            Self::Pending | Self::Prepare | Self::Upgrading | Self::Failed | Self::Unknown | Self::Terminating => false,
        }
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Prepare => "Prepare",
            Self::Upgrading => "Upgrading",
            Self::Completing => "Completing",
            Self::Available => "Available",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
            Self::Terminating => "Terminating",
        }
    }
}
