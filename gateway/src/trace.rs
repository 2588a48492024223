//! What is told of a sampled request once its answer has ended, to whoever observes. The client says by `traceparent` whether it is
//! sampled; a request without one begins a trace of its own.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ark_model::ModuleId;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::forward::{TRACE_PARENT, random};

/// Whoever wants to know of requests that have ended. Called on the thread that served, which must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A sampled request has ended.
    fn ended(&self, request: Request);
}

/// Where a span belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace; never zero.
    pub trace: u128,
    /// The span above; zero where there is none.
    pub span: u64,
}

impl Parent {
    /// What `traceparent` says, or the begin of a new trace where there is none. None where it is not sampled.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let given = headers.get(TRACE_PARENT).and_then(|value| value.to_str().ok()).and_then(read);
        match given {
            Some((parent, sampled)) => sampled.then_some(parent),
            None => Some(Self { trace: random() | 1, span: 0 }),
        }
    }
}

fn read(text: &str) -> Option<(Parent, bool)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let parent = Parent { trace: u128::from_str_radix(trace, 16).ok()?, span: u64::from_str_radix(span, 16).ok()? };
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    (parent.trace != 0 && parent.span != 0).then_some((parent, sampled))
}

/// An identity for a span; never zero.
#[must_use]
pub fn new_span() -> u64 {
    random() as u64 | 1
}

/// A sampled request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where it belongs.
    pub parent: Parent,
    /// Its own span, which the module sees as its parent.
    pub span: u64,
    /// Who answered it.
    pub module: Arc<ModuleId>,
    /// How it was asked.
    pub method: Method,
    /// What it asked for, without the query.
    pub path: String,
    /// When it came.
    pub began: SystemTime,
    /// How long it took, to the end of its answer.
    pub took: Duration,
    /// The status of its answer.
    pub status: StatusCode,
}

/// A sampled request that has not ended yet.
pub(crate) struct Observed {
    observer: Arc<dyn Observer>,
    request: Request,
}

impl Observed {
    /// Makes the span of `request` the parent of what its module does; none where it is not sampled.
    pub(crate) fn begin<B>(observer: &Arc<dyn Observer>, request: &mut http::Request<B>, module: &Arc<ModuleId>) -> Option<Box<Self>> {
        let (parent, span) = (Parent::of(request.headers())?, new_span());
        let header = HeaderValue::try_from(format!("00-{:032x}-{span:016x}-01", parent.trace)).ok()?;
        request.headers_mut().insert(TRACE_PARENT, header);
        let request = Request {
            parent,
            span,
            module: Arc::clone(module),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            began: SystemTime::now(),
            took: Duration::ZERO,
            status: StatusCode::OK,
        };
        Some(Box::new(Self { observer: Arc::clone(observer), request }))
    }

    pub(crate) fn end(self, status: StatusCode, took: Duration) {
        self.observer.ended(Request { status, took, ..self.request });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_trace_parent_is_one() {
        let right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(read(right), Some((Parent { trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, span: 0xb7ad_6b71_6920_3331 }, true)));
        assert!(!read(&right.replace("-01", "-00")).unwrap().1);
        for wrong in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-x-y-z",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
