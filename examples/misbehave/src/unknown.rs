//! An import that no base provides: installing this component has to be refused, with the import's name.

use http::StatusCode;
use support::reply;

use crate::Exchange;

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package sample:misbehave;
            world unprovided { import nobody:provides/this@1.0.0; }
            package nobody:provides@1.0.0 { interface this { answer: func() -> u32; } }
        ",
        generate_all,
    });
}

pub(crate) fn call(exchange: Exchange) -> Option<()> {
    let answer = bindings::nobody::provides::this::answer();
    exchange.answer(reply::text(StatusCode::OK, format!("{answer}\n")));
    Some(())
}
