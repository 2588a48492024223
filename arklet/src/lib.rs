//! The agent in every base. [`Agent`] is the core, which listens nowhere: a binary, a native agent or an addon embeds it, and
//! serves [`http::router`] and the gateway as it likes. Follow one install: [`http`] (`v1` or `commands`) → [`ark::Base::install`].

#![forbid(unsafe_code)]

mod agent;
mod commands;
pub mod heartbeat;
pub mod http;
pub mod identity;
pub mod journal;
mod log;
mod metrics;
pub mod modules_dir;
pub mod options;
mod otlp;
pub mod packages;
mod report;
mod run;
pub mod system;
mod tunnel;

/// The end of a process that somebody asks to end.
pub use daemon::ending;

pub use agent::{Agent, Builder, now};
/// The wasm runtime, for a base that adds capabilities of its own.
#[cfg(feature = "wasm")]
pub use ark_wasm as wasm;
pub use identity::Identity;
pub use options::Options;
pub use run::{End, run};
