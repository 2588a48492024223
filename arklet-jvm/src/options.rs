//! What stands behind `-agentpath:…=`, in the words of the arklet binary.

use std::ffi::OsString;

use ark_jvm::share::Share;
use arklet::Options;
use clap::Parser;

/// Most bases have 8080 themselves.
const GATEWAY: &str = "127.0.0.1:8090";

/// What the agent is to do.
pub(crate) struct Wanted {
    pub(crate) options: Options,
    pub(crate) share: Share,
}

/// Reads `listen=127.0.0.1:1238,gateway=…`; what is not given comes from `ARKLET_…` in the environment.
///
/// # Errors
/// A text for whoever wrote the option.
pub(crate) fn read(text: &str) -> Result<Wanted, String> {
    let mut arguments = vec![OsString::from("arklet")];
    let mut share = std::env::var("ARKLET_SHARE").ok();
    let mut gateway = std::env::var_os("ARKLET_GATEWAY").is_some();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        let Some((key, value)) = option.split_once('=') else {
            return Err(format!("{option:?} is no option; write key=value, separated by commas, e.g. listen=127.0.0.1:1238"));
        };
        let option = match key {
            "listen" | "gateway" | "data-dir" | "token-file" | "modules-dir" | "log" | "name" | "identity" | "cluster" => key,
            "controller" => "heartbeat",
            "share" => {
                share = Some(value.to_owned());
                continue;
            }
            _ => {
                let known = "listen, gateway, data-dir, token-file, modules-dir, controller, share, log, name, identity, cluster";
                return Err(format!("{key:?} is no option of the agent; there are {known}"));
            }
        };
        gateway |= key == "gateway";
        arguments.push(format!("--{option}={value}").into());
    }
    if !gateway {
        arguments.push(format!("--gateway={GATEWAY}").into());
    }
    let share = match share.as_deref() {
        None | Some("module") => Share::Module,
        Some("set") => Share::Set,
        Some("none") => Share::None,
        Some(other) => return Err(format!("share={other:?} is neither module, set, nor none")),
    };
    let options = Options::try_parse_from(arguments).map_err(|error| error.to_string())?;
    Ok(Wanted { options, share })
}
