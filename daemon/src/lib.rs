//! What every process of ours does around its work, bases and controllers alike.
//!
//! [`Problem`] is what keeps one from running, [`ending()`] its end, [`home`] where its data is, [`log`] its log on standard error,
//! [`Rotated`] a file that is bounded, [`tls`] its certificates, [`page`] what tells a web page from a caller.

#![forbid(unsafe_code)]

mod ending;
pub mod home;
pub mod log;
pub mod page;
mod problem;
mod rotated;
pub mod tls;

pub use ending::ending;
pub use problem::Problem;
pub use rotated::Rotated;
