//! Real applications of Node.js, from the registry of npm, as modules.
//!
//! The file's name begins with `node`: where there is no Node.js, all of it is left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/lines.rs"]
mod lines;
mod node_attached;
mod node_faults;
mod node_frameworks;
mod node_package;
mod node_path;
mod node_servers;
mod node_sockets;
mod node_tools;
mod node_versions;
mod support;
