//! What stands behind `-agentpath:…=`, in the words of the arklet binary.

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use ark_jvm::options::Options as OfModules;
use arklet::options::{self, Options};

/// How long a layer stays after its last module: the next version of that module comes soon, or not at all.
const KEEP: Duration = Duration::from_secs(60);

/// What the agent is to do.
pub(crate) struct Wanted {
    pub(crate) options: Options,
    /// What holds for modules whose order does not say.
    pub(crate) of_modules: OfModules,
    /// How long libraries stay after the last module that has them.
    pub(crate) keep: Duration,
    /// Whether a new layer's classes are loaded before they are asked for.
    pub(crate) ahead: bool,
}

/// Reads `listen=127.0.0.1:1238,gateway=…`; what is not given comes from `ARKLET_…` in the environment.
///
/// # Errors
/// A text for whoever wrote the option.
pub(crate) fn read(text: &str) -> Result<Wanted, String> {
    let mut arguments = vec![OsString::from("arklet")];
    let given = ["share", "web"].map(|key| Some((key.to_owned(), std::env::var(format!("ARKLET_{}", key.to_uppercase())).ok()?)));
    let mut of_modules: BTreeMap<String, String> = given.into_iter().flatten().collect();
    let mut keep = std::env::var("ARKLET_KEEP").ok();
    let mut ahead = std::env::var("ARKLET_AHEAD").ok();
    let mut gateway = std::env::var_os("ARKLET_GATEWAY").is_some();
    let of_bases = options::valued();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let Some((key, value)) = option.split_once('=') else {
            return Err(format!("{option:?} is no option; write key=value, separated by commas, e.g. listen=127.0.0.1:1238"));
        };
        let option = match key {
            key if of_bases.iter().any(|known| known == key) => key,
            "share" | "web" => {
                of_modules.insert(key.to_owned(), value.to_owned());
                continue;
            }
            "keep" => {
                keep = Some(value.to_owned());
                continue;
            }
            "ahead" => {
                ahead = Some(value.to_owned());
                continue;
            }
            _ => {
                let known = of_bases.join(", ");
                return Err(format!("{key:?} is no option of the agent; there are share, web, keep, ahead, {known}"));
            }
        };
        gateway |= key == "gateway";
        // The comma is taken.
        let value = match key {
            "controller" | "require-key" => value.replace(';', ","),
            "base-labels" => value.replace([';', '+'], ","),
            _ => value.to_owned(),
        };
        arguments.push(format!("--{option}={value}").into());
    }
    if !gateway {
        arguments.push(format!("--gateway={}", options::GATEWAY_BESIDE).into());
    }
    let of_modules = OfModules::default().with(&of_modules).map_err(|error| error.to_string())?;
    let keep = match keep.as_deref().map(str::parse) {
        None => KEEP,
        Some(Ok(seconds)) => Duration::from_secs(seconds),
        Some(Err(_)) => return Err(format!("keep={:?} is no number of seconds", keep.unwrap_or_default())),
    };
    let ahead = match ahead.as_deref() {
        None | Some("on") => true,
        Some("off") => false,
        Some(other) => return Err(format!("ahead={other:?} is neither on nor off")),
    };
    Ok(Wanted { options: options::read(arguments)?, of_modules, keep, ahead })
}
