//! Real applications on real JVMs: an ordinary Spring Boot service becomes a base, and others are installed into it.
//!
//! Each name begins with `jvm_`: where there is no JDK, `--skip jvm_` leaves all of them out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod jvm_agent;
mod jvm_ahead;
mod jvm_applications;
mod jvm_faults;
mod jvm_generations;
mod jvm_isolation;
mod jvm_join;
mod jvm_path;
mod jvm_process;
mod jvm_room;
mod jvm_unload;
mod support;
