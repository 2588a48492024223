//! The agent as an addon of Node.js: `node --import nodejslet app.js` makes the application's own process a base, with the same API, lifecycle
//! and gateway as the supervisor. It has threads of its own, which know nothing of JavaScript; modules run in processes and workers beside.
//!
//! `nodejslet/js/attach.cjs` calls what is here.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use arklet::options::{self, Options};
use clap::Parser;
use gateway::Place;
use napi::{Env, Error, Result, Status, Task, bindgen_prelude::AsyncTask};
use napi_derive::napi;
use nodejslet::{Folder, Own, Server, Settings, Site};
use tokio_util::sync::CancellationToken;

/// What the environment says; there is no command line.
#[derive(Debug, Parser)]
struct Wanted {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    settings: Settings,
}

/// The base that this process is.
struct Base {
    server: Arc<Server>,
    ending: CancellationToken,
    thread: Option<JoinHandle<()>>,
    /// Deleted with this.
    _folder: Folder,
}

static BASE: Mutex<Option<Base>> = Mutex::new(None);

fn base() -> MutexGuard<'static, Option<Base>> {
    BASE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(problem: impl std::fmt::Display) -> Error {
    Error::new(Status::GenericFailure, problem.to_string())
}

/// Makes this process a base, as `ARKLET_…` and `NODEJSLET_…` in its environment say. Modules are run with `node`, which `launcher`, the
/// supervisor's program, starts. Nothing is done where it is one already.
///
/// # Errors
/// Where the environment says what cannot be. What goes wrong later is told on standard error, and the application goes on.
#[napi]
pub fn attach(launcher: String, node: String) -> Result<()> {
    let mut base = base();
    if base.is_some() {
        return Ok(());
    }
    let mut arguments = vec![OsString::from("nodejslet")];
    let unless_said = [("ARKLET_GATEWAY", "--gateway", options::GATEWAY_BESIDE.to_owned()), ("NODEJSLET_NODE", "--node", node)];
    for (variable, option, value) in unless_said {
        if std::env::var_os(variable).is_none() {
            arguments.extend([OsString::from(option), value.into()]);
        }
    }
    let Wanted { options, settings } = options::read(arguments).map_err(refused)?;
    options.start_log().map_err(refused)?;
    let options = options.settled();
    let folder = Folder::new().map_err(|error| refused(format!("a folder for scripts: {error}")))?;
    let (site, server, ending) = (Site::here(&folder, launcher.into()), Arc::new(Server::default()), CancellationToken::new());
    let (own, end) = (Own::Process(Arc::clone(&server)), ending.clone());
    let run = move || {
        let ended = nodejslet::threads().and_then(|threads| threads.block_on(nodejslet::run(options, settings, own, site, end)));
        if let Err(problem) = ended {
            eprintln!("nodejslet: there is no base any more, the application goes on: {problem}");
        }
    };
    let thread = thread::Builder::new().name("nodejslet".to_owned()).spawn(run).map_err(refused)?;
    *base = Some(Base { server, ending, thread: Some(thread), _folder: folder });
    Ok(())
}

/// The application's web server listens at `address`, `127.0.0.1:3000` or the path of a socket, from now on; or nowhere.
///
/// # Errors
/// Where that is no address.
#[napi]
pub fn listens(address: Option<String>) -> Result<()> {
    let place = match address {
        Some(path) if path.starts_with('/') => Some(Place::Socket(PathBuf::from(path).into())),
        Some(address) => Some(Place::Address(address.parse::<SocketAddr>().map_err(|error| refused(format!("{address}: {error}")))?)),
        None => None,
    };
    if let Some(base) = &*base() {
        base.server.listens(place);
    }
    Ok(())
}

/// Ends the base as the supervisor ends: no new connections, the last requests, and all its modules.
#[napi]
pub fn end() -> AsyncTask<Ending> {
    let thread = base().as_mut().and_then(|base| {
        base.ending.cancel();
        base.thread.take()
    });
    AsyncTask::new(Ending(thread))
}

/// The process ends at once, and its modules with it: what they leave is deleted.
#[napi]
pub fn leave() {
    drop(base().take());
}

/// Done once the base has ended.
pub struct Ending(Option<JoinHandle<()>>);

impl Task for Ending {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        if let Some(thread) = self.0.take() {
            thread.join().map_err(|_| refused("the base broke off"))?;
        }
        Ok(())
    }

    fn resolve(&mut self, _: Env, (): ()) -> Result<()> {
        Ok(())
    }
}
