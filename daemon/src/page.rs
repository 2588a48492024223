//! What tells a web page from a caller. No browser may be talked into calling an API that wants no token: neither by a page's
//! script, nor by a name that leads to this machine.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// Whether a web page may be behind a request with these headers.
#[must_use]
pub fn may_have_sent(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || names_another_host(headers)
}

/// A name with a dot that is not this machine: what a page of that name would send after its name was made to lead here.
fn names_another_host(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let name = host.rsplit_once(':').filter(|(name, _)| !name.contains(':') || name.ends_with(']')).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.contains('.') && bare.parse::<IpAddr>().is_err() && !bare.ends_with(".localhost")
}
