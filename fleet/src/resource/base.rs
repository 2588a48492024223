//! A base that has joined.

use std::collections::BTreeMap;

use ark_model::report::{Room, Share};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::meta::{Condition, Meta, Time, Truth, is_false};

/// `Base`: a process that hosts modules. It makes itself known; what may be written is its spec, and labels of one's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Base {
    /// Its name is the base's identity; its labels are those the base gave, its deployment, name, version, cluster and kinds.
    pub metadata: Meta,
    /// What is wanted of it.
    pub spec: BaseSpec,
    /// What it says.
    pub status: BaseStatus,
}

/// What is wanted of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaseSpec {
    /// Takes no further modules.
    #[serde(skip_serializing_if = "is_false")]
    pub unschedulable: bool,
    /// Gives its modules away: instances come up elsewhere first, and then go from here.
    #[serde(skip_serializing_if = "is_false")]
    pub drain: bool,
    /// The most modules it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_modules: Option<u32>,
}

/// What a base says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BaseStatus {
    /// `Ready`: whether it answers.
    pub conditions: Vec<Condition>,
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The kinds of module it runs.
    pub kinds: Vec<String>,
    /// Where its modules answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Where its API answers, where it is asked there and not through a tunnel: a stock arklet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api: String,
    /// The version of its arklet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub arklet_version: String,
    /// When it was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was last heard, to within half a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard_time: Option<Time>,
    /// Its room.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub room: BTreeMap<Room, Share>,
    /// How many modules it has.
    pub modules: u32,
}

impl Base {
    /// Whether it answers, as far as is known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready().is_some_and(|condition| condition.status == Truth::True)
    }

    /// Its condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == "Ready")
    }
}
