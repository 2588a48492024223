//! The container.
pub mod runtime;
pub mod traffic;
pub use runtime::{ModuleSpec, Package, Prepared, Running, Runtime, Started};
pub use traffic::{Drained, InstanceId, Target, Traffic};
