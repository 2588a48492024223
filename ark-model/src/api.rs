//! The bodies of the typed API under `/v1`, which our own tools use.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /v1/base` | | [`BaseView`] |
//! | `GET /v1/report` | | [`BaseReport`](crate::report::BaseReport)s, one JSON object a line, for as long as the client listens |
//! | `GET /v1/modules` | | [`ModuleList`] |
//! | `GET /v1/modules/{name}/{version}` | | [`ModuleView`] |
//! | `POST /v1/modules` | [`InstallOrder`](crate::InstallOrder) | [`Installed`]; with `Accept: text/event-stream`, [`Progress`] events |
//! | `POST /v1/prepare` | [`InstallOrder`](crate::InstallOrder) | [`Prepared`] |
//! | `DELETE /v1/modules/{name}/{version}` | | [`Retired`] |
//! | `GET /v1/modules/{name}/{version}/why?class=` | | [`Origin`] |
//! | `POST /v1/modules/{name}/{version}/activate` | | [`ModuleView`] |
//! | `DELETE /v1/operations/{name}` | | 202, or 404 where nothing is under way |
//! | `PUT /v1/packages` | the bytes | [`PackageView`] |
//! | `GET /v1/modules/{name}/{version}/logs?follow=&tail=` | | [`LogLine`]s, one JSON object a line |
//! | `GET /v1/routes` | | [`RouteList`] |
//! | `GET /v1/verdicts` | | [`VerdictList`] |
//! | `GET /v1/verdicts/{name}/{version}/holders` | | [`SearchCost`] |
//! | `POST /v1/verdicts/{name}/{version}/holders?objects=` | | [`Holders`] |
//!
//! An install, an uninstall and an activation may carry a [`Fence`](crate::Fence) in the header `ark-fence`.
//!
//! Every failure is an [`ErrorBody`] with a status of 400 or more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Failure, Limits, Manifest, ModuleId, Record, State, Timing, Verdict, order::Resource};

/// Who this base is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct BaseView {
    /// Its identity.
    pub identity: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its cluster.
    pub cluster: String,
    /// Whether it has brought up all it was to bring up.
    pub ready: bool,
    /// Where modules answer, e.g. `http://127.0.0.1:8080`.
    pub gateway: String,
    /// The kinds of module it runs.
    pub kinds: Vec<String>,
    /// The version of this software.
    pub arklet_version: String,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// Resident memory of the process, in bytes.
    pub resident_bytes: u64,
}

/// A module, as the base sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModuleView {
    /// Its identity.
    #[serde(flatten)]
    pub id: ModuleId,
    /// Its kind: `wasm`, `jvm`, `node`.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// Why it is broken, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Where it answers.
    pub context_path: String,
    /// The hosts it answers for; any when empty.
    pub hosts: Vec<String>,
    /// Its share of traffic among the active versions of its name.
    pub weight: u32,
    /// Its start order.
    pub priority: i32,
    /// The mark of the order that it was installed by; empty where that had none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mark: String,
    /// Where its package came from.
    pub url: String,
    /// The sha-256 of its package.
    pub sha256: String,
    /// The size of its package in bytes.
    pub package_bytes: u64,
    /// How it is compiled now: `baseline`, `optimised`; empty where that means nothing.
    pub build: String,
    /// Its bounds.
    pub limits: Limits,
    /// What its package says of itself.
    pub manifest: Manifest,
    /// Its changes of state, oldest first.
    pub history: Vec<Record>,
    /// How long its install took, step by step.
    pub timings: Vec<Timing>,
    /// What its requests came to.
    pub traffic: TrafficView,
    /// What it uses and how it is kept, where one module is asked for.
    #[serde(default, skip_serializing_if = "Inspection::is_empty")]
    pub inspection: Inspection,
}

/// What the runtime of a module knows of it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inspection {
    /// What it uses: `classes`, `metaspace`, `threads`, …
    pub uses: Vec<Resource>,
    /// How it is kept, by topic, e.g. `layer`: which one, and who shares it.
    pub notes: BTreeMap<String, String>,
}

impl Inspection {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.uses.is_empty() && self.notes.is_empty()
    }
}

/// Where a module gets something from that it asks for by name: a class of one on the JVM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Origin {
    /// What was asked for.
    pub class: String,
    /// Whether it gets it at all.
    pub found: bool,
    /// From where, by which rule, and what else has it: lines for people.
    pub text: String,
}

