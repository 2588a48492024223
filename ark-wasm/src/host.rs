//! What an instance has on the base's side: its capabilities, its memory meter, its log.

use std::sync::Arc;

use ark_model::ModuleId;
use gateway::RequestId;
use wasmtime::{Store, component::ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{
    logging::{self, LogStream},
    meter::Meter,
    module::Inner,
    outgoing::Hooks,
    worker::CurrentRequest,
};

/// The state of one instance. A base's own capabilities find out from it on whose behalf they are called.
pub struct Host {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
    meter: Meter,
    module: Arc<Inner>,
    request: Arc<CurrentRequest>,
}

impl Host {
    /// The module that calls.
    #[must_use]
    pub fn module(&self) -> &ModuleId {
        &self.module.spec.id
    }

    /// The id of the request that the instance works on. With several at a time, that of the latest.
    #[must_use]
    pub fn request_id(&self) -> Option<RequestId> {
        self.request.get()
    }

    /// Writes a line into the module's log.
    pub fn log(&self, level: &str, text: &str) {
        self.module.spec.log.write(logging::now(), level, self.request.get().as_ref().map(RequestId::as_str), text);
    }

    /// Whether it was denied memory.
    pub(crate) fn denied_memory(&self) -> bool {
        self.meter.denied
    }
}

pub(crate) fn config(host: &mut Host) -> &WasiConfigVariables {
    &host.module.config
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// A store for one instance of `module`, with all that it was granted and nothing else.
pub(crate) fn store(module: &Arc<Inner>, request: &Arc<CurrentRequest>) -> wasmtime::Result<Store<Host>> {
    let (log, grants) = (&module.spec.log, &module.spec.grants);
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_tcp(false)
        .allow_udp(false)
        .stdout(LogStream::new(log, request, "stdout"))
        .stderr(LogStream::new(log, request, "stderr"))
        .args(&module.spec.args);
    for (name, value) in &grants.env {
        wasi.env(name, value);
    }
    for directory in &grants.directories {
        let perms = if directory.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.preopened_dir(&directory.host, &directory.guest, perms)?;
    }
    let host = Host {
        table: ResourceTable::new(),
        wasi: wasi.build(),
        http: WasiHttpCtx::new(),
        hooks: Hooks { allowed: Arc::clone(&module.allowed) },
        meter: Meter::new(module.spec.limits.memory_bytes, &module.usage),
        module: Arc::clone(module),
        request: Arc::clone(request),
    };
    let mut store = Store::new(&module.code.engine, host);
    store.limiter(|host| &mut host.meter);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_epoch_deadline(1);
    Ok(store)
}
