//! The data path.
pub mod upstream;
pub use upstream::{Body, BoxError, Endpoint, Upstream, UpstreamError};
