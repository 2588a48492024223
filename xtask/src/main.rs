//! `cargo xtask …`: builds, tests, shows and measures the project.

#![forbid(unsafe_code)]

mod bench;
mod demo;

use std::process::{Command, ExitCode, Stdio};

use harness::Error;

const USAGE: &str = "usage: cargo xtask <command>

commands:
  demo [--jvm | --node] [--once] [--output json]
                                  a base, the sample modules, traffic, and an upgrade in the middle of it; --jvm, --node: of
                                  applications in Java and for Node.js
  test [--require-all]            format, lints, documentation and every test; those on a JVM and on Node.js where there are a JDK
                                  and Maven, and Node.js and npm
  bench [W1 …] [--output json]    measures the promises of SPECIFICATION.md, all or those named
  npm                             packs nodejslet for npm, and says where that is";

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
            demo::run(options.show, options.once, options.json)
        }
        "test" if options.is_empty() => test(false),
        "test" if options == ["--require-all"] => test(true),
        "bench" => {
            let options = Options::read(options)?;
            let wanted = bench::wanted(&options.names)?;
            prepare()?;
            bench::run(&wanted, options.json)
        }
        "npm" if options.is_empty() => {
            prepare()?;
            println!("{}", harness::node::npm_package()?.display());
            Ok(())
        }
        // What the bench compares with; it starts this as a process of its own.
        "native" => options.first().map_or_else(|| Err(USAGE.into()), |address| bench::native(address)),
        _ => Err(USAGE.into()),
    }
}

struct Options<'a> {
    once: bool,
    json: bool,
    show: fn(bool) -> Result<demo::Show, Error>,
    names: Vec<&'a str>,
}

impl<'a> Options<'a> {
    fn read(mut words: &[&'a str]) -> Result<Self, Error> {
        let mut options = Self { once: false, json: false, show: demo::wasm, names: Vec::new() };
        loop {
            words = match words {
                [] => return Ok(options),
                ["--once", rest @ ..] => {
                    options.once = true;
                    rest
                }
                ["--jvm", rest @ ..] => {
                    options.show = demo::jvm;
                    rest
                }
                ["--node", rest @ ..] => {
                    options.show = demo::node;
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

/// Builds the binaries and the agent for JVMs, which is a library, with all that modules need.
fn prepare() -> Result<(), Error> {
    ensure_target()?;
    command("cargo", &["build", "--release", "--locked", "--workspace", "--lib", "--bins"], &[])
}

/// Adds the target for modules to the toolchain where it is missing.
fn ensure_target() -> Result<(), Error> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).stderr(Stdio::inherit()).output();
    if installed.is_ok_and(|installed| !String::from_utf8_lossy(&installed.stdout).lines().any(|target| target == WASM_TARGET)) {
        command("rustup", &["target", "add", WASM_TARGET], &[])?;
    }
    Ok(())
}

/// A kind of base that needs something of the machine, and why it cannot be tested here.
struct LeftOut {
    /// How its test files begin.
    prefix: &'static str,
    why: Error,
}

fn test(require_all: bool) -> Result<(), Error> {
    let kinds = [("jvm", lacking_for_jvm()), ("node", harness::node::installed())];
    let left_out: Vec<LeftOut> = kinds.into_iter().filter_map(|(prefix, lacking)| Some(LeftOut { prefix, why: lacking.err()? })).collect();
    if require_all && let Some(LeftOut { why, .. }) = left_out.first() {
        return Err(why.to_string().into());
    }
    command("cargo", &["fmt", "--all", "--check"], &[])?;
    command("cargo", &["fmt", "--all", "--check", "--manifest-path", "examples/Cargo.toml"], &[])?;
    ensure_target()?;
    // Tests, binaries and benches in one build: what they share is compiled once.
    command("cargo", &["build", "--release", "--locked", "--workspace", "--all-targets"], &[])?;
    ensure_postgres()?;
    ensure_kubectl()?;
    if left_out.is_empty() {
        command("cargo", &["test", "--workspace", "--release", "--locked", "--no-fail-fast"], &[])?;
    } else {
        test_without(&left_out)?;
    }
    command("cargo", &["test", "--workspace", "--locked", "--manifest-path", "examples/Cargo.toml"], &[])?;
    command("cargo", &["clippy", "--workspace", "--all-targets", "--release", "--locked", "--", "-D", "warnings"], &[])?;
    command(
        "cargo",
        &["clippy", "--workspace", "--release", "--locked", "--manifest-path", "examples/Cargo.toml", "--", "-D", "warnings"],
        &[],
    )?;
    command("cargo", &["doc", "--workspace", "--no-deps", "--release", "--locked", "--quiet"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    deny()?;
    for LeftOut { prefix, why } in left_out {
        eprintln!("xtask: all is well, but what concerns bases of the kind {prefix} was left out: {why}");
    }
    Ok(())
}

/// What tests on JVMs need: a JDK, and Maven for the sample applications.
fn lacking_for_jvm() -> Result<(), Error> {
    harness::jvm::Jdk::current()?;
    let maven = Command::new("mvn").arg("-version").output();
    maven.map(drop).map_err(|error| format!("there is no Maven (`mvn`): {error}").into())
}

/// The controller keeps its resources in one, and a sample application has one.
fn ensure_postgres() -> Result<(), Error> {
    if harness::postgres::is_installed() {
        return Ok(());
    }
    debian("postgresql", "there is no PostgreSQL")
}

/// The controller's API is tried with it.
fn ensure_kubectl() -> Result<(), Error> {
    let there = Command::new("kubectl").args(["version", "--client"]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    debian("kubernetes-client", "there is no kubectl")
}

/// Installs a package of Debian's, where we may.
fn debian(package: &str, lacking: &str) -> Result<(), Error> {
    if !harness::postgres::is_root() {
        return Err(format!("{lacking}; install the package `{package}`").into());
    }
    command("apt-get", &["update", "-q"], &[])?;
    command("apt-get", &["install", "-y", "-q", "--no-install-recommends", package], &[("DEBIAN_FRONTEND", "noninteractive")])
}

/// All tests but those whose file says that they need what is not there.
fn test_without(left_out: &[LeftOut]) -> Result<(), Error> {
    let mut arguments = vec!["test", "--workspace", "--release", "--locked", "--no-fail-fast", "--lib", "--bins", "--examples"];
    let mut names = Vec::new();
    for member in std::fs::read_dir(harness::root())? {
        for file in std::fs::read_dir(member?.path().join("tests")).into_iter().flatten() {
            let path = file?.path();
            let is_test = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
            if let Some(name) = path.file_stem().and_then(|name| name.to_str())
                && is_test
                && !left_out.iter().any(|kind| name.starts_with(kind.prefix))
            {
                names.push(name.to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    arguments.extend(names.iter().flat_map(|name| ["--test", name.as_str()]));
    command("cargo", &arguments, &[])?;
    command("cargo", &["test", "--workspace", "--release", "--locked", "--doc"], &[])
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
