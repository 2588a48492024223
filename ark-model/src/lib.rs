//! The words of the system as types.
//!
//! Every other crate depends on this one and it depends on none of them: it knows no files, no clock,
//! no network. Read in this order: [`identity`] (what a module is called), [`lifecycle`] (the states it
//! goes through, and every legal step between them), [`manifest`] (what a package says of itself), [`order`]
//! (what is asked of a base, and its answers), [`component`] (where a component carries its manifest),
//! [`reason`] (why something did not happen), [`api`] (the bodies of the typed API), [`report`] (what a base
//! tells the controller).
//!
//! ```
//! use ark_model::{Event, ModuleId, State};
//!
//! let id = ModuleId::new("orders", "1.0.0")?;
//! assert_eq!(id.to_string(), "orders:1.0.0");
//! assert_eq!(State::Resolved.after(Event::StartedActive)?, State::Activated);
//! assert!(State::Stopped.after(Event::Activate).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod api;
pub mod component;
pub mod identity;
pub mod lifecycle;
pub mod manifest;
pub mod order;
pub mod reason;
pub mod report;

pub use identity::{InvalidIdentity, ModuleId};
pub use lifecycle::{Change, Event, History, IllegalTransition, Record, State};
pub use manifest::{DEFAULT_PRIORITY, DirectoryGrant, Grants, InvalidContextPath, LimitOverrides, Limits, Manifest};
pub use order::{Activation, Failure, InstallOrder, Resource, Step, Timing, Verdict, VerdictState};
pub use reason::Reason;
pub use report::Fence;
