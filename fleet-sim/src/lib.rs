//! A world in which the fleet's controller is tried out.
//!
//! Everything comes from one seed: when messages arrive, whether they are lost or come twice, which base crashes or falls silent, what
//! users do meanwhile, when the controller itself is replaced by another while its last orders are still on their way. For a while all
//! that happens, and nothing may ever be done that must not be (safety). Then it stops, and everything has to come to what was asked for
//! within a bounded time (liveness).
//!
//! [`Scenario`] is the same without faults, for one question at a time; or with one, put exactly where it is wanted ([`Disturbance`]).
//!
//! It uses the controller as the program does, [`fleet::Controller`]; only its surroundings are of its own: bases, a store,
//! the network, the users and time.

#![forbid(unsafe_code)]

mod base;
mod check;
mod scenario;
mod store;
mod world;

pub use scenario::{Disturbance, Moment, Scenario};
pub use store::Store;
pub use world::{Summary, Violation, run};
