//! A package comes to serve: upload, install, and what came of it.

use std::{io, time::Instant};

use ark_model::{
    InstallOrder, ModuleId, State, Timing,
    api::{self, ModuleView, PackageView, Progress, Retired},
};
use serde::Serialize;

use crate::{
    build::Built,
    client::Client,
    error::Error,
    humanise,
    order::Options,
    output::Output,
    package::{self, read, sha256},
    progress::Live,
    style,
    table::{Table, cell, figure},
};

/// How much of a failed module's log is shown.
const LOG_TAIL: usize = 20;

/// What is to serve.
pub(crate) enum Package {
    /// It was built just now.
    Built(Box<Built>),
    /// A file from elsewhere.
    File(package::File),
    /// Something that the base fetches itself.
    Url(String),
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shipped {
    /// The module, as the base sees it.
    pub(crate) module: ModuleView,
    /// Where it answers.
    pub(crate) url: String,
    /// The steps, here and at the base.
    pub(crate) timings: Vec<Step>,
    /// From the order to the first request it could answer, in milliseconds.
    pub(crate) serving_ms: f64,
    /// The versions it took over from.
    pub(crate) retired: Vec<Retired>,
}

/// A step and its time in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    step: String,
    ms: f64,
}

impl Step {
    fn of(timing: &Timing) -> Self {
        Self { step: timing.step.to_string(), ms: timing.ms }
    }
}

/// What is ready for an install.
#[derive(Debug, Serialize)]
pub(crate) struct Prepared {
    /// What the base says of it.
    module: api::Prepared,
    /// The steps, here and at the base.
    timings: Vec<Step>,
}

/// Brings `package` to the base at which `client` asks, as `name` and `version` where they are given. Answers with the order to install it, and
/// adds the steps of that to `timings`.
fn bring(
    client: &Client,
    package: Package,
    (name, version): (Option<&str>, Option<&str>),
    options: &Options,
    output: Output,
    timings: &mut Vec<Step>,
) -> Result<InstallOrder, Error> {
    Ok(match package {
        Package::Url(url) => options.order(&url, identity(name, version)?)?,
        Package::File(file) => {
            let bytes = read(&file.path)?;
            let manifest = file.manifest(&bytes)?;
            let id = identity(name.or(manifest.name.as_deref()), version.or(manifest.version.as_deref()))?;
            uploaded(client, &bytes, id, options, output, timings)?
        }
        Package::Built(built) => {
            timings.push(Step { step: "build".to_owned(), ms: built.ms });
            uploaded(client, &read(&built.path)?, identity(Some(&built.name), Some(&built.version))?, options, output, timings)?
        }
    })
}

/// Brings `package` to a base, as [`bring`] does, and has it prepared.
pub(crate) fn prepare(
    client: &Client,
    package: Package,
    identity: (Option<&str>, Option<&str>),
    options: &Options,
    output: Output,
) -> Result<Prepared, Error> {
    let mut timings = Vec::new();
    let order = bring(client, package, identity, options, output, &mut timings)?;
    let prepared = {
        let _live = Live::spinner(output, "prepare");
        client.prepare(&order)?
    };
    timings.extend(prepared.timings.iter().map(Step::of));
    Ok(Prepared { module: prepared, timings })
}

/// Brings `package` to a base, as [`bring`] does, and waits until it serves and the old versions are gone.
///
/// # Errors
/// A refusal comes with the last lines of the module's log.
pub(crate) fn ship(
    client: &Client,
    package: Package,
    identity: (Option<&str>, Option<&str>),
    options: &Options,
    output: Output,
) -> Result<Shipped, Error> {
    let mut timings = Vec::new();
    let order = bring(client, package, identity, options, output, &mut timings)?;
    let gateway = client.base()?.gateway;
    let begun = Instant::now();
    let mut serving_ms = None;
    let installed = {
        let live = Live::spinner(output, "install");
        client.install(&order, |event| match event {
            Progress::Begun { step } => live.say(&format!("install: {step}")),
            Progress::Ended(timing) => output.detail(&format!("{} {}", timing.step, humanise::ms(timing.ms))),
            Progress::Serving { module } => {
                serving_ms.get_or_insert(begun.elapsed().as_secs_f64() * 1e3);
                live.say(&format!("{} serves; the old version drains", module.id));
            }
            Progress::Retired(retired) => live.say(&format!("{} is gone", retired.id)),
            Progress::Done(_) | Progress::Failed { .. } => {}
        })
    };
    let installed = installed.map_err(|error| with_evidence(client, &order, error))?;
    timings.extend(installed.timings.iter().map(Step::of));
    Ok(Shipped {
        url: format!("{gateway}{}", installed.module.context_path),
        serving_ms: serving_ms.unwrap_or_else(|| begun.elapsed().as_secs_f64() * 1e3),
        module: installed.module,
        timings,
        retired: installed.retired,
    })
}

