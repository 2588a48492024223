//! The fleet's controller as a binary.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use daemon::{Problem, ending};
use module_controller::{options::Options, run};

fn main() -> ExitCode {
    let options = Options::parse();
    options.start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("controller").enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Problem::from(format!("could not start: {error}"))),
    };
    match runtime.block_on(async { run::run(options, ending()?).await }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => complain(&problem),
    }
}

fn complain(problem: &Problem) -> ExitCode {
    // The log may be switched off; this must be seen.
    eprintln!("module-controller: {problem}");
    ExitCode::FAILURE
}
