//! The data path of a base: accepts requests and routes them to the modules in this process.
//!
//! Follow one request: [`serve`](Gateway::serve) accepts it, [`call`](Gateway::call) finds its instance in `table`, steps into it
//! (`instance`), changes its head (`forward`), and passes it on to an [`Upstream`]; `body` watches what streams. The table is one
//! immutable value behind one atomic pointer.
//!
//! A module that listens itself is reached by a [`Proxy`], over connections (`link`) that rest between requests (`pool`). Where both ends
//! agree on another protocol, they are joined (`tunnel`).

#![forbid(unsafe_code)]

mod answer;
mod body;
mod forward;
mod gateway;
mod instance;
mod link;
mod metrics;
mod pool;
mod proxy;
mod sending;
mod serve;
mod settings;
mod stats;
mod table;
pub mod trace;
mod tunnel;
pub mod upstream;

pub use forward::{Peer, RequestId};
pub use gateway::Gateway;
pub use link::Place;
pub use proxy::Proxy;
pub use serve::{ServeError, Serving};
pub use settings::Settings;
pub use upstream::{Body, BoxError, Endpoint, Upstream, UpstreamError, empty, probe};
