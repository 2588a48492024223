//! Greets by the words of its base: it imports `own-base:greeting/words`, which only the base in `examples/own-base` offers.
//! Any other base refuses it, and names what is missing.

#[cfg(target_family = "wasm")]
mod module {
    use wasip2::{
        exports::http::incoming_handler::Guest,
        http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
    };

    wit_bindgen::generate!({
        inline: "
            package own-base:greeting;

            interface words {
                /// How a name is greeted here.
                word-for: func(name: string) -> string;
            }

            world greeter {
                import words;
            }
        ",
        world: "greeter",
    });

    struct Module;

    impl Guest for Module {
        fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
            let path = request.path_with_query().unwrap_or_default();
            let text = own_base::greeting::words::word_for(path.trim_start_matches('/')) + "\n";
            let headers = Fields::new();
            // Neither header can be refused: both are well formed.
            let _ = headers.set("content-type", &[b"text/plain".to_vec()]);
            let _ = headers.set("content-length", &[text.len().to_string().into_bytes()]);
            let response = OutgoingResponse::new(headers);
            let Ok(body) = response.body() else { return };
            ResponseOutparam::set(outparam, Ok(response));
            if let Ok(stream) = body.write() {
                // Fails where the client has gone, and then nobody reads it.
                let _ = stream.blocking_write_and_flush(text.as_bytes());
            }
            let _ = OutgoingBody::finish(body, None);
        }
    }

    wasip2::http::proxy::export!(Module);
}
