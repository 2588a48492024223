//! What changes in a request's head on its way in, and in an answer's on its way out.

use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{self, Entry},
    uri::PathAndQuery,
};

use crate::instance::Instance;

/// The id of a request, among its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub Arc<str>);

/// Who sent a request and how, among its extensions. Absent for one made in this process.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
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

/// Makes `request` one that `instance` can answer.
pub(crate) fn inward<B>(request: &mut http::Request<B>, instance: &Instance, strip: bool) -> RequestId {
    let peer = request.extensions().get::<Peer>().copied();
    let host = request.headers().get(header::HOST).cloned();
    if strip
        && let Some(prefix) = &instance.prefix
        && let Some(uri) = without_prefix(request.uri(), instance.target.context_path.len())
    {
        *request.uri_mut() = uri;
        request.headers_mut().insert(FORWARDED_PREFIX, prefix.clone());
    } else {
        request.headers_mut().remove(FORWARDED_PREFIX);
    }
    let headers = request.headers_mut();
    hop_by_hop(headers);
    if let Some(peer) = peer {
        forwarded_for(headers, peer.address);
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(if peer.tls { "https" } else { "http" }));
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
    }
    if !headers.contains_key(TRACE_PARENT)
        && let Ok(parent) = HeaderValue::from_str(&format!("00-{:032x}-{:016x}-01", random(), random() as u64 | 1))
    {
        headers.insert(TRACE_PARENT, parent);
    }
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID);
    let id: Arc<str> = match given {
        Some(id) if id.bytes().all(|byte| byte.is_ascii_graphic()) => id.into(),
        _ => {
            let id = format!("{:032x}", random());
            if let Ok(value) = HeaderValue::from_str(&id) {
                headers.insert(REQUEST_ID, value);
            }
            id.into()
        }
    };
    let id = RequestId(id);
    request.extensions_mut().insert(id.clone());
    id
}

/// Makes a module's answer one for its client.
pub(crate) fn outward(headers: &mut HeaderMap, id: &RequestId) {
    hop_by_hop(headers);
    if let Entry::Vacant(vacant) = headers.entry(REQUEST_ID)
        && let Ok(value) = HeaderValue::from_str(&id.0)
    {
        vacant.insert(value);
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
    if let Some(connection) = headers.remove(header::CONNECTION) {
        for name in connection.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    for name in [header::TE, header::TRANSFER_ENCODING, header::UPGRADE, header::PROXY_AUTHORIZATION, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
}

fn forwarded_for(headers: &mut HeaderMap, peer: SocketAddr) {
    let value = match headers.get(FORWARDED_FOR).and_then(|before| before.to_str().ok()) {
        Some(before) => format!("{before}, {}", peer.ip()),
        None => peer.ip().to_string(),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// Unlike any other in this process, and very likely in any. It tells requests apart and keeps no secret.
pub(crate) fn random() -> u128 {
    thread_local! {
        static KEYS: (RandomState, RandomState) = (RandomState::new(), RandomState::new());
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.get();
    COUNT.set(count.wrapping_add(1));
    KEYS.with(|(high, low)| u128::from(high.hash_one(count)) << 64 | u128::from(low.hash_one(count)))
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
        let mut headers: HeaderMap = [("connection", "close, X-Secret"), ("x-secret", "1"), ("te", "trailers"), ("x-kept", "1")]
            .into_iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect();
        hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }

    #[test]
    fn no_two_requests_get_the_same_id() {
        let ids: std::collections::HashSet<u128> = (0..10_000).map(|_| random()).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
