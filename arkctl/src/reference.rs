//! How a module is named on the command line, and which one is meant.

use ark_model::{Failure, ModuleId, Reason, State, api::ModuleView};

use crate::error::Error;

/// `name` or `name:version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// All of it.
    Exact(ModuleId),
    /// Some version of this name.
    Name(String),
}

/// Reads `name:version`.
pub(crate) fn identity(text: &str) -> Result<ModuleId, String> {
    let (name, version) = text.split_once(':').ok_or("write it as <name>:<version>")?;
    ModuleId::new(name, version).map_err(|error| error.to_string())
}

/// Reads `name` or `name:version`.
pub(crate) fn reference(text: &str) -> Result<Reference, String> {
    if text.contains(':') { identity(text).map(Reference::Exact) } else { name(text).map(Reference::Name) }
}

/// Reads a module's name.
pub(crate) fn name(text: &str) -> Result<String, String> {
    // The version only completes the identity that is checked.
    ModuleId::new(text, "0").map(|id| id.name().to_owned()).map_err(|error| error.to_string())
}

impl Reference {
    /// The module that is meant where one is looked at: the only version, else the only one with traffic.
    pub(crate) fn look_up(&self, modules: impl FnOnce() -> Result<Vec<ModuleView>, Error>) -> Result<ModuleId, Error> {
        self.resolve(modules, |versions| match versions.iter().filter(|module| module.state == State::Activated).collect::<Vec<_>>()[..] {
            [active] => Some(active.id.clone()),
            _ => None,
        })
    }

    /// The module that is meant where one is removed: the only version. With several, nobody guesses.
    pub(crate) fn only(&self, modules: impl FnOnce() -> Result<Vec<ModuleView>, Error>) -> Result<ModuleId, Error> {
        self.resolve(modules, |_| None)
    }

    fn resolve(
        &self,
        modules: impl FnOnce() -> Result<Vec<ModuleView>, Error>,
        among_several: impl FnOnce(&[ModuleView]) -> Option<ModuleId>,
    ) -> Result<ModuleId, Error> {
        let name = match self {
            Self::Exact(id) => return Ok(id.clone()),
            Self::Name(name) => name,
        };
        let versions: Vec<ModuleView> = modules()?.into_iter().filter(|module| module.id.name() == name).collect();
        match &versions[..] {
            [] => Err(Failure::new(Reason::NotInstalled, format!("no version of {name} is installed")).into()),
            [only] => Ok(only.id.clone()),
            several => among_several(several).ok_or_else(|| {
                let list: Vec<String> = several.iter().map(|module| format!("{} ({})", module.id, module.state)).collect();
                Error::Usage(format!("{name} has several versions; say which: {}", list.join(", ")))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::module_json;

    fn modules(states: &[(&str, &str)]) -> Result<Vec<ModuleView>, Error> {
        Ok(states.iter().map(|(version, state)| serde_json::from_str(&module_json(version, state)).unwrap()).collect())
    }

    fn orders() -> Reference {
        reference("orders").unwrap()
    }

    #[test]
    fn a_name_means_its_only_version() {
        assert_eq!(orders().only(|| modules(&[("1.0.0", "broken")])).unwrap().to_string(), "orders:1.0.0");
    }

    #[test]
    fn of_several_versions_the_one_with_traffic_is_looked_at_and_none_removed() {
        let two = || modules(&[("1.0.0", "activated"), ("1.1.0", "deactivated")]);
        assert_eq!(orders().look_up(two).unwrap().to_string(), "orders:1.0.0");
        let error = orders().only(two).unwrap_err();
        assert_eq!(error.to_string(), "orders has several versions; say which: orders:1.0.0 (activated), orders:1.1.0 (deactivated)");
        assert_eq!(error.exit_code(), 2);
        assert!(orders().look_up(|| modules(&[("1", "activated"), ("2", "activated")])).is_err());
    }

    #[test]
    fn a_name_without_a_version_here_is_not_installed() {
        assert_eq!(orders().look_up(|| modules(&[])).unwrap_err().reason(), "NotInstalled");
    }

    #[test]
    fn an_exact_reference_asks_nobody() {
        let exact = reference("a:1").unwrap();
        assert_eq!(exact.only(|| Err(Error::NoBase)).unwrap().to_string(), "a:1");
        assert!(reference("a:b:c").is_err() && reference("").is_err() && identity("a").is_err());
    }
}