/// Both parts or none make an identity.
fn identity(name: Option<&str>, version: Option<&str>) -> Result<Option<ModuleId>, Error> {
    match (name, version) {
        (Some(name), Some(version)) => {
            let wrong = |error| Error::Usage(format!("{error}; give another by --name or --version"));
            ModuleId::new(name, version).map(Some).map_err(wrong)
        }
        (None, None) => Ok(None),
        _ => Err(Error::Usage("a package that does not say both needs --name and --version".to_owned())),
    }
}

fn uploaded(
    client: &Client,
    bytes: &[u8],
    id: Option<ModuleId>,
    options: &Options,
    output: Output,
    timings: &mut Vec<Step>,
) -> Result<InstallOrder, Error> {
    let begun = Instant::now();
    let PackageView { sha256: stored, .. } = {
        let live = Live::bar(output, "upload", bytes.len() as u64);
        client.upload(&mut live.count(io::Cursor::new(bytes)), bytes.len() as u64)?
    };
    timings.push(Step { step: "upload".to_owned(), ms: begun.elapsed().as_secs_f64() * 1e3 });
    let mut order = options.order(&format!("sha256:{stored}"), id)?;
    order.sha256.get_or_insert_with(|| sha256(bytes));
    Ok(order)
}

/// The same refusal, with the module's name and the last it wrote, where it came so far as to write.
fn with_evidence(client: &Client, order: &InstallOrder, error: Error) -> Error {
    let Error::Refused(mut refusal) = error else { return error };
    // Without an identity in the order, the module is the one whose failure this is.
    let broken = || {
        let modules = client.modules().unwrap_or_default();
        modules.into_iter().find(|module| module.failure.as_ref() == Some(&refusal.failure)).map(|module| module.id)
    };
    refusal.module = order.id.clone().or_else(broken);
    // Only what reached its start has written anything in this install; a log of before would mislead.
    let started = refusal.failure.step.is_some_and(|step| step >= ark_model::Step::Start);
    if let (true, Some(id)) = (started, &refusal.module) {
        // Without its log the failure is still worth telling.
        refusal.logs = client.log_tail(id, LOG_TAIL).unwrap_or_default();
    }
    Error::Refused(refusal)
}

fn steps(timings: &[Step]) -> String {
    let mut table = Table::new(&[]);
    for step in timings {
        table.row([cell(&step.step), figure(humanise::ms(step.ms))]);
    }
    table.render()
}

/// What is ready, for people.
pub(crate) fn render_prepared(prepared: &Prepared) -> String {
    let id = &prepared.module.id;
    format!("{}{} {id}; `arkctl deploy` of the same package starts it\n", steps(&prepared.timings), style::paint(style::GOOD, "prepared"))
}

