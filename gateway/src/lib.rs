//! The data path of a base: accepts requests and routes them to the modules in this process.
//!
//! Follow one request: [`serve`](Gateway::serve) accepts it, [`call`](Gateway::call) finds its instance in `table`, steps into it
//! (`instance`), changes its head (`forward`), and passes it on to an [`Upstream`]; `body` watches what streams. The table is one
//! immutable value behind one atomic pointer.

#![forbid(unsafe_code)]

mod answer;
mod body;
mod forward;
mod gateway;
mod instance;
mod metrics;
mod proxy;
mod serve;
mod settings;
mod stats;
mod table;
pub mod trace;
pub mod upstream;

pub use forward::{Peer, RequestId};
pub use gateway::Gateway;
pub use proxy::{Place, Proxy};
pub use serve::{ServeError, Serving};
pub use settings::Settings;
pub use upstream::{Body, BoxError, Endpoint, Upstream, UpstreamError, empty, probe};
