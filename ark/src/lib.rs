//! The container: isolation, lifecycle and activation of modules in a running process.
//!
//! It knows no HTTP, no files and no clock: a [`Runtime`] runs modules, [`Traffic`] sends them requests, [`Packages`] brings
//! their bytes, a [`Journal`] remembers them. What it decides stands in [`State::after`](ark_model::State::after) (which step is
//! legal), in `activation` (who gets traffic) and in [`Fences`] (which order comes too late). Follow one install: [`Base::install`] → `install` → `retire`.

#![forbid(unsafe_code)]

mod activation;
mod base;
mod event;
mod failed;
mod fence;
mod install;
mod journal;
pub mod log;
mod operation;
mod packages;
mod prepare;
mod refine;
mod registry;
mod restore;
mod retire;
pub mod runtime;
mod switch;
pub mod traffic;

pub use base::{Base, Builder, Pending, Settings};
pub use event::{Event, Listener};
pub use fence::Fences;
pub use journal::{Desired, Entry, Forgetful, Journal, MAX_REPLACED, Wanted};
pub use log::LogBook;
pub use operation::Install;
pub use packages::Packages;
pub use registry::Command;
pub use restore::NotUp;
pub use runtime::{Facts, ModuleSpec, Package, Prepared, Reclaimed, Refined, Running, Runtime, Sign, Started};
pub use traffic::{Drained, InstanceId, Target, Traffic};
