//! What a fleet of bases is to run, and what to do next about it.
//!
//! Everything here is a function of what it is given: there is no network, no clock, no store.
//! Read in this order: [`resource`] (the documents), [`admission`] (which of them are accepted), [`world`] (all of them, as one value),
//! [`mod@plan`] (what to write next about a deployment), with [`batches`], [`placement`] and [`revision`]; [`mod@lint`] (what no plan may
//! do); [`mod@observe`] (what to write after a base's report), `absence` (when a silent base is given up), [`mod@drive`] (what to order of a
//! base); [`controller`], which puts
//! all that together; and [`mod@explain`] (why a deployment is where it is).

#![forbid(unsafe_code)]

mod absence;
pub mod admission;
pub mod batches;
pub mod controller;
pub mod drive;
pub mod explain;
pub mod lint;
pub mod observe;
pub mod placement;
pub mod plan;
pub mod resource;
pub mod revision;
pub mod settings;
pub mod world;

pub use controller::{Controller, Outcome, Step};
pub use drive::{Command, Order, drive};
pub use explain::{Explanation, explain};
pub use lint::{Fault, lint};
pub use observe::observe;
pub use plan::{Note, Plan, plan};
pub use settings::Settings;
pub use world::World;
