//! What every module may import. That it links says nothing of what it may do: each capability looks at the module's grants.

use wasmtime::{Engine, component::Linker};
use wasmtime_wasi_config::WasiConfig;

use crate::{
    host::{Host, config},
    logging,
};

/// WASI 0.2 and 0.3 with HTTP, `wasi:config` and `wasi:logging`.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |host: &mut Host| WasiConfig::from(config(host)))?;
    logging::add_to_linker(&mut linker)?;
    Ok(linker)
}
