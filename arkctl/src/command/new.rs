//! `arkctl new`.

use std::{fs, path::Path};

use serde_json::json;

use crate::{
    error::Error,
    output::{self, Format},
};

const FILES: [(&str, &str); 3] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml")),
    ("src/lib.rs", include_str!("../../template/lib.rs")),
    (".gitignore", "/target\n"),
];

pub(super) fn new(format: Format, folder: &Path) -> Result<(), Error> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if !plain {
        return Err(Error::Usage(format!("{name:?} cannot be a module's name; use letters, digits, - and _, and begin with a letter")));
    }
    for (file, _) in FILES {
        let path = folder.join(file);
        if path.exists() {
            return Err(Error::Project(format!("{} exists; nothing was written", path.display())));
        }
    }
    for (file, text) in FILES {
        let path = folder.join(file);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        fs::write(&path, text.replace("{{name}}", name)).map_err(Error::io("write", &path))?;
    }
    output::data(format, &json!({"name": name, "folder": folder}), || {
        format!("{name} is begun in {folder}; bring it to life with `arkctl deploy {folder}`", folder = folder.display())
    });
    Ok(())
}
