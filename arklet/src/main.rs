//! The base as a binary: `arklet`, and it runs.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use arklet::options::Options;
use clap::Parser;
use daemon::Problem;

/// How the threads of the API rank against those that serve requests, from 0 (the same) to 19.
const MANAGEMENT_NICE: i32 = 5;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(problem) = options.start_log() {
        return complain(&problem);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("arklet")
        .worker_threads(2)
        .on_thread_start(rank_below_traffic)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Problem::from(format!("could not start: {error}"))),
    };
    let ended =
        runtime.block_on(async { arklet::run(options, |base| base.wasm(|wasm| wasm), arklet::End::at_once(arklet::ending()?)).await });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => complain(&problem),
    }
}

/// Whoever manages the base can wait a little; requests should not.
fn rank_below_traffic() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), MANAGEMENT_NICE) {
        tracing::warn!(%error, "the threads of the API keep the rank of those that serve");
    }
}

fn complain(problem: &Problem) -> ExitCode {
    // The log may be switched off; this must be seen.
    eprintln!("arklet: {problem}");
    ExitCode::FAILURE
}
