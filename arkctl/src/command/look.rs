//! The commands that only look.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::resolve;
use crate::{
    client::Client,
    error::Error,
    output::{self, Format},
    render,
};

const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) fn status(format: Format, client: &Client) -> Result<(), Error> {
    let modules = client.modules()?;
    output::data(format, &json!({"modules": modules}), || render::modules(&modules));
    Ok(())
}

pub(super) fn inspect(format: Format, client: &Client, module: &str) -> Result<(), Error> {
    let view = client.module(&resolve(client, module)?)?;
    output::data(format, &view, || render::module(&view));
    Ok(())
}

pub(super) fn routes(format: Format, client: &Client) -> Result<(), Error> {
    let routes = client.routes()?;
    output::data(format, &routes, || render::routes(&routes));
    Ok(())
}

pub(super) fn verdicts(format: Format, client: &Client) -> Result<(), Error> {
    let verdicts = client.verdicts()?;
    output::data(format, &verdicts, || {
        let line = |retired: &ark_model::api::Retired| format!("{}  {}", output::clock(retired.at), render::retired(retired));
        verdicts.verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

pub(super) fn health(format: Format, client: &Client) -> Result<(), Error> {
    let (base, health) = (client.base()?, client.health()?);
    output::data(format, &json!({"base": base, "health": health}), || {
        let cpu = |key: &str| health.pointer(&format!("/cpu/{key}")).and_then(Value::as_f64).unwrap_or_default();
        let modules = health.get("bizListInfo").and_then(Value::as_array).map_or(0, |list| list.len().saturating_sub(1));
        format!(
            "{}  processor   {:.0} % user, {:.0} % system\n  modules     {modules}",
            render::base(&base),
            cpu("user used (%)"),
            cpu("system used (%)")
        )
    });
    Ok(())
}

pub(super) fn version(format: Format, client: Option<&Client>) -> Result<(), Error> {
    let base = client.and_then(|client| client.base().ok()).map(|base| base.arklet_version);
    output::data(format, &json!({"arkctl": env!("CARGO_PKG_VERSION"), "arklet": base}), || {
        let base = base.as_deref().map_or_else(|| "no base found".to_owned(), |version| format!("arklet {version}"));
        format!("arkctl {}, {base}", env!("CARGO_PKG_VERSION"))
    });
    Ok(())
}

/// Two looks give the rates; a terminal goes on until Ctrl-C.
pub(super) fn top(format: Format, client: &Client, once: bool) -> Result<(), Error> {
    let live = !once && format == Format::Table && std::io::stdout().is_terminal();
    let (mut before, mut at) = (client.modules()?, Instant::now());
    loop {
        std::thread::sleep(LOOK_EVERY);
        let now = client.modules()?;
        let seconds = at.elapsed().as_secs_f64();
        at = Instant::now();
        if live {
            // Home, and clear: the table stands still.
            let _ = write!(anstream::stdout(), "\x1b[H\x1b[2J");
        }
        let rate = |module: &ark_model::api::ModuleView| {
            let earlier =
                before.iter().find(|earlier| earlier.id == module.id).map_or(module.traffic.requests, |earlier| earlier.traffic.requests);
            module.traffic.requests.saturating_sub(earlier) as f64 / seconds
        };
        let rates: Vec<Value> =
            now.iter().map(|module| json!({"module": module.id, "requestsPerSecond": rate(module), "traffic": module.traffic})).collect();
        output::data(format, &json!({"modules": rates}), || render::top(&before, &now, seconds));
        if !live {
            return Ok(());
        }
        before = now;
    }
}