/// The requests of one module since its install.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TrafficView {
    /// Requests answered.
    pub requests: u64,
    /// Of these, with a status of 500 or more.
    pub failures: u64,
    /// Requests refused at a bound.
    pub refused: u64,
    /// Requests being answered now.
    pub in_flight: u64,
    /// Requests waiting for a place now.
    pub queued: u64,
    /// The median time to the end of an answer, in milliseconds; 0 without requests.
    pub p50_ms: f64,
    /// The time that 99 of 100 answers stay below, in milliseconds; 0 without requests.
    pub p99_ms: f64,
    /// The most memory one instance of it has used, in bytes.
    pub peak_memory_bytes: u64,
}

/// All modules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModuleList {
    /// By name, then version.
    pub modules: Vec<ModuleView>,
}

/// An install that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Installed {
    /// The module.
    pub module: ModuleView,
    /// Its steps.
    pub timings: Vec<Timing>,
    /// The versions it took over from, all gone by now.
    pub retired: Vec<Retired>,
}

/// What was prepared for an install that comes later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Prepared {
    /// The module that it is for.
    #[serde(flatten)]
    pub id: ModuleId,
    /// Its kind: `wasm`, `jvm`, `node`.
    pub kind: String,
    /// The sha-256 of its package.
    pub sha256: String,
    /// The size of its package in bytes.
    pub package_bytes: u64,
    /// What was done.
    pub timings: Vec<Timing>,
}

/// A version that was removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retired {
    /// Which.
    #[serde(flatten)]
    pub id: ModuleId,
    /// Drain, stop, reclaim.
    pub timings: Vec<Timing>,
    /// What was given back.
    pub verdict: Verdict,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}

/// One event of an install, as `event: <kind>` and `data: <JSON>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Progress {
    /// A step began.
    Begun {
        /// Which.
        step: crate::Step,
    },
    /// A step ended.
    Ended(Timing),
    /// The new version serves; the old ones may still drain.
    Serving {
        /// The module.
        module: Box<ModuleView>,
    },
    /// An old version is gone.
    Retired(Retired),
    /// All is done.
    Done(Box<Installed>),
    /// It failed; the old version serves on.
    Failed {
        /// Why.
        error: Failure,
    },
}

/// A package in the base's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PackageView {
    /// The sha-256 of its bytes, in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

/// One line that a module wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// `stdout`, `stderr`, or the level of a structured line.
    pub stream: String,
    /// The request it was written for, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The line.
    pub text: String,
}

/// The route table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteList {
    /// Longest context path first.
    pub routes: Vec<RouteView>,
}

/// One way to a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// The host; any when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The context path.
    pub context_path: String,
    /// Who answers, with which share.
    pub targets: Vec<RouteTarget>,
}

/// Who answers on a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RouteTarget {
    /// The module.
    #[serde(flatten)]
    pub id: ModuleId,
    /// Its weight.
    pub weight: u32,
}

/// The latest removals, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerdictList {
    /// At most 1,000.
    pub verdicts: Vec<Retired>,
}

/// What it takes to look for what holds a removed module: estimates, from how much of the heap is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SearchCost {
    /// The heap in use, in bytes.
    pub heap_bytes: u64,
    /// The objects in it, about.
    pub objects: u64,
    /// How long everything in the process stands still, in milliseconds, about.
    pub stopped_ms: f64,
}

/// What holds a removed module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Holders {
    /// Which.
    #[serde(flatten)]
    pub id: ModuleId,
    /// The shortest ways from what always lives to the module, no two of which share an object outside it. None where nothing holds
    /// it: it goes with the next collections of garbage.
    pub paths: Vec<HolderPath>,
    /// The objects that were looked at.
    pub objects: u64,
    /// The references between them.
    pub references: u64,
    /// How long everything in the process stood still, in milliseconds.
    pub stopped_ms: f64,
    /// How long the answer took, in milliseconds.
    pub total_ms: f64,
}

/// One way by which a module is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HolderPath {
    /// Whether it is a cache's, which lets go when memory runs short. Such ways are shown only where there is no other.
    pub soft: bool,
    /// From what always lives to the first object of the module.
    pub steps: Vec<HolderStep>,
}

/// One reference of a way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HolderStep {
    /// Of what kind the reference is: `running thread`, `.table`, `static .CACHE`, `[3]`.
    pub by: String,
    /// What it leads to: a class's name, a thread's with its own.
    pub to: String,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The failure.
    pub error: Failure,
}
