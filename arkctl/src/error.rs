//! What can go wrong, what to do about it, and the exit code that says so.

use std::{io, path::PathBuf};

use ark_model::{Failure, Reason, api::LogLine};

/// The command did what it was asked.
pub(crate) const OK: u8 = 0;
/// It did not.
pub(crate) const FAILED: u8 = 1;
/// There is no base to ask.
pub(crate) const NO_BASE: u8 = 3;

/// An outcome that is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Refused(Failure),
    #[error("{failure}")]
    Deploy { failure: Failure, module: String, log: Vec<LogLine> },
    #[error("no base answers at {url}: {problem}")]
    Unreachable { url: String, problem: String },
    #[error("no base was found on 127.0.0.1, ports 1238 to 1337")]
    NoneFound,
    #[error("several bases were found: {}", .0.join(", "))]
    Several(Vec<String>),
    #[error("the base at {url} answered what cannot be read: {problem}")]
    Answer { url: String, problem: String },
    #[error("could not {what} {path}: {error}", path = .path.display())]
    Io { what: &'static str, path: PathBuf, error: io::Error },
    #[error("{0}")]
    Project(String),
    #[error("{0}")]
    Usage(String),
}

impl Error {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { what, path, error }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::NoneFound => NO_BASE,
            Self::Usage(_) | Self::Several(_) => 2,
            Self::Refused(_) | Self::Deploy { .. } | Self::Answer { .. } | Self::Io { .. } | Self::Project(_) => FAILED,
        }
    }

    /// What to do next, where that is known.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(failure) => hint_of(failure.reason, None),
            Self::Deploy { failure, module, .. } => hint_of(failure.reason, Some(module)),
            Self::Unreachable { .. } | Self::NoneFound => Some("start one with `arklet`, or name another with --base".to_owned()),
            Self::Several(bases) => bases.first().map(|base| format!("choose one with --base {base}")),
            Self::Answer { .. } | Self::Io { .. } | Self::Project(_) | Self::Usage(_) => None,
        }
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(failure) | Self::Deploy { failure, .. } => Some(failure.reason),
            _ => None,
        }
    }
}

fn hint_of(reason: Reason, module: Option<&str>) -> Option<String> {
    let hint = match reason {
        Reason::AlreadyInstalled => "raise the version in Cargo.toml, or remove the old one with `arkctl undeploy`".to_owned(),
        Reason::Conflict => "see what is under way with `arkctl status`, or give it up with `arkctl cancel`".to_owned(),
        Reason::Unauthorized => "give the token with --token or ARKCTL_TOKEN".to_owned(),
        Reason::NotInstalled => "see what is there with `arkctl status`".to_owned(),
        Reason::ContextPathTaken => "see who answers where with `arkctl routes`".to_owned(),
        Reason::StartFailed | Reason::StartTimedOut | Reason::ProbeFailed | Reason::CompileFailed | Reason::ImportUnknown => {
            format!("see more with `arkctl inspect {}`", module.unwrap_or("<name:version>"))
        }
        _ => return None,
    };
    Some(hint)
}
