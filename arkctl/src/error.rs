//! Why a command did not do what it was asked: one type, with its exit code and the next thing to try.

use std::{io, path::PathBuf};

use ark_jvm::LayoutError;
use ark_model::{Failure, ModuleId, Reason, api::LogLine};
use serde::Serialize;

use crate::project::Kind;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(String),
    /// The configuration file cannot be used.
    #[error("the configuration file {} cannot be used: {problem}", path.display())]
    Config {
        /// Which.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// Several bases run here, and nobody said which.
    #[error("several bases run on this machine: {}", .0.join(", "))]
    ManyBases(Vec<String>),
    /// The scan found nothing.
    #[error("no base found on 127.0.0.1, ports 1238 to 1337")]
    NoBase,
    /// Nothing answers there.
    #[error("no base answers at {url}: {problem}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        problem: String,
    },
    /// No controller answers there.
    #[error("no controller answers at {url}: {problem}")]
    NoController {
        /// Where.
        url: String,
        /// Why.
        problem: String,
    },
    /// A controller said no.
    #[error("{}", .0.message)]
    Api(Box<ApiRefusal>),
    /// A document that was to be sent to a controller is none.
    #[error("{place}: {problem}")]
    Document {
        /// Which one.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A rollout came to something else than it was to.
    #[error("{message}")]
    Rollout {
        /// Of what.
        deployment: String,
        /// What it came to, in one word.
        reason: &'static str,
        /// And in a sentence.
        message: String,
    },
    /// It was waited for long enough.
    #[error("{what} is not done after {after}: {last}")]
    TimedOut {
        /// For what.
        what: String,
        /// How long.
        after: String,
        /// What was seen last.
        last: String,
    },
    /// Something answers, but not as a base does, or it broke off.
    #[error("{what} failed: {problem}")]
    Protocol {
        /// The request.
        what: String,
        /// What was wrong.
        problem: String,
    },
    /// The base said no.
    #[error("{}", .0.failure)]
    Refused(Box<Refusal>),
    /// The base runs no modules of this kind.
    #[error("the base {base} runs no {} modules, only {}", kind.name(), runs.join(", "))]
    WrongKind {
        /// Which base.
        base: String,
        /// The kinds it runs.
        runs: Vec<String>,
        /// The kind that was to run.
        kind: Kind,
    },
    /// A build tool did not succeed.
    #[error("{problem}")]
    Build {
        /// What.
        problem: String,
        /// What it said, as far as that helps; nothing where it spoke for itself.
        said: Vec<String>,
        /// What to do.
        hint: Option<String>,
    },
    /// A package or its manifest is wrong.
    #[error("{}: {problem}", path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A jar cannot be a module; it says which, why, and what to do.
    #[error(transparent)]
    Jar(Box<LayoutError>),
    /// A file could not be read or written.
    #[error("could not {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The system refused something else.
    #[error("could not {doing}: {problem}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        problem: String,
    },
    /// The result has said it already.
    #[error("the result says it")]
    Told,
    /// Whoever read standard output has gone, as `head` does.
    #[error("standard output is closed")]
    OutputClosed,
}

/// A base's no, with the evidence.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// What it said.
    pub(crate) failure: Failure,
    /// The module it is about.
    pub(crate) module: Option<ModuleId>,
    /// The last that module wrote.
    pub(crate) logs: Vec<LogLine>,
}

/// A controller's no.
#[derive(Debug, Default)]
pub(crate) struct ApiRefusal {
    /// The status of HTTP; 0 where there was none.
    pub(crate) code: u16,
    /// One word.
    pub(crate) reason: String,
    /// A sentence.
    pub(crate) message: String,
    /// The fields that are to blame.
    pub(crate) causes: Vec<Cause>,
    /// Whether one resource is meant, by its name.
    pub(crate) is_about_one: bool,
    /// What to try next.
    pub(crate) hint: Option<String>,
}

/// A field that is to blame.
#[derive(Debug, Serialize)]
pub(crate) struct Cause {
    /// Its path.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) message: String,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Refused(Box::new(Refusal { failure, module: None, logs: Vec::new() }))
    }
}

