//! Modules that a base is started with: the packages in a folder, and a list beside them that says more of some.
//!
//! `modules.toml` in the folder is optional. Each of its `[[module]]` tables names a `file` of the folder or a `url`, and may
//! give `name`, `version`, `args`, `env`, `config`, `outgoing-hosts`, `sha256`, `activation` and `options`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use ark_model::{Activation, Grants, InstallOrder, ModuleId};
use serde::Deserialize;

/// The name of the list.
pub const LIST: &str = "modules.toml";

/// A folder of modules that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModulesDirError {
    /// The folder or its list cannot be read.
    #[error("could not read {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The list makes no sense.
    #[error("{path} cannot be used: {problem}")]
    List {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct List {
    module: Vec<Listed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Listed {
    file: Option<String>,
    url: Option<String>,
    name: Option<String>,
    version: Option<String>,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    config: BTreeMap<String, String>,
    outgoing_hosts: Vec<String>,
    sha256: Option<String>,
    activation: Option<Activation>,
    options: BTreeMap<String, String>,
}

/// The orders for the modules in `folder`: every `.wasm`, `.jar` and `.tgz` file, and whatever its list adds.
///
/// # Errors
/// Where the folder cannot be read, or its list names a file that is not there, or an unknown key.
pub fn orders(folder: &Path) -> Result<Vec<InstallOrder>, ModulesDirError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ModulesDirError::Io { path, error }
    };
    let folder = fs::canonicalize(folder).map_err(failed(folder))?;
    let mut files: BTreeMap<String, InstallOrder> = BTreeMap::new();
    for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
        let path = entry.map_err(failed(&folder))?.path();
        if let (Some("wasm" | "jar" | "tgz"), Some(name)) =
            (path.extension().and_then(|e| e.to_str()), path.file_name().and_then(|n| n.to_str()))
        {
            files.insert(name.to_owned(), InstallOrder { url: format!("file://{}", path.display()), ..InstallOrder::default() });
        }
    }
    let list = folder.join(LIST);
    let listed = match fs::read_to_string(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(&list)(error)),
    };
    let wrong = |problem: String| ModulesDirError::List { path: list.clone(), problem };
    let mut orders = Vec::new();
    for module in toml::from_str::<List>(&listed).map_err(|error| wrong(error.to_string()))?.module {
        let url = match (&module.file, &module.url) {
            (Some(file), None) => match files.remove(file) {
                Some(order) => order.url,
                None => return Err(wrong(format!("it lists {file:?}, which is not in the folder, or is listed twice"))),
            },
            (None, Some(url)) => url.clone(),
            _ => return Err(wrong("each module has either a file or a url".to_owned())),
        };
        let id = match (module.name, module.version) {
            (Some(name), Some(version)) => Some(ModuleId::new(name, version).map_err(|invalid| wrong(invalid.to_string()))?),
            (None, None) => None,
            _ => return Err(wrong(format!("{url} has a name or a version; it needs both or none"))),
        };
        let grants = Grants { env: module.env, config: module.config, outgoing_hosts: module.outgoing_hosts, ..Grants::default() };
        orders.push(InstallOrder {
            id,
            url,
            sha256: module.sha256,
            activation: module.activation,
            args: module.args,
            grants,
            options: module.options,
            ..InstallOrder::default()
        });
    }
    orders.extend(files.into_values());
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_ordered_and_the_list_says_more_of_some() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wasm", "b.wasm", "notes.txt"] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        fs::write(folder.path().join(LIST), "[[module]]\nfile = \"b.wasm\"\nargs = [\"-v\"]\nenv = { K = \"v\" }\n").unwrap();
        let orders = orders(folder.path()).unwrap();
        assert_eq!(orders.len(), 2);
        assert_eq!((orders[0].args.as_slice(), orders[0].grants.env["K"].as_str()), (&["-v".to_owned()][..], "v"));
        assert!(orders[1].url.ends_with("/a.wasm"));
    }

    #[test]
    fn a_list_that_names_what_is_not_there_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for list in ["[[module]]\nfile = \"x.wasm\"", "[[module]]\nfiel = \"x\"", "[[module]]"] {
            fs::write(folder.path().join(LIST), list).unwrap();
            assert!(orders(folder.path()).is_err(), "{list}");
        }
    }
}
