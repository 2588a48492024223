//! Where the data of a process is, unless it is told.

use std::path::PathBuf;

/// The data directory of the program `name`, by the platform's conventions.
#[must_use]
pub fn data_dir(name: &str) -> PathBuf {
    let home = std::env::var_os("XDG_DATA_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    home.unwrap_or_else(|| PathBuf::from("/var/lib")).join(name)
}
