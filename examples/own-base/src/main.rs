//! An ordinary axum server that becomes a base by a few lines: its own routes stay its own, and every other path is a module's.
//!
//! It also gives its modules something that only it has: `own-base:greeting/words`, which knows how a name is greeted.
//! Try it: `own-base DATA-DIR 127.0.0.1:8000 127.0.0.1:1238`, then `arkctl --base 127.0.0.1:1238 deploy examples/greeter`,
//! and ask <http://127.0.0.1:8000/greeter/ada>.

#![forbid(unsafe_code)]

use std::{error::Error, net::SocketAddr, path::PathBuf, sync::Arc};

use arklet::{Agent, http};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: own-base DATA-DIR LISTEN API-LISTEN");
    let (data, listen, api) = (PathBuf::from(next()?), next()?, next()?.parse::<SocketAddr>()?);

    // What makes it a base: an agent, its API, and what it had before it was last stopped.
    let agent = Agent::builder(data).wasm(|wasm| wasm.host(greetings)).build()?;
    let api = http::serve(http::router(Arc::clone(&agent), http::Access::default()), api, None, CancellationToken::new()).await?;
    for module in agent.bring_up(Vec::new()).await {
        eprintln!("{} did not come up: {}", module.what, module.failure);
    }

    // What it was before.
    let app = Router::new().route("/", get(|| async { "an ordinary axum server\n" })).fallback(modules).with_state(Arc::clone(&agent));
    let listener = tokio::net::TcpListener::bind(listen).await?;
    agent.set_gateway_address(listener.local_addr()?);
    println!("api={api} gateway={}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// Every path that is not the server's own is a module's.
async fn modules(State(agent): State<Arc<Agent>>, request: Request) -> Response {
    agent.gateway.call(request.map(|body| body.map_err(Into::into).boxed_unsync())).await.map(Body::new)
}

/// The capability: `word-for: func(name: string) -> string`.
fn greetings(linker: &mut arklet::wasm::wasmtime::component::Linker<arklet::wasm::Host>) -> arklet::wasm::wasmtime::Result<()> {
    linker.instance("own-base:greeting/words")?.func_wrap("word-for", |store, (name,): (String,)| {
        let host: &arklet::wasm::Host = store.data();
        Ok((format!("well met, {name}, says the base to {}", host.module().name()),))
    })
}
