//! Why something did not happen: one word per outcome, the same on the wire, in metrics and in the CLI.

use serde::{Deserialize, Serialize};

/// One word per failed outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum Reason {
    /// The request itself makes no sense.
    InvalidRequest,
    /// The package could not be fetched.
    FetchFailed,
    /// The package is larger than the base accepts.
    PackageTooLarge,
    /// The package's sha-256 is not the one that was asked for.
    DigestMismatch,
    /// The package has no valid signature of a required key.
    SignatureInvalid,
    /// The bytes are not a package of a kind that this base runs.
    PackageInvalid,
    /// The package needs something that this base does not offer.
    ImportUnknown,
    /// The package is another module than the request says.
    IdentityMismatch,
    /// This identity is installed already.
    AlreadyInstalled,
    /// Another module answers at this context path.
    ContextPathTaken,
    /// Another operation on this module's name is under way.
    Conflict,
    /// The order is older than one that the base has seen on this name.
    OrderStale,
    /// The base is at a bound of its own.
    BudgetExceeded,
    /// The JVM has no room for the module's classes.
    MetaspaceFull,
    /// The data directory's file system is full.
    DiskFull,
    /// The module's code could not be compiled.
    CompileFailed,
    /// Start failed.
    StartFailed,
    /// Start or probe took longer than its deadline.
    StartTimedOut,
    /// The module started but did not answer its probe with success.
    ProbeFailed,
    /// Somebody cancelled the operation.
    Cancelled,
    /// There is no such module here.
    NotInstalled,
    /// The module's state does not allow this.
    IllegalState,
    /// The module did not answer in time.
    RequestTimedOut,
    /// The module trapped, exited or broke off while it answered.
    ModuleFailed,
    /// More requests than the module's bounds allow.
    QueueFull,
    /// The module is going; it takes no new requests.
    Draining,
    /// No module answers at this path.
    NoRoute,
    /// A body is larger than the module's bounds allow.
    BodyTooLarge,
    /// The caller did not show the right token or certificate.
    Unauthorized,
    /// The base failed, not the module; its log says more.
    Internal,
}

impl Reason {
    /// The word itself, in PascalCase, as condition reasons are written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "InvalidRequest",
            Self::FetchFailed => "FetchFailed",
            Self::PackageTooLarge => "PackageTooLarge",
            Self::DigestMismatch => "DigestMismatch",
            Self::SignatureInvalid => "SignatureInvalid",
            Self::PackageInvalid => "PackageInvalid",
            Self::ImportUnknown => "ImportUnknown",
            Self::IdentityMismatch => "IdentityMismatch",
            Self::AlreadyInstalled => "AlreadyInstalled",
            Self::ContextPathTaken => "ContextPathTaken",
            Self::Conflict => "Conflict",
            Self::OrderStale => "OrderStale",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::MetaspaceFull => "MetaspaceFull",
            Self::DiskFull => "DiskFull",
            Self::CompileFailed => "CompileFailed",
            Self::StartFailed => "StartFailed",
            Self::StartTimedOut => "StartTimedOut",
            Self::ProbeFailed => "ProbeFailed",
            Self::Cancelled => "Cancelled",
            Self::NotInstalled => "NotInstalled",
            Self::IllegalState => "IllegalState",
            Self::RequestTimedOut => "RequestTimedOut",
            Self::ModuleFailed => "ModuleFailed",
            Self::QueueFull => "QueueFull",
            Self::Draining => "Draining",
            Self::NoRoute => "NoRoute",
            Self::BodyTooLarge => "BodyTooLarge",
            Self::Unauthorized => "Unauthorized",
            Self::Internal => "Internal",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
