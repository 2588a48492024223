//! Parameters of a request's query.

use std::borrow::Cow;

use http::Uri;

/// The first value of `name` in the query of `uri`, decoded; `None` when it is not there.
#[must_use]
pub fn first<'a>(uri: &'a Uri, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(uri.query()?.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The first value of `name` as a number; `default` when it is not there or is none.
#[must_use]
pub fn number(uri: &Uri, name: &str, default: u64) -> u64 {
    first(uri, name).and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_decoded() {
        let uri = Uri::from_static("/page?title=a%20b+c&title=second");
        assert_eq!(first(&uri, "title").unwrap(), "a b c");
    }

    #[test]
    fn a_number_that_is_none_is_its_default() {
        let uri = Uri::from_static("/slow?ms=soon");
        assert_eq!((number(&uri, "ms", 7), number(&uri, "chunks", 3)), (7, 3));
    }
}
