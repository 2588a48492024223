//! What a base is compared with: wasmtime's own server and compiler, and a server without any wasm.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use harness::Error;
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;

/// The engine of the base, as its makers ship it.
const WASMTIME: &str = "48.0.8";
const FEATURES: &str =
    "run,serve,compile,cranelift,parallel-compilation,pooling-allocator,component-model,component-model-async,wasi-http,logging";
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// The wasmtime command, built from crates.io into the target folder where it is not there yet.
pub(super) fn wasmtime() -> Result<PathBuf, Error> {
    let tools = harness::root().join("target/tools");
    let binary = tools.join("bin/wasmtime");
    if !binary.is_file() {
        super::say(&format!("building wasmtime {WASMTIME} to compare with"));
        let mut command = Command::new("cargo");
        command.args(["install", "wasmtime-cli", "--version", WASMTIME, "--locked", "--no-default-features", "--features", FEATURES]);
        let status = command.arg("--root").arg(&tools).stdout(std::io::stderr()).status()?;
        if !status.success() {
            return Err(format!("wasmtime-cli could not be built: {status}").into());
        }
    }
    Ok(binary)
}

/// A server in a process of its own. It is killed when this is dropped.
pub(super) struct Peer {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Peer {
    /// `wasmtime serve` with a component, on its defaults and `flags`.
    pub(super) fn wasmtime_serve(component: &Path, flags: &[&str]) -> Result<Self, Error> {
        let address = free_address()?;
        let mut command = Command::new(wasmtime()?);
        command.args(["serve", "-S", "cli", "--addr", &address.to_string()]).args(flags).arg(component);
        Self::start(command, address)
    }

    /// Hyper, with an answer of the same bytes.
    pub(super) fn native() -> Result<Self, Error> {
        let address = free_address()?;
        // Not this very file: the build before a bench may have put another in its place.
        let mut command = Command::new(harness::bin_dir()?.join("xtask"));
        command.args(["native", &address.to_string()]);
        Self::start(command, address)
    }

    /// Platformatic Watt, whose gateway passes `/hello` on to the sample application.
    pub(super) fn watt() -> Result<Self, Error> {
        let folder = harness::root().join("target/peers/watt");
        if !folder.join("node_modules").is_dir() {
            super::say("installing Platformatic Watt to compare with");
            copy(&harness::root().join("xtask/peers/watt"), &folder)?;
            let status = Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
                .current_dir(&folder)
                .stdout(std::io::stderr())
                .status()?;
            if !status.success() {
                return Err(format!("Watt could not be installed: {status}").into());
            }
        }
        copy(&harness::root().join("examples/node/hello"), &folder.join("web/hello"))?;
        let address = free_address()?;
        let mut command = Command::new("node");
        command.args(["node_modules/wattpm/bin/wattpm.js", "start"]).current_dir(&folder).env("PORT", address.port().to_string());
        Self::start(command, address)
    }

    /// Runs `command`, and waits until it listens on `address`.
    pub(super) fn start(mut command: Command, address: SocketAddr) -> Result<Self, Error> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let peer = Self { child, address };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(format!("a peer does not listen on {address}: {command:?}").into());
            }
            std::thread::sleep(POLL);
        }
        Ok(peer)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn cpu_time(&self) -> Result<Duration, Error> {
        harness::base::cpu_time(self.child.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies what is in a folder.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

pub(super) fn free_address() -> Result<SocketAddr, Error> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A server without any wasm: what the same answer costs at least.
pub(crate) fn native(address: &str) -> Result<(), Error> {
    let threads = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let answer = |_: Request<hyper::body::Incoming>| async {
                    let response = Response::builder().header("content-type", "text/plain");
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from_static(b"hello from v1\n"))).unwrap_or_default())
                };
                // A client that goes is no failure.
                let _ = hyper::server::conn::http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service_fn(answer))
                    .await;
            });
        }
    })
}
