//! `cargo xtask …`: builds, tests, shows and measures the project.

#![forbid(unsafe_code)]

mod bench;
mod demo;

use std::process::{Command, ExitCode, Stdio};

use harness::Error;

const USAGE: &str = "usage: cargo xtask <command>

commands:
  demo [--once] [--output json]   a base, the sample modules, traffic, and an upgrade in the middle of it
  test                            format, lints, documentation and every test
  bench [W1 …] [--output json]    measures the promises of SPECIFICATION.md, all or those named";

const WASM_TARGET: &str = "wasm32-wasip2";
const DENY_VERSION: &str = "0.20.2";

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
        "bench" => {
            let options = Options::read(options)?;
            prepare()?;
            bench::run(&options.names, options.json)
        }
        // What the bench compares with; it starts this as a process of its own.
        "native" => options.first().map_or_else(|| Err(USAGE.into()), |address| bench::native(address)),
        _ => Err(USAGE.into()),
    }
}

#[derive(Default)]
struct Options<'a> {
    once: bool,
    json: bool,
    names: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn read(mut words: &[&'a str]) -> Result<Self, Error> {
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
                [name, rest @ ..] if !name.starts_with('-') => {
                    options.names.push(name);
                    rest
                }
                [other, ..] => return Err(format!("unknown option {other:?}\n\n{USAGE}").into()),
            };
        }
    }
}

/// Builds the binaries, with all that modules need.
fn prepare() -> Result<(), Error> {
    ensure_target()?;
    command("cargo", &["build", "--release", "--locked", "--workspace", "--bins"], &[])
}

/// Adds the target for modules to the toolchain where it is missing.
fn ensure_target() -> Result<(), Error> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).stderr(Stdio::inherit()).output();
    if installed.is_ok_and(|installed| !String::from_utf8_lossy(&installed.stdout).lines().any(|target| target == WASM_TARGET)) {
        command("rustup", &["target", "add", WASM_TARGET], &[])?;
    }
    Ok(())
}

fn test() -> Result<(), Error> {
    command("cargo", &["fmt", "--all", "--check"], &[])?;
    command("cargo", &["fmt", "--all", "--check", "--manifest-path", "examples/Cargo.toml"], &[])?;
    ensure_target()?;
    // Tests, binaries and benches in one build: what they share is compiled once.
    command("cargo", &["build", "--release", "--locked", "--workspace", "--all-targets"], &[])?;
    command("cargo", &["test", "--workspace", "--release", "--locked"], &[])?;
    command("cargo", &["test", "--workspace", "--locked", "--manifest-path", "examples/Cargo.toml"], &[])?;
    command("cargo", &["clippy", "--workspace", "--all-targets", "--release", "--locked", "--", "-D", "warnings"], &[])?;
    command(
        "cargo",
        &["clippy", "--workspace", "--release", "--locked", "--manifest-path", "examples/Cargo.toml", "--", "-D", "warnings"],
        &[],
    )?;
    command("cargo", &["doc", "--workspace", "--no-deps", "--release", "--locked", "--quiet"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    deny()
}

/// Licences, sources and known faults of the dependencies. The tool is built once for a machine.
fn deny() -> Result<(), Error> {
    if !Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|output| output.status.success()) {
        command("cargo", &["install", "cargo-deny", "--locked", "--version", DENY_VERSION], &[])?;
    }
    command("cargo", &["deny", "check", "licenses", "bans", "sources"], &[])
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