impl Error {
    /// The same error, said to be about `module`, so that its hint can name it.
    pub(crate) fn about(mut self, module: &ModuleId) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.module.get_or_insert_with(|| module.clone());
        }
        self
    }

    /// The process's exit code: 1 failed, 2 wrongly asked, 3 no base or controller.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Usage(_) | Self::Config { .. } | Self::ManyBases(_) => 2,
            Self::NoBase | Self::Unreachable { .. } | Self::NoController { .. } => 3,
            Self::Protocol { .. }
            | Self::Refused(_)
            | Self::WrongKind { .. }
            | Self::Build { .. }
            | Self::Package { .. }
            | Self::Jar(_)
            | Self::File { .. }
            | Self::System { .. }
            | Self::Api(_)
            | Self::Document { .. }
            | Self::Rollout { .. }
            | Self::TimedOut { .. }
            | Self::Told => 1,
        }
    }

    /// One word for programs: the base's or the controller's own reason where it gave one.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Usage(_) => "Usage",
            Self::Config { .. } => "ConfigInvalid",
            Self::ManyBases(_) => "BaseAmbiguous",
            Self::NoBase | Self::Unreachable { .. } => "BaseUnreachable",
            Self::NoController { .. } => "ControllerUnreachable",
            Self::Api(refusal) => &refusal.reason,
            Self::Document { .. } => "DocumentInvalid",
            Self::Rollout { reason, .. } => reason,
            Self::TimedOut { .. } => "TimedOut",
            Self::Protocol { .. } => "ProtocolError",
            Self::Refused(refusal) => refusal.failure.reason.as_str(),
            Self::Build { .. } => "BuildFailed",
            Self::WrongKind { .. } | Self::Package { .. } | Self::Jar(_) => "PackageInvalid",
            Self::File { .. } | Self::System { .. } => "SystemError",
            Self::Told | Self::OutputClosed => "",
        }
    }

    /// What to try next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::ManyBases(_) => Some("say which by --base <url>, or by ARKCTL_BASE".to_owned()),
            Self::NoBase => {
                Some("start one by `arklet`, or for Java by `arkctl base run <base.jar>`; or name one by --base <url>".to_owned())
            }
            Self::Unreachable { .. } => {
                Some("start a base there by `arklet`, or for Java by `arkctl base run <base.jar>`; or name another by --base".to_owned())
            }
            Self::WrongKind { kind: Kind::Wasm, .. } => Some("start a base for it by `arklet`, or name another by --base".to_owned()),
            Self::WrongKind { kind: Kind::Jvm, .. } => {
                Some("make an application a base for it by `arkctl base run <base.jar>`, or name another by --base".to_owned())
            }
            Self::WrongKind { kind: Kind::Node, .. } => Some("start a base for it by `nodejslet`, or name another by --base".to_owned()),
            Self::Protocol { .. } => Some("`arkctl version` says who answers there; `arkctl status` what is installed".to_owned()),
            Self::NoController { .. } => {
                Some("start one by `module-controller`, or name another by --controller or --kubeconfig".to_owned())
            }
            Self::Api(refusal) => refusal.hint.clone(),
            Self::Rollout { deployment, .. } => {
                Some(format!("`arkctl explain {deployment}` says why, `arkctl rollout history {deployment}` what it can return to"))
            }
            Self::TimedOut { .. } => Some("it goes on; ask again, or for longer by --timeout".to_owned()),
            Self::Refused(refusal) => for_reason(refusal.failure.reason, refusal.module.as_ref()),
            Self::Build { hint, .. } | Self::Package { hint, .. } => hint.clone(),
            Self::Usage(_)
            | Self::Config { .. }
            | Self::Jar(_)
            | Self::File { .. }
            | Self::System { .. }
            | Self::Document { .. }
            | Self::Told
            | Self::OutputClosed => None,
        }
    }
}

/// What to try after a base gave this reason.
fn for_reason(reason: Reason, module: Option<&ModuleId>) -> Option<String> {
    let id = module.map_or("<name:version>".to_owned(), ToString::to_string);
    let name = module.map_or("<name>", ModuleId::name);
    Some(match reason {
        Reason::FetchFailed => "the base itself fetches the URL: see that it can reach it, or deploy the file instead".to_owned(),
        Reason::PackageTooLarge => {
            "make it smaller (for a crate: `opt-level = \"s\"`, `lto` and `strip` in [profile.release]), or raise the base's --max-package"
                .to_owned()
        }
        Reason::DigestMismatch => "build or fetch the package again: its bytes are not the expected ones".to_owned(),
        Reason::SignatureInvalid => {
            "sign it by `minisign -S -m <file>` with a key the base knows, and deploy with --signature <file>.minisig".to_owned()
        }
        Reason::PackageInvalid => "make the package by `arkctl build`".to_owned(),
        Reason::ImportUnknown => "use only interfaces the base offers: WASI 0.2, wasi:http and wasi:config".to_owned(),
        Reason::IdentityMismatch => "leave --name and --version out, or give those of the package".to_owned(),
        Reason::AlreadyInstalled => format!("deploy it as another version by --version, or remove it first by `arkctl undeploy {id}`"),
        Reason::ContextPathTaken => "`arkctl routes` shows who answers there; deploy it elsewhere by --context-path".to_owned(),
        Reason::Conflict => format!("wait until it ends, or end it by `arkctl cancel {name}`"),
        Reason::OrderStale => "its controller has decided anew meanwhile: order by that".to_owned(),
        Reason::BudgetExceeded => "`arkctl status` shows what is installed; remove what nobody needs by `arkctl undeploy`".to_owned(),
        Reason::DiskFull => "free space in the base's data directory and try again".to_owned(),
        Reason::CompileFailed | Reason::StartFailed | Reason::StartTimedOut | Reason::ProbeFailed => {
            format!("`arkctl logs {id}` shows what it wrote, `arkctl inspect {id}` how far it came")
        }
        Reason::NotInstalled => "`arkctl status` lists what is installed".to_owned(),
        Reason::IllegalState | Reason::Draining => format!("`arkctl inspect {id}` shows its state"),
        Reason::Unauthorized => "give the base's token by --token or ARKCTL_TOKEN".to_owned(),
        Reason::Internal => "the base's own log says more".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_module_it_is_about() {
        let id = ModuleId::new("orders", "1.0.0").unwrap();
        let error = Error::from(Failure::new(Reason::Conflict, "busy")).about(&id);
        assert_eq!(error.hint().unwrap(), "wait until it ends, or end it by `arkctl cancel orders`");
        assert_eq!((error.exit_code(), error.reason()), (1, "Conflict"));
    }
}
