//! The command line of developers. Raw arguments become a [`cli::Cli`]; [`command`] does what it says; [`output`] shows it.

#![forbid(unsafe_code)]

mod cli;
mod client;
mod command;
mod error;
mod output;
mod project;
mod render;
mod target;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match command::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::from(error::OK),
        Err(error) => {
            output::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