/// What came of it, for people.
pub(crate) fn render(shipped: &Shipped) -> String {
    let mut text = steps(&shipped.timings);
    for retired in &shipped.retired {
        text.push_str(&crate::command::undeploy::render(retired));
    }
    let id = &shipped.module.id;
    match shipped.module.state {
        State::Activated => {
            let after = humanise::ms(shipped.serving_ms);
            text.push_str(&format!(
                "{} {id} after {after}, at {}\n",
                style::paint(style::GOOD, "serving"),
                style::paint(style::REFERENCE, &shipped.url)
            ));
        }
        state => text.push_str(&format!("{} {id}; `arkctl switch {id}` gives it the traffic\n", style::paint(style::state(state), state))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        support::{Answer, FakeBase, base_json, installed_json, module_json},
        table::plain,
    };
    use ark_model::{Reason, Step as At};

    fn quiet() -> Output {
        Output::silent()
    }

    fn client(base: &FakeBase) -> Client {
        Client::new(&crate::config::Base { url: base.url(), token: None }).unwrap()
    }

    fn file() -> (tempfile::TempDir, Package) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.wasm");
        std::fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
        (directory, Package::File(package::File { kind: crate::project::Kind::Wasm, path }))
    }

    #[test]
    fn a_file_is_uploaded_and_installed_by_its_digest() {
        let base = FakeBase::start(|request| match request.line() {
            "PUT /v1/packages" => Answer::json(200, r#"{"sha256":"stored","size":8}"#),
            "GET /v1/base" => Answer::json(200, &base_json()),
            _ => {
                let order: InstallOrder = serde_json::from_slice(&request.body).unwrap();
                assert_eq!((order.url.as_str(), order.sha256.unwrap()), ("sha256:stored", sha256(b"\0asm\x0d\0\x01\0")));
                assert_eq!(order.id.unwrap().to_string(), "orders:1.0.0");
                let done = format!("{{\"event\":\"done\",{}", installed_json("1.0.0").strip_prefix('{').unwrap());
                Answer::events(&[&done])
            }
        });
        let (_directory, package) = file();
        let shipped = ship(&client(&base), package, (Some("orders"), Some("1.0.0")), &Options::default(), quiet()).unwrap();
        assert_eq!(shipped.url, "http://127.0.0.1:8080/orders");
        let steps: Vec<_> = shipped.timings.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(steps, ["upload", "fetch", "prepare", "start"]);
    }

    #[test]
    fn a_refusal_after_start_comes_with_the_log_of_its_module() {
        let failed = r#"{"event":"failed","error":{"reason":"ProbeFailed","message":"503","step":"probe"}}"#;
        let base = FakeBase::start(move |request| match request.line() {
            "GET /v1/base" => Answer::json(200, &base_json()),
            "POST /v1/modules" => Answer::events(&[failed]),
            "GET /v1/modules" => {
                let broken = module_json("2.0.0", "broken").replacen(
                    '{',
                    r#"{"failure":{"reason":"ProbeFailed","message":"503","step":"probe"},"#,
                    1,
                );
                Answer::json(200, &format!(r#"{{"modules":[{},{broken}]}}"#, module_json("1.0.0", "activated")))
            }
            "GET /v1/modules/orders/2.0.0/logs?tail=20" => Answer::json(200, "{\"at\":1,\"stream\":\"stderr\",\"text\":\"no db\"}\n"),
            other => panic!("{other}"),
        });
        let error =
            ship(&client(&base), Package::Url("http://x/a.wasm".to_owned()), (None, None), &Options::default(), quiet()).unwrap_err();
        let Error::Refused(refusal) = error else { panic!("{error:?}") };
        assert_eq!((refusal.failure.reason, refusal.failure.step), (Reason::ProbeFailed, Some(At::Probe)));
        assert_eq!(refusal.module.unwrap().to_string(), "orders:2.0.0");
        assert_eq!(refusal.logs[0].text, "no db");
    }

    #[test]
    fn a_name_without_a_version_is_wrong_usage() {
        assert_eq!(identity(Some("a"), None).unwrap_err().exit_code(), 2);
    }

    fn shipped(state: &str) -> Shipped {
        let installed: api::Installed = serde_json::from_str(&installed_json("1.0.0")).unwrap();
        Shipped {
            module: serde_json::from_str(&module_json("1.0.0", state)).unwrap(),
            url: "http://127.0.0.1:8080/orders".to_owned(),
            timings: vec![Step { step: "build".to_owned(), ms: 1234.5 }, Step { step: "fetch".to_owned(), ms: 1.5 }],
            serving_ms: 43.21,
            retired: installed.retired,
        }
    }

    #[test]
    fn people_see_the_steps_and_where_it_serves() {
        insta::assert_snapshot!(plain(&render(&shipped("activated"))), @"
        build  1,235 ms
        fetch   1.50 ms
        removed orders:0.9.0 (drain 3.50 ms, stop 0.20 ms)
          unloaded
          gave back compiled code: 5.3 MiB
        serving orders:1.0.0 after 43.2 ms, at http://127.0.0.1:8080/orders
        ");
    }

    #[test]
    fn people_see_what_was_prepared() {
        let module = api::Prepared {
            id: ModuleId::new("orders", "1.0.0").unwrap(),
            kind: "jvm".to_owned(),
            sha256: String::new(),
            package_bytes: 8,
            timings: Vec::new(),
        };
        let prepared = Prepared { module, timings: vec![Step { step: "prepare".to_owned(), ms: 276.5 }] };
        insta::assert_snapshot!(plain(&render_prepared(&prepared)), @"
        prepare  276.5 ms
        prepared orders:1.0.0; `arkctl deploy` of the same package starts it
        ");
    }

    #[test]
    fn people_see_that_a_kept_version_waits() {
        insta::assert_snapshot!(plain(&render(&shipped("deactivated"))), @"
        build  1,235 ms
        fetch   1.50 ms
        removed orders:0.9.0 (drain 3.50 ms, stop 0.20 ms)
          unloaded
          gave back compiled code: 5.3 MiB
        deactivated orders:1.0.0; `arkctl switch orders:1.0.0` gives it the traffic
        ");
    }
}
