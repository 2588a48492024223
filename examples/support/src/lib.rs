//! What the samples share, so that each of them is its own logic and one [`export!`].
//!
//! A sample is a plain function from `http::Request<Vec<u8>>` to `http::Response<Vec<u8>>`: it runs and is
//! tested on any machine. Only the modules below that talk to the host need the WebAssembly target.

pub mod query;
pub mod reply;

#[cfg(target_family = "wasm")]
pub mod component;
#[cfg(target_family = "wasm")]
pub mod config;
#[cfg(target_family = "wasm")]
pub mod outgoing;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use wasip2;

/// Exports a function from `http::Request<Vec<u8>>` to `http::Response<Vec<u8>>` as the component's
/// `wasi:http/incoming-handler`. A body of more than `body_limit` bytes is answered 413 and not handed on.
#[macro_export]
macro_rules! export {
    ($handle:expr, body_limit: $limit:expr) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the generated export")]
        const _: () = {
            struct Component;
            impl $crate::wasip2::exports::http::incoming_handler::Guest for Component {
                fn handle(request: $crate::wasip2::http::types::IncomingRequest, out: $crate::wasip2::http::types::ResponseOutparam) {
                    $crate::component::serve(&request, out, $limit, $handle);
                }
            }
    $crate::wasip2::http::proxy::export!(Component with_types_in $crate::wasip2);
        };
    };
}
