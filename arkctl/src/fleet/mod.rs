//! The fleet by the command line: commands on the Kubernetes-shaped API of a module-controller, or of a real kube-apiserver.
//!
//! [`target`] says which server is asked ([`kubeconfig`] where a file names it), [`client`] asks it and makes errors of what it refuses,
//! [`resource`] names what can be asked for. [`state`] decides what a rollout has come to, and [`changes`] what an apply changes; each
//! other file is one command, or a few that differ in a field.

pub(crate) mod apply;
mod changes;
mod client;
pub(crate) mod delete;
pub(crate) mod describe;
mod documents;
pub(crate) mod events;
pub(crate) mod explain;
mod follow;
pub(crate) mod get;
mod history;
mod kubeconfig;
pub(crate) mod maintenance;
mod resource;
pub(crate) mod rollout;
pub(crate) mod scale;
mod state;
mod table;
mod target;
mod view;

pub(crate) use client::Fleet;
pub(crate) use target::Where;

use std::time::Duration;

/// Reads a duration as people write it: `30s`, `5m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 30s, 5m or 1h30m"))
}
