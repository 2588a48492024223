//! What a fleet of bases is to run, and what to do next about it.
//!
//! Everything here is a function of what it is given: there is no network, no clock, no store.
//! Read in this order: [`resource`] (the documents), [`admission`] (which of them are accepted).

#![forbid(unsafe_code)]

pub mod admission;
pub mod resource;
