//! What a package says of itself: names, routes, limits and the capabilities it asks for.
//!
//! The same keys stand in `[package.metadata.ark]` of a module's `Cargo.toml`, in the custom section
//! that `arkctl build` writes into the component, and in what `arkctl inspect` shows. All are optional.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Metadata of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Manifest {
    /// The module's name. Without it, the install request has to give one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The module's version, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Where the module answers; `/<name>` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_path: Option<String>,
    /// The hosts it answers for; any host when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Start order when a base comes up: smaller first, 100 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// A path inside the module that has to answer with a status below 400 before it gets traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_path: Option<String>,
    /// How many requests one instance may serve, one after the other. 1, a fresh instance for each
    /// request, when absent. State of an instance survives between its requests only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reuse: Option<u32>,
    /// Bounds that differ from the base's defaults.
    #[serde(skip_serializing_if = "LimitOverrides::is_empty")]
    pub limits: LimitOverrides,
    /// Capabilities; everything not granted is denied.
    #[serde(skip_serializing_if = "Grants::is_empty")]
    pub grants: Grants,
}

/// The priority of a module that names none.
pub const DEFAULT_PRIORITY: i32 = 100;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $default:expr, max $max:expr;)*) => {
        /// Bounds of one module, all resolved.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "kebab-case")]
        pub struct Limits { $($(#[$doc])* pub $name: u64,)* }

        /// Bounds as a manifest or an install order gives them: absent means the default.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct LimitOverrides {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<u64>,)*
        }

        impl Default for Limits {
            fn default() -> Self { Self { $($name: $default,)* } }
        }

        impl Limits {
            /// These limits with `overrides` in place of what they name, each held between 1 and its maximum.
            #[must_use]
            pub fn with(self, overrides: &LimitOverrides) -> Self {
                Self { $($name: overrides.$name.unwrap_or(self.$name).clamp(1, $max),)* }
            }
        }

        impl LimitOverrides {
            /// Whether nothing is overridden.
            #[must_use]
            pub fn is_empty(&self) -> bool { true $(&& self.$name.is_none())* }
        }
    };
}

const MIB: u64 = 1 << 20;

limits! {
    /// Linear memory of one instance, in bytes. Default 64 MiB.
    memory_bytes: 64 * MIB, max 1024 * MIB;
    /// Requests served at the same time. Default 128.
    concurrency: 128, max 10_000;
    /// Requests that may wait for one of those places. Default 256.
    queue: 256, max 100_000;
    /// The longest wait in that queue, in milliseconds. Default 1 s.
    queue_wait_ms: 1_000, max 600_000;
    /// From a request's arrival to its response head, and the longest pause in its bodies, in milliseconds. Default 30 s.
    request_deadline_ms: 30_000, max 3_600_000;
    /// From the begin of start to the end of probe, in milliseconds. Default 10 s.
    start_deadline_ms: 10_000, max 3_600_000;
    /// How long requests may go on after traffic moved away, in milliseconds. Default 30 s.
    drain_deadline_ms: 30_000, max 3_600_000;
    /// Body of a request, in bytes. Default 10 MiB.
    request_body_bytes: 10 * MIB, max 1 << 40;
    /// Body of a response, in bytes. Default 1 GiB.
    response_body_bytes: 1024 * MIB, max 1 << 40;
    /// One line of the module's log, in bytes; the rest of a longer line is dropped. Default 8 KiB.
    log_line_bytes: 8 << 10, max 1 << 20;
    /// Lines of log in a second; further ones are counted and dropped. Default 1,000.
    log_lines_per_second: 1_000, max 1_000_000;
}

/// Capabilities of a module. The empty value grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Grants {
    /// Hosts that outgoing HTTP may reach: `host`, `host:port`, or `*.domain`; `*` is every host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outgoing_hosts: Vec<String>,
    /// What `wasi:config` answers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Directories of the base that the module sees. Only an install order can grant one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<DirectoryGrant>,
}

impl Grants {
    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Both together; where both name a key, `other` has it.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.outgoing_hosts.extend(other.outgoing_hosts.iter().cloned());
        self.config.extend(other.config.clone());
        self.env.extend(other.env.clone());
        self.directories.extend(other.directories.iter().cloned());
        self
    }
}

/// A directory that a module may open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectoryGrant {
    /// Its path on the base.
    pub host: String,
    /// The path by which the module knows it.
    pub guest: String,
    /// Whether the module may also write there.
    #[serde(default)]
    pub writable: bool,
}

impl Manifest {
    /// The context path of a module called `name`: begins with `/`, has no `/` at its end, and is `/` itself
    /// for a module at the root.
    ///
    /// # Errors
    /// [`InvalidContextPath`] for a path with empty, `.` or `..` segments, or characters a path cannot have.
    pub fn context_path_of(&self, name: &str) -> Result<String, InvalidContextPath> {
        normalised(self.context_path.as_deref().unwrap_or(name))
    }
}

/// A context path that no request could reach, or that could be read in two ways.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("context path {0:?} is not a plain absolute path; use letters, digits and - . _ ~ between single slashes")]
pub struct InvalidContextPath(pub String);

fn normalised(path: &str) -> Result<String, InvalidContextPath> {
    let inner = path.trim_matches('/');
    if inner.is_empty() {
        return Ok("/".to_owned());
    }
    let plain =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+".contains(&b));
    if inner.len() <= 1024 && inner.split('/').all(plain) {
        Ok(format!("/{inner}"))
    } else {
        Err(InvalidContextPath(path.chars().take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Result<String, InvalidContextPath> {
        Manifest { context_path: Some(path.to_owned()), ..Manifest::default() }.context_path_of("name")
    }

    #[test]
    fn a_context_path_is_the_name_unless_the_manifest_says_another() {
        assert_eq!(Manifest::default().context_path_of("orders").unwrap(), "/orders");
        assert_eq!(at("shop/orders/").unwrap(), "/shop/orders");
        assert_eq!(at("/").unwrap(), "/");
        assert_eq!(at("").unwrap(), "/");
    }

    #[test]
    fn a_context_path_that_reads_in_two_ways_is_refused() {
        for bad in ["a//b", "a/../b", "./a", "a b", "a%2fb", "a?b", "ä"] {
            assert!(at(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_limit_outside_its_range_is_held_inside_it() {
        let overrides = LimitOverrides { memory_bytes: Some(u64::MAX), concurrency: Some(0), ..LimitOverrides::default() };
        let limits = Limits::default().with(&overrides);
        assert_eq!((limits.memory_bytes, limits.concurrency), (1024 * MIB, 1));
        assert_eq!(limits.queue, Limits::default().queue);
    }
}
