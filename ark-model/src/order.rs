//! What somebody asks of a base, and what the base answers: orders, steps, verdicts, failures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Grants, LimitOverrides, ModuleId, Reason};

/// Which version of a name gets traffic once the new one is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The new version takes over; the old ones drain and go.
    #[default]
    Switch,
    /// The new version waits, deactivated, until it is switched to.
    Keep,
    /// All versions get traffic, by weight.
    Together,
}

/// An order to install a module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct InstallOrder {
    /// Name and version; the package's own when absent. Where both speak they have to agree, but for jars, where this goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<ModuleId>,
    /// Where the package is: `file://`, `http://`, `https://`, or `sha256:<hex>` of one that was uploaded.
    pub url: String,
    /// The package's expected sha-256, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// A minisign signature of the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Which version gets traffic; the base's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    /// The share of traffic under [`Activation::Together`], relative to the other versions; 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Where the module answers, in place of what its package says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_path: Option<String>,
    /// Arguments of the module.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Granted on top of what the package's manifest asks for.
    #[serde(skip_serializing_if = "Grants::is_empty")]
    pub grants: Grants,
    /// Bounds in place of the manifest's.
    #[serde(skip_serializing_if = "LimitOverrides::is_empty")]
    pub limits: LimitOverrides,
    /// Settings of its kind of module, e.g. `share` of one on the JVM; the base's defaults for those not named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Whatever the one who orders wants to know the installed module by; kept and shown, at most 256 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// Where the module runs already under another mark, puts this content in its place: the old instance serves until the new one has
    /// answered its probe, and drains then. Whether it gets traffic stays as it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// The whole operation's deadline in milliseconds; the base's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// One step of an operation, in the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Bring the package into the base's store.
    Fetch,
    /// Size, digest, signature.
    Verify,
    /// Read the package's manifest.
    Parse,
    /// Name, version, context path, budget.
    Admit,
    /// Compile, index or unpack; cached by content.
    Prepare,
    /// Make it runnable.
    Start,
    /// Ask it whether it works.
    Probe,
    /// Change the routes.
    Activate,
    /// Let the last requests of the old version end.
    Drain,
    /// End what still runs of it.
    Stop,
    /// Give its resources back.
    Reclaim,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 11] = [
        Self::Fetch,
        Self::Verify,
        Self::Parse,
        Self::Admit,
        Self::Prepare,
        Self::Start,
        Self::Probe,
        Self::Activate,
        Self::Drain,
        Self::Stop,
        Self::Reclaim,
    ];

    /// The step's name in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Parse => "parse",
            Self::Admit => "admit",
            Self::Prepare => "prepare",
            Self::Start => "start",
            Self::Probe => "probe",
            Self::Activate => "activate",
            Self::Drain => "drain",
            Self::Stop => "stop",
            Self::Reclaim => "reclaim",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long a step took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Timing {
    /// The step.
    pub step: Step,
    /// Its duration in milliseconds.
    pub ms: f64,
}

/// Whether a module that was removed is gone. The later one is the worse one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum VerdictState {
    /// It is: everything was given back.
    Unloaded,
    /// Not yet, and nothing is known that keeps it. The base goes on looking.
    #[default]
    Pending,
    /// It is not, and something keeps it.
    Leaking,
}

impl VerdictState {
    /// The word itself.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unloaded => "unloaded",
            Self::Pending => "pending",
            Self::Leaking => "leaking",
        }
    }
}

impl std::fmt::Display for VerdictState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a base got back when a module went, and what it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Whether it is gone.
    pub state: VerdictState,
    /// Requests that were cut off at the drain deadline.
    pub cut_requests: u64,
    /// What was given back: a resource and its amount, e.g. `compiled code`, `5632000 bytes`.
    pub given_back: Vec<Resource>,
    /// What was not, and what holds it.
    pub held: Vec<Resource>,
}

/// An amount of something that a module used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resource {
    /// What it is.
    pub what: String,
    /// How much, in the resource's own unit.
    pub amount: u64,
    /// That unit: `bytes`, `instances`, `threads`.
    pub unit: String,
}

impl Resource {
    /// So much of `what`.
    #[must_use]
    pub fn new(what: impl Into<String>, amount: u64, unit: &str) -> Self {
        Self { what: what.into(), amount, unit: unit.to_owned() }
    }
}

/// An operation that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{message}")]
pub struct Failure {
    /// The word for it.
    pub reason: Reason,
    /// What was tried, with which input, and what to do; lower-case.
    pub message: String,
    /// The step in which it happened, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
}

impl Failure {
    /// A failure outside any step.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), step: None }
    }

    /// The same failure, said to have happened in `step` unless it knows better.
    #[must_use]
    pub fn in_step(mut self, step: Step) -> Self {
        self.step.get_or_insert(step);
        self
    }
}
