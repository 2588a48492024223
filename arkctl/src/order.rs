//! From the options of an install to the order that a base is given.

use std::path::PathBuf;

use ark_model::{Activation, DirectoryGrant, Grants, InstallOrder, LimitOverrides, ModuleId};
use clap::ValueEnum;

use crate::{error::Error, package};

/// How a module is installed.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Install options")]
pub(crate) struct Options {
    /// Where it answers, in place of what the package says; /NAME where neither says.
    #[arg(long, value_name = "PATH")]
    context_path: Option<String>,
    /// Which version gets the traffic; the base's default where nobody says.
    #[arg(long, value_enum, value_name = "POLICY")]
    activation: Option<Policy>,
    /// The share of traffic under `together`, relative to the other versions.
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
    /// An environment variable of the module; again for each.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// A setting: what wasi:config answers, or a property of a Java application; again for each.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,
    /// An argument of the module, e.g. `--arg=--debug`; again for each.
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    arg: Vec<String>,
    /// A host the module may call: `host`, `host:port`, `*.domain`, or `*`; again for each.
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// A directory of the base that the module may read, or also write with `:rw`; again for each.
    #[arg(long, value_name = "HOST:GUEST[:rw]", value_parser = directory)]
    dir: Vec<DirectoryGrant>,
    /// A bound in place of the manifest's, e.g. `memory-bytes=33554432`; again for each.
    #[arg(long, value_name = "KEY=VALUE", value_parser = limit)]
    limit: Vec<(String, u64)>,
    /// A setting of its kind of module, e.g. `share=set` or `web=join` for one on the JVM; again for each.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    option: Vec<(String, String)>,
    /// How long the install may take: `500ms`, `60s`, `2m`; the base's default where nobody says.
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    deadline: Option<u64>,
    /// A file with a minisign signature of the package.
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The sha-256 the package has to have; that of the uploaded bytes where nobody says.
    #[arg(long, value_name = "HEX")]
    pub(crate) sha256: Option<String>,
}

/// Which version gets the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// The new version takes over; the old ones drain and go.
    Switch,
    /// The new version waits until `arkctl switch`.
    Keep,
    /// All versions get traffic, by weight.
    Together,
}

impl Options {
    /// The order to install the package at `url`, as `id` where it is known.
    ///
    /// # Errors
    /// A signature that cannot be read.
    pub(crate) fn order(&self, url: &str, id: Option<ModuleId>) -> Result<InstallOrder, Error> {
        let read = |path: &PathBuf| package::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(InstallOrder {
            id,
            url: url.to_owned(),
            sha256: self.sha256.clone(),
            signature: self.signature.as_ref().map(read).transpose()?,
            activation: self.activation.map(|policy| match policy {
                Policy::Switch => Activation::Switch,
                Policy::Keep => Activation::Keep,
                Policy::Together => Activation::Together,
            }),
            weight: self.weight,
            context_path: self.context_path.clone(),
            args: self.arg.clone(),
            grants: Grants {
                outgoing_hosts: self.allow_host.clone(),
                config: self.config.iter().cloned().collect(),
                env: self.env.iter().cloned().collect(),
                directories: self.dir.clone(),
            },
            limits: limits(self.limit.iter().cloned()).map_err(Error::Usage)?,
            options: self.option.iter().cloned().collect(),
            mark: None,
            replace: false,
            deadline_ms: self.deadline,
        })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as <key>=<value>".to_owned()),
    }
}

fn directory(text: &str) -> Result<DirectoryGrant, String> {
    let (text, writable) = text.strip_suffix(":rw").map_or((text, false), |text| (text, true));
    // From its end: a path of the base may have a colon in it, as on Windows.
    match text.rsplit_once(':') {
        Some((host, guest)) if !host.is_empty() && !guest.is_empty() => {
            Ok(DirectoryGrant { host: host.to_owned(), guest: guest.to_owned(), writable })
        }
        _ => Err("write it as <path on the base>:<path in the module>, with :rw to let it write".to_owned()),
    }
}

fn limit(text: &str) -> Result<(String, u64), String> {
    let (key, value) = pair(text)?;
    let value = value.parse().map_err(|_| format!("{value:?} is no whole number"))?;
    limits([(key.clone(), value)])?;
    Ok((key, value))
}

fn limits(pairs: impl IntoIterator<Item = (String, u64)>) -> Result<LimitOverrides, String> {
    let members: serde_json::Map<_, _> = pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
    serde_json::from_value(members.into()).map_err(|error| error.to_string())
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.strip_prefix(digits) {
        Some("ms") => 1,
        Some("s") => 1_000,
        Some("m" | "min") => 60_000,
        Some("h") => 3_600_000,
        _ => return Err("write a whole number with its unit: ms, s, m or h".to_owned()),
    };
    let value: u64 = digits.parse().map_err(|_| format!("{digits:?} is no whole number"))?;
    value.checked_mul(factor).filter(|ms| *ms > 0).ok_or_else(|| "it is out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn order(line: &str) -> Result<InstallOrder, String> {
        let line = Line::try_parse_from(std::iter::once("x").chain(line.split(' '))).map_err(|error| error.to_string())?;
        line.options.order("file:///x", None).map_err(|error| error.to_string())
    }

    #[test]
    fn options_become_an_order() {
        let order = order(
            "--context-path /shop --activation together --weight 5 --env A=b=c --config k= --allow-host *.example.com --dir C:\\data:/d:rw --dir /e:/e \
             --limit memory-bytes=1048576 --limit queue=7 --deadline 2m",
        )
        .unwrap();
        assert_eq!(order.context_path.as_deref(), Some("/shop"));
        assert_eq!((order.activation, order.weight, order.deadline_ms), (Some(Activation::Together), Some(5), Some(120_000)));
        assert_eq!((order.grants.env["A"].as_str(), order.grants.config["k"].as_str()), ("b=c", ""));
        assert_eq!(order.grants.outgoing_hosts, ["*.example.com"]);
        let directories: Vec<_> = order.grants.directories.iter().map(|d| (d.host.as_str(), d.guest.as_str(), d.writable)).collect();
        assert_eq!(directories, [("C:\\data", "/d", true), ("/e", "/e", false)]);
        assert_eq!((order.limits.memory_bytes, order.limits.queue), (Some(1 << 20), Some(7)));
    }

    #[test]
    fn a_wrong_option_is_told_how_it_is_written() {
        let told = |line: &str| order(line).unwrap_err();
        assert!(told("--env A").contains("<key>=<value>"));
        assert!(told("--dir /x").contains("<path on the base>"));
        assert!(told("--limit memory=1").contains("memory-bytes"));
        assert!(told("--limit queue=many").contains("no whole number"));
        for time in ["60", "s", "1.5s", "0s", "99999999999999999999h", "18446744073709551615h"] {
            assert!(order(&format!("--deadline {time}")).is_err(), "{time}");
        }
    }
}
