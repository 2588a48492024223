//! The fleet's controller.
//!
//! [`fleet`] decides; here is what it takes to act on it: [`store`] keeps the resources, [`api`] serves them.

#![forbid(unsafe_code)]

pub mod api;
pub mod kubeconfig;
pub mod listen;
pub mod options;
pub mod run;
pub mod store;
