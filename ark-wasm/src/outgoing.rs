//! Outgoing HTTP of a module: only to hosts it was granted.

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

/// The hosts a module may call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowed(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    /// Every name below this one; the name itself not.
    Below(String),
    Exactly(String),
}

impl Allowed {
    /// Reads the grants of a module: `host`, `host:port`, `*.domain`, or `*`.
    pub(crate) fn new(grants: &[String]) -> Self {
        Self(grants.iter().map(|grant| Pattern::new(&grant.to_ascii_lowercase())).collect())
    }

    pub(crate) fn allows(&self, uri: &http::Uri) -> bool {
        let Some(host) = uri.host() else { return false };
        let host = host.to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if uri.scheme() == Some(&http::uri::Scheme::HTTP) { 80 } else { 443 });
        self.0.iter().any(|pattern| pattern.host.matches(&host) && pattern.port.is_none_or(|granted| granted == port))
    }
}

impl Pattern {
    fn new(grant: &str) -> Self {
        let (host, port) = match grant.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
            _ => (grant, None),
        };
        let host = match host.strip_prefix("*.") {
            Some(domain) => Host::Below(format!(".{domain}")),
            None if host == "*" => Host::Any,
            None => Host::Exactly(host.to_owned()),
        };
        Self { host, port }
    }
}

impl Host {
    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
            Self::Exactly(exactly) => host == exactly,
        }
    }
}

/// Holds each outgoing request against the module's grants.
pub(crate) struct Hooks {
    pub(crate) allowed: std::sync::Arc<Allowed>,
}

type Finished = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Box<dyn Future<Output = Result<(http::Response<WasiBody>, Finished), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(&mut self, request: http::Request<WasiBody>, options: Option<RequestOptions>, _: Finished) -> Sent {
        if !self.allowed.allows(request.uri()) {
            return Box::new(std::future::ready(Err(Error::HttpRequestDenied)));
        }
        Box::new(async move {
            let (response, io) = default_send_request(request, options).await?;
            Ok((response.map(http_body_util::BodyExt::boxed_unsync), Box::new(io) as Finished))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(grants: &[&str], uri: &str) -> bool {
        Allowed::new(&grants.iter().map(|grant| (*grant).to_owned()).collect::<Vec<_>>()).allows(&uri.parse().unwrap())
    }

    #[test]
    fn nothing_granted_is_nothing_allowed() {
        assert!(!allows(&[], "http://127.0.0.1/"));
    }

    #[test]
    fn a_host_is_granted_on_every_port_and_a_port_only_itself() {
        assert!(allows(&["db.local"], "http://DB.local:9000/x"));
        assert!(allows(&["db.local:443"], "https://db.local/"));
        assert!(allows(&["db.local:80"], "http://db.local/"));
        assert!(!allows(&["db.local:80"], "http://db.local:8080/"));
    }

    #[test]
    fn a_wildcard_reaches_below_its_domain_only() {
        assert!(allows(&["*.example.com"], "https://a.b.example.com/"));
        assert!(!allows(&["*.example.com"], "https://example.com/"));
        assert!(!allows(&["*.example.com"], "https://evilexample.com/"));
        assert!(!allows(&["example.com"], "https://example.com.evil.net/"));
        assert!(allows(&["*"], "https://anything/"));
    }

    #[test]
    fn a_user_part_does_not_pass_for_the_host() {
        assert!(!allows(&["good.com"], "http://good.com@evil.net/"));
    }

    #[test]
    fn an_address_of_version_six_is_a_host() {
        assert!(allows(&["[::1]"], "http://[::1]:80/"));
        assert!(allows(&["[::1]:8080"], "http://[::1]:8080/"));
        assert!(!allows(&["[::1]:8080"], "http://[::1]/"));
    }
}
