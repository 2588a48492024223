//! Who may use the API: anybody on this machine unless told otherwise, then only who shows a token or a certificate.

use std::sync::Arc;

use ark_model::{Failure, Reason};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Refusal;
use crate::commands;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Look.
    Read,
    /// Look and change.
    Write,
}

/// Who may do what.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Shown as `Authorization: Bearer …`, allows everything.
    pub token: Option<String>,
    /// Likewise, allows to look.
    pub read_token: Option<String>,
    /// Whether the connection itself has proven who calls, by a client certificate. That is enough where no token is set.
    pub certified: bool,
}

impl Access {
    /// Whether callers have to prove anything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.token.is_none() && self.read_token.is_none() && !self.certified
    }

    fn decide(&self, needed: Rights, headers: &HeaderMap) -> Result<(), Failure> {
        let refused = |message: &str| Err(Failure::new(Reason::Unauthorized, message));
        if self.certified && self.token.is_none() && self.read_token.is_none() {
            return Ok(());
        }
        if self.is_open() {
            // No browser may be talked into calling a base on its own machine: neither by a page's script, nor by a name that leads here.
            return if daemon::page::may_have_sent(headers) {
                refused("a web page may not call this base; set a token to allow it")
            } else {
                Ok(())
            };
        }
        let shown =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
        let Some(shown) = shown else {
            return refused("this base wants a token: send `Authorization: Bearer …`, or set ARKCTL_TOKEN");
        };
        let is = |token: &Option<String>| token.as_deref().is_some_and(|token| same(token, shown));
        if is(&self.token) {
            return Ok(());
        }
        match (is(&self.read_token), needed) {
            (true, Rights::Read) => Ok(()),
            (true, Rights::Write) => refused("this token only allows to look"),
            (false, _) => refused("this token is not the base's"),
        }
    }
}

/// Compares in a time that tells nothing of where they differ, nor of their lengths.
fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a).ct_eq(&Sha256::digest(b)).into()
}

/// A name with a dot that is not this machine: what a page of that name would send after its name was made to lead here.
fn needed(method: &Method, path: &str) -> Rights {
    let reads = *method == Method::GET || *method == Method::HEAD || commands::known(path.trim_start_matches('/')) == Some(true);
    if reads { Rights::Read } else { Rights::Write }
}

pub(super) async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.decide(needed(request.method(), request.uri().path()), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => Refusal(failure).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn bearer(token: &str) -> HeaderMap {
        headers(&[(header::AUTHORIZATION, &format!("Bearer {token}"))])
    }

    #[test]
    fn a_token_is_wanted_where_there_is_one_and_a_read_token_only_reads() {
        let access = Access { token: Some("w".to_owned()), read_token: Some("r".to_owned()), certified: false };
        let allows = |rights, headers: &HeaderMap| access.decide(rights, headers).is_ok();
        assert!(allows(Rights::Write, &bearer("w")));
        assert!(allows(Rights::Read, &bearer("r")));
        assert!(!allows(Rights::Write, &bearer("r")));
        assert!(!allows(Rights::Read, &bearer("x")));
        assert!(!allows(Rights::Read, &HeaderMap::new()));
    }

    #[test]
    fn a_certificate_does_not_stand_in_for_a_token_that_is_set() {
        let certified = Access { certified: true, ..Access::default() };
        assert!(certified.decide(Rights::Write, &HeaderMap::new()).is_ok());
        let both = Access { read_token: Some("r".to_owned()), token: Some("w".to_owned()), certified: true };
        assert!(both.decide(Rights::Read, &HeaderMap::new()).is_err());
        assert!(both.decide(Rights::Write, &bearer("r")).is_err());
        assert!(both.decide(Rights::Write, &bearer("w")).is_ok());
    }

    #[test]
    fn a_web_page_cannot_call_an_open_base() {
        let access = Access::default();
        assert!(access.decide(Rights::Write, &headers(&[(header::ORIGIN, "http://evil.example")])).is_err());
        assert!(access.decide(Rights::Read, &headers(&[(header::HOST, "evil.example:1238")])).is_err());
        for host in ["127.0.0.1:1238", "localhost:1238", "[::1]:1238", "base", "a.localhost:1"] {
            assert!(access.decide(Rights::Write, &headers(&[(header::HOST, host)])).is_ok(), "{host}");
        }
    }

    #[test]
    fn queries_of_the_wire_only_read() {
        assert_eq!(needed(&Method::POST, "/queryAllBiz"), Rights::Read);
        assert_eq!(needed(&Method::POST, "/installBiz"), Rights::Write);
        assert_eq!(needed(&Method::PUT, "/v1/packages"), Rights::Write);
    }
}
