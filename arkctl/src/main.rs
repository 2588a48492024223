//! `arkctl`: the command line of developers.
//!
//! Read in this order: [`cli`] (what can be asked), [`command`] (a file for each command), [`context`] (which base),
//! [`client`] (how it is asked), [`project`] (what makes a package), [`ship`] (how a package comes to serve), [`fleet`] (the commands
//! that ask a controller instead of a base). Whatever is shown to people is made by plain
//! functions from data to text; whatever fails is an [`error::Error`], which knows its exit code and its hint.

mod build;
mod cli;
mod client;
mod command;
mod config;
mod context;
mod discover;
mod error;
mod events;
mod fleet;
mod http;
mod humanise;
mod order;
mod output;
mod package;
mod progress;
mod project;
mod reference;
mod ship;
mod style;
mod table;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let context = context::Context::new(cli.global);
    match command::run(&cli.command, &context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.output.failure(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
