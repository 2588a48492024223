//! `cargo xtask …`: builds, tests, shows and measures the project.

#![forbid(unsafe_code)]

mod demo;

use std::process::{Command, ExitCode, Stdio};

use harness::Error;

const USAGE: &str = "usage: cargo xtask <command>

commands:
  demo [--once] [--output json]   a base, the sample modules, traffic, and an upgrade in the middle of it
  test                            format, lints, documentation and every test";

const WASM_TARGET: &str = "wasm32-wasip2";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Error> {
    let Some((command, options)) = arguments.split_first() else { return Err(USAGE.into()) };
    match *command {
        "demo" => {
            let options = Options::read(options)?;
            prepare()?;
            demo::run(options.once, options.json)
        }
        "test" if options.is_empty() => test(),
        _ => Err(USAGE.into()),
    }
}

#[derive(Default)]
struct Options {
    once: bool,
    json: bool,
}

impl Options {
    fn read(mut words: &[&str]) -> Result<Self, Error> {
        let mut options = Self::default();
        loop {
            words = match words {
                [] => return Ok(options),
                ["--once", rest @ ..] => {
                    options.once = true;
                    rest
                }
                ["--output", "json", rest @ ..] => {
                    options.json = true;
                    rest
                }
                [other, ..] => return Err(format!("unknown option {other:?}\n\n{USAGE}").into()),
            };
        }
    }
}

/// Builds the binaries, and adds the target for modules to the toolchain where it is missing.
fn prepare() -> Result<(), Error> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).stderr(Stdio::inherit()).output();
    if installed.is_ok_and(|installed| !String::from_utf8_lossy(&installed.stdout).lines().any(|target| target == WASM_TARGET)) {
        command("rustup", &["target", "add", WASM_TARGET], &[])?;
    }
    command("cargo", &["build", "--release", "--locked", "--workspace", "--bins"], &[])
}

fn test() -> Result<(), Error> {
    command("cargo", &["fmt", "--all", "--check"], &[])?;
    command("cargo", &["fmt", "--all", "--check", "--manifest-path", "examples/Cargo.toml"], &[])?;
    prepare()?;
    command("cargo", &["clippy", "--workspace", "--all-targets", "--release", "--locked", "--", "-D", "warnings"], &[])?;
    command("cargo", &["doc", "--workspace", "--no-deps", "--release", "--locked", "--quiet"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    command("cargo", &["test", "--workspace", "--release", "--locked"], &[])?;
    command("cargo", &["test", "--workspace", "--locked", "--manifest-path", "examples/Cargo.toml"], &[])
}

fn command(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), Error> {
    let line = format!("{program} {}", arguments.join(" "));
    eprintln!("xtask: {line}");
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(harness::root())
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| format!("could not run `{line}`: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` ended with {status}").into()) }
}
