//! Why a deployment is where it is.

use serde::Serialize;

use crate::{
    placement,
    resource::{Condition, Key, Progress},
    world::World,
};

/// All that is known about where a deployment stands, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `namespace/name`.
    pub deployment: String,
    /// Where its rollout stands.
    pub progress: Progress,
    /// Why, in a sentence.
    pub message: String,
    /// What is said of it.
    pub conditions: Vec<Condition>,
    /// Its instances.
    pub instances: Vec<InstanceStanding>,
    /// Whether each base would take one more, and why not.
    pub bases: Vec<BaseVerdict>,
}

/// Where an instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStanding {
    /// Its name.
    pub name: String,
    /// Its module and version.
    pub module: String,
    /// Its base.
    pub base: String,
    /// Where it stands.
    pub phase: &'static str,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

/// Whether a base would take one more instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BaseVerdict {
    /// Its name.
    pub name: String,
    /// `takes it`, or what is in the way.
    pub verdict: String,
}

/// Explains the deployment `key`. None where there is none.
#[must_use]
pub fn explain(world: &World, key: &Key) -> Option<Explanation> {
    let deployment = world.deployment(key)?;
    let status = &deployment.status;
    let progressing = status.conditions.iter().find(|condition| condition.kind == "Progressing");
    let instances = world.instances_of(key).map(|module| InstanceStanding {
        name: module.metadata.name.clone(),
        module: format!("{}:{}", module.spec.template.module.name, module.spec.template.module.version),
        base: module.spec.base_name.clone(),
        phase: if module.metadata.is_going() { "Terminating" } else { module.status.status.as_str() },
        reason: module.status.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        message: module.status.message.clone(),
    });
    let bases = world.bases_in(&key.namespace).map(|base| BaseVerdict {
        name: base.metadata.name.clone(),
        verdict: match placement::takes(world, deployment, &deployment.spec.template.spec, base) {
            Ok(()) => "takes it".to_owned(),
            Err(obstacle) => obstacle.to_string(),
        },
    });
    Some(Explanation {
        deployment: key.to_string(),
        progress: status.release_status.progress,
        message: progressing.map(|condition| condition.message.clone()).unwrap_or_default(),
        conditions: status.conditions.clone(),
        instances: instances.collect(),
        bases: bases.collect(),
    })
}
