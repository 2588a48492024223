//! The fleet's controller.
//!
//! [`fleet`] decides; here is what it takes to act on it: [`store`] keeps the resources.

#![forbid(unsafe_code)]

pub mod store;
