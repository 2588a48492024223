//! What a base tells the controller that it dialled, and how it tells an old order from a new one.
//!
//! A base opens the tunnel with `GET /tunnel` and `Upgrade: ark-tunnel`; from the 101 on it serves its own API on that connection, as
//! a server of HTTP/2, and the controller asks. `GET /v1/report` answers with one [`BaseReport`] a line: at once, at every change, and
//! every ten seconds.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Failure, ModuleId, State};

/// The request header in which an order carries its [`Fence`].
pub const FENCE_HEADER: &str = "ark-fence";
/// The request header of a removal that is meant for the module with this mark only, and not for another one under the same name and version.
pub const MARK_HEADER: &str = "ark-mark";
/// The request header in which a base that opens a tunnel says who it is.
pub const BASE_HEADER: &str = "ark-base";
/// What the two ends of a tunnel call it, in `Upgrade`.
pub const TUNNEL_PROTOCOL: &str = "ark-tunnel";

/// Which of two orders on one module name is the later one: a base refuses an order below the highest that it has seen, with
/// [`Reason::OrderStale`](crate::Reason::OrderStale), also after it was restarted. An equal one is the same order again.
///
/// As text, in [`FENCE_HEADER`]: `<epoch>.<generation>`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fence {
    /// The reign of the controller that orders; each leader has a higher one than the one before.
    pub epoch: u64,
    /// Rises with every decision on the instance.
    pub generation: u64,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.generation)
    }
}

/// A text that is no fence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fence; it is written <epoch>.<generation>, e.g. 3.1041")]
pub struct InvalidFence(String);

impl FromStr for Fence {
    type Err = InvalidFence;

    fn from_str(text: &str) -> Result<Self, InvalidFence> {
        let numbers = text.split_once('.').and_then(|(epoch, generation)| Some((epoch.parse().ok()?, generation.parse().ok()?)));
        numbers.map(|(epoch, generation)| Self { epoch, generation }).ok_or_else(|| InvalidFence(text.to_owned()))
    }
}

/// A base, as it stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct BaseReport {
    /// What tells it from others; the name of its `Base`.
    pub identity: String,
    /// What it is called, by which several bases of one kind go.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its cluster.
    pub cluster: String,
    /// The base deployment that it belongs to.
    pub deployment: String,
    /// What it may be selected by.
    pub labels: BTreeMap<String, String>,
    /// The kinds of module it runs: `wasm`, `jvm`, `node`.
    pub kinds: Vec<String>,
    /// Where modules answer, e.g. `http://127.0.0.1:8080`.
    pub gateway: String,
    /// The version of its arklet.
    pub arklet_version: String,
    /// Whether it has brought up all it was to bring up after its start.
    pub ready: bool,
    /// When it was started, in milliseconds since the Unix epoch: another one is another life of the base.
    pub started_at: u64,
    /// Its room, as far as it has a bound, and what is used of it.
    pub room: BTreeMap<Room, Share>,
    /// Every module that it has, in any state.
    pub modules: Vec<ModuleReport>,
}

/// Something a base has only so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub enum Room {
    /// Modules, in number.
    Modules,
    /// Memory, in bytes.
    Memory,
    /// The JVM's memory for classes, in bytes.
    Metaspace,
}

/// How much there is of it, and how much of that is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Share {
    /// All of it.
    pub total: u64,
    /// Of which used.
    pub used: u64,
}

/// One module of a base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModuleReport {
    /// Its identity.
    #[serde(flatten)]
    pub id: ModuleId,
    /// Where it stands.
    pub state: State,
    /// Why it is broken, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The mark of the order that it was installed by; empty where that had none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mark: String,
    /// The highest fence that was seen on its name.
    #[serde(default)]
    pub fence: Fence,
    /// Its share of traffic among the active versions of its name.
    #[serde(default)]
    pub weight: u32,
    /// Requests answered since its install.
    #[serde(default)]
    pub requests: u64,
    /// Of these, with a status of 500 or more.
    #[serde(default)]
    pub failures: u64,
    /// Requests being answered now.
    #[serde(default)]
    pub in_flight: u64,
    /// The time that 99 of 100 answers stay below, in milliseconds; 0 without requests.
    #[serde(default)]
    pub p99_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_reads_back_as_it_was_written_and_later_ones_are_higher() {
        let fence = Fence { epoch: 3, generation: 1041 };
        assert_eq!(fence.to_string().parse(), Ok(fence));
        assert!(Fence { epoch: 4, generation: 0 } > fence && Fence { epoch: 3, generation: 1042 } > fence);
        for text in ["", "3", "3.", ".1", "3.x", "-1.2", "1.2.3"] {
            assert_eq!(text.parse::<Fence>(), Err(InvalidFence(text.to_owned())));
        }
    }
}
