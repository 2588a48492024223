//! A revision of a deployment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    deployment::{OperationStrategy, SchedulingStrategy, Template},
    meta::{Condition, Meta, Selector},
};

/// `ModuleReplicaSet`: what a deployment's template was at one time. Its name has a hash of that in it, so that whoever makes it a
/// second time finds it there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModuleReplicaSet {
    /// Its names; the label `module-replicaset-revision` has its number.
    pub metadata: Meta,
    /// What it installs.
    pub spec: ReplicaSetSpec,
    /// What there is of it.
    pub status: ReplicaSetStatus,
}

/// What a revision installs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaSetSpec {
    /// Its bases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// How many instances it is to have now.
    pub replicas: u32,
    /// What it installs.
    pub template: Template,
    /// As the deployment's.
    pub operation_strategy: OperationStrategy,
    /// As the deployment's.
    pub scheduling_strategy: SchedulingStrategy,
    /// As the deployment's.
    pub min_ready_seconds: u32,
}

/// What there is of a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplicaSetStatus {
    /// The generation that this is said of.
    pub observed_generation: i64,
    /// Instances.
    pub replicas: u32,
    /// The same, as documents of 2023 call it.
    pub current_replicas: u32,
    /// Of these, ready.
    pub ready_replicas: u32,
    /// Of these, ready for long enough.
    pub available_replicas: u32,
    /// One of each type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
