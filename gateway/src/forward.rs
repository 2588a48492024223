//! What changes in a request's head on its way in, and in an answer's on its way out.

use std::net::SocketAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{self, Entry},
    uri::PathAndQuery,
};

/// The id of a request: what its client gave it, or one unlike any other. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// An id that is known beforehand.
    #[must_use]
    pub const fn from_static(id: &'static str) -> Self {
        Self(HeaderValue::from_static(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Who sent a request and how.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client's address, as `X-Forwarded-For` says it.
    address: HeaderValue,
    tls: bool,
}

impl Peer {
    /// A client at `address`.
    #[must_use]
    pub fn new(address: SocketAddr, tls: bool) -> Self {
        let text = HeaderValue::try_from(address.ip().to_string());
        Self { address: text.unwrap_or(HeaderValue::from_static("unknown")), tls }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// The longest id that is passed on as it came.
const MAX_REQUEST_ID: usize = 128;

/// Makes `request` one that whoever is behind can answer, without the context path `prefix` where it is to be taken off.
pub(crate) fn inward<B>(request: &mut http::Request<B>, peer: Option<&Peer>, prefix: Option<&HeaderValue>) -> RequestId {
    if let Some(prefix) = prefix
        && let Some(uri) = without_prefix(request.uri(), prefix.len())
    {
        *request.uri_mut() = uri;
        request.headers_mut().insert(FORWARDED_PREFIX, prefix.clone());
    } else {
        request.headers_mut().remove(FORWARDED_PREFIX);
    }
    let headers = request.headers_mut();
    // The one coding that is the client's own to want: whoever answers has to know that it takes trailers.
    let takes_trailers = headers.get(header::TE).is_some_and(|value| has_token(value, "trailers"));
    hop_by_hop(headers);
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(peer) = peer {
        forwarded_for(headers, &peer.address);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if peer.tls { "https" } else { "http" }));
        if let Some(host) = headers.get(header::HOST).cloned() {
            headers.insert(FORWARDED_HOST, host);
        }
    }
    if let Entry::Vacant(vacant) = headers.entry(TRACE_PARENT) {
        let mut parent = *b"00-00000000000000000000000000000000-0000000000000000-01";
        let (_, rest) = parent.split_at_mut(3);
        let (trace, rest) = rest.split_at_mut(32);
        let (_, rest) = rest.split_at_mut(1);
        let (span, _) = rest.split_at_mut(16);
        hex(trace, random());
        hex(span, random() | 1);
        if let Ok(parent) = HeaderValue::from_bytes(&parent) {
            vacant.insert(parent);
        }
    }
    let given = headers.get(REQUEST_ID).filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID);
    match given {
        Some(id) if id.as_bytes().iter().all(u8::is_ascii_graphic) => RequestId(id.clone()),
        _ => {
            let mut id = [0; 32];
            hex(&mut id, random());
            let id = HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("none"));
            headers.insert(REQUEST_ID, id.clone());
            RequestId(id)
        }
    }
}

/// Makes a module's answer one for its client.
pub(crate) fn outward(headers: &mut HeaderMap, id: &RequestId) {
    hop_by_hop(headers);
    if let Entry::Vacant(vacant) = headers.entry(REQUEST_ID) {
        vacant.insert(id.0.clone());
    }
}

fn without_prefix(uri: &Uri, prefix: usize) -> Option<Uri> {
    let whole = uri.path_and_query()?.as_str();
    let rest = whole.get(prefix..)?;
    let path = if rest.starts_with('/') { PathAndQuery::try_from(rest) } else { PathAndQuery::try_from(format!("/{rest}")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.ok()?);
    Uri::from_parts(parts).ok()
}

/// Headers that are about one connection only, and those that `Connection` names.
fn hop_by_hop(headers: &mut HeaderMap) {
    // Nearly all say no more than whether the connection is kept.
    let named: Vec<HeaderValue> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter(|value| !["keep-alive", "close"].contains(&value.to_str().unwrap_or_default()))
        .cloned()
        .collect();
    for name in named.iter().flat_map(tokens) {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
    for name in [header::TE, header::TRANSFER_ENCODING, header::UPGRADE, header::PROXY_AUTHORIZATION, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
}

/// What a header lists.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

/// Whether a header lists `token`.
pub(crate) fn has_token(value: &HeaderValue, token: &str) -> bool {
    tokens(value).any(|listed| listed.eq_ignore_ascii_case(token))
}

fn forwarded_for(headers: &mut HeaderMap, peer: &HeaderValue) {
    let value = match headers.get(FORWARDED_FOR) {
        Some(before) => HeaderValue::from_bytes(&[before.as_bytes(), b", ", peer.as_bytes()].concat()),
        None => Ok(peer.clone()),
    };
    if let Ok(value) = value {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Unlike any other, very likely. It tells requests apart and keeps no secret.
pub(crate) fn random() -> u128 {
    fastrand::u128(..)
}

/// Fills `text` with the last digits of `number`.
fn hex(text: &mut [u8], number: u128) {
    for (place, digit) in text.iter_mut().rev().enumerate() {
        let nibble = (number >> (4 * place)) as u8 & 15;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_goes_and_everything_else_of_the_target_stays() {
        for (uri, rest) in
            [("/a", "/"), ("/a/", "/"), ("/a?x=1", "/?x=1"), ("/a/b%2Fc?d=%20", "/b%2Fc?d=%20"), ("http://h/a/b", "http://h/b")]
        {
            assert_eq!(without_prefix(&uri.parse().unwrap(), 2).unwrap().to_string(), rest, "{uri}");
        }
    }

    #[test]
    fn what_connection_names_goes_with_it() {
        let sent = [
            ("connection", "close, X-Secret"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("te", "gzip"),
            ("x-kept", "1"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name, HeaderValue::from_static(value));
        }
        hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }

    #[test]
    fn no_two_requests_get_the_same_id() {
        let ids: std::collections::HashSet<u128> = (0..10_000).map(|_| random()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn a_number_is_written_with_all_its_digits() {
        let mut text = [0; 32];
        hex(&mut text, 0x0123_4567_89ab_cdef_0000_0000_0000_00ff);
        assert_eq!(&text, b"0123456789abcdef00000000000000ff");
    }
}
