//! Where a class of a module comes from, and why: the answer to "why this class?" and "why not found?".

use std::fmt;

use crate::{ClassPath, declared::Decision};

/// The most candidates and near misses that an answer lists of each kind.
const LISTED_MOST: usize = 20;

/// Which jar of the base has a class `org.example.A`, and whether the module may take it.
pub type AskBase<'a> = dyn Fn(&str) -> Option<(String, Decision)> + 'a;

/// What a module can see, in the order it is asked.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Whether the JDK has the package `org.example` of a class: the packages of the boot layer.
    pub jdk: &'a dyn Fn(&str) -> bool,
    /// Which jar of the base serves the class `org.example.A` before the module's own are asked, if any: those of the servlet
    /// container of a module that joins it.
    pub joined: &'a dyn Fn(&str) -> Option<String>,
    /// The module's own classes.
    pub own: &'a ClassPath,
    /// Its library layer: what it is called, and its classes.
    pub layer: Option<(&'a str, &'a ClassPath)>,
    /// For a module that falls back to the base, as one of SOFAArk does.
    pub base: Option<&'a AskBase<'a>>,
    /// Class paths that the module cannot see, by what they are called: other modules, to say who has what is missing.
    pub others: &'a [(&'a str, &'a ClassPath)],
}

/// The answer for one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The class, `org.example.A`.
    pub class: String,
    /// Where it comes from.
    pub place: Place,
    /// The module's jars that have it too, and are not asked.
    pub hidden: Vec<String>,
    /// For a class that is not found: classes of the same simple name that the module has, each with its jar.
    pub near: Vec<(String, String)>,
    /// For a class that is not found: who else has it, by what they are called, each with its jar.
    pub elsewhere: Vec<(String, String)>,
}

/// Where a class comes from; each variant is a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The JDK: its package is one of the JDK's, and such are never taken from anywhere else.
    Jdk,
    /// A jar of the base that the module joins.
    Joined {
        /// The jar.
        jar: String,
    },
    /// The module's own classes.
    Own {
        /// The jar.
        jar: String,
    },
    /// The module's library layer, since its own classes do not have it.
    Layer {
        /// What the layer is called.
        layer: String,
        /// The jar.
        jar: String,
    },
    /// The base, since the module does not have it and its rules allow it.
    Base {
        /// The jar.
        jar: String,
        /// The rule.
        rule: Decision,
    },
    /// Nowhere: the base has it, but the module's rules refuse it.
    Refused {
        /// The jar of the base.
        jar: String,
        /// The rule.
        rule: Decision,
    },
    /// Nowhere.
    NotFound,
}

/// Where the class `class`, `org.example.A`, comes from for the module with this view.
#[must_use]
pub fn why(class: &str, view: &View<'_>) -> Why {
    let place = place(class, view);
    let mut hidden = jars_with(class, view.own);
    hidden.extend(view.layer.map(|(_, layer)| jars_with(class, layer)).unwrap_or_default());
    if matches!(place, Place::Own { .. } | Place::Layer { .. }) && !hidden.is_empty() {
        // The first is the one that is asked.
        hidden.remove(0);
    }
    let (near, elsewhere) = match place {
        Place::Refused { .. } | Place::NotFound => (near(class, view), elsewhere(class, view)),
        Place::Jdk | Place::Joined { .. } | Place::Own { .. } | Place::Layer { .. } | Place::Base { .. } => Default::default(),
    };
    Why { class: class.to_owned(), place, hidden, near, elsewhere }
}

/// The class that a failure is about, where it is one of linking: not found, without a method or a field, or another than expected.
/// The texts are those of the JVM.
#[must_use]
pub fn suspect(failure: &str) -> Option<String> {
    let after = |what: &str| failure.split_once(what).map(|(_, rest)| rest);
    let found = if let Some(rest) = after("ClassNotFoundException: ") {
        rest
    } else if let Some(rest) = after("NoClassDefFoundError: ") {
        rest.strip_prefix("Could not initialize class ").unwrap_or(rest)
    } else if let Some(rest) =
        after("NoSuchMethodError: ").or_else(|| after("NoSuchFieldError: ")).or_else(|| after("AbstractMethodError: "))
    {
        // 'void org.example.A.m(int)': the owner stands between the last blank and the last point before the bracket.
        let head = rest.split('(').next().unwrap_or(rest);
        let member = head.rsplit(' ').next().unwrap_or(head);
        member.rsplit_once('.')?.0
    } else {
        after("ClassCastException: class ")?
    };
    let class: String =
        found.chars().map(|c| if c == '/' { '.' } else { c }).take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '$')).collect();
    let class = class.trim_end_matches('.');
    (class.contains('.') && class.len() < 1_000).then(|| class.to_owned())
}

fn place(class: &str, view: &View<'_>) -> Place {
    let package = class.rsplit_once('.').map_or("", |(package, _)| package);
    if (view.jdk)(package) {
        return Place::Jdk;
    }
    if let Some(jar) = (view.joined)(class) {
        return Place::Joined { jar };
    }
    if let Some(hit) = view.own.find_class(class) {
        return Place::Own { jar: hit.jar().origin().to_string() };
    }
    if let Some((layer, hit)) = view.layer.and_then(|(layer, path)| Some((layer, path.find_class(class)?))) {
        return Place::Layer { layer: layer.to_owned(), jar: hit.jar().origin().to_string() };
    }
    match view.base.and_then(|base| base(class)) {
        Some((jar, rule @ Decision::Allowed(_))) => Place::Base { jar, rule },
        Some((jar, rule @ Decision::Refused(_))) => Place::Refused { jar, rule },
        None => Place::NotFound,
    }
}

fn jars_with(class: &str, path: &ClassPath) -> Vec<String> {
    let hits = path.find_all(&crate::class_file_name(class));
    hits.take(LISTED_MOST).map(|hit| hit.jar().origin().to_string()).collect()
}

fn near(class: &str, view: &View<'_>) -> Vec<(String, String)> {
    let simple = class.rsplit_once('.').map_or(class, |(_, simple)| simple);
    let file = format!("{simple}.class");
    let paths = std::iter::once(view.own).chain(view.layer.map(|(_, layer)| layer));
    let hits = paths.flat_map(ClassPath::entries).filter(|hit| {
        let name = hit.name();
        name.strip_suffix(&*file).is_some_and(|folder| folder.is_empty() || folder.ends_with('/')) && hit.is_class()
    });
    let mut near: Vec<_> = hits
        .map(|hit| {
            let name = hit.name();
            (name.strip_suffix(".class").unwrap_or(name).replace('/', "."), hit.jar().origin().to_string())
        })
        .filter(|(name, _)| name != class)
        .collect();
    near.sort();
    near.truncate(LISTED_MOST);
    near
}

fn elsewhere(class: &str, view: &View<'_>) -> Vec<(String, String)> {
    let found = view
        .others
        .iter()
        .filter_map(|(name, path)| path.find_class(class).map(|hit| ((*name).to_owned(), hit.jar().origin().to_string())));
    found.take(LISTED_MOST).collect()
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, place, hidden, near, elsewhere } = self;
        match place {
            Place::Jdk => write!(f, "{class} comes from the JDK, as every class of its package does")?,
            Place::Joined { jar } => write!(f, "{class} comes from {jar} of the base, whose servlet container the module joins")?,
            Place::Own { jar } => write!(f, "{class} comes from the module's own classes in {jar}")?,
            Place::Layer { layer, jar } => write!(f, "{class} comes from {jar} in {layer}")?,
            Place::Base { jar, rule } => write!(f, "{class} comes from {jar} of the base: {rule}")?,
            Place::Refused { jar, rule } => write!(f, "{class} is not found: {jar} of the base has it, but {rule}")?,
            Place::NotFound => write!(f, "{class} is not found: neither the JDK, nor the module, nor its libraries have it")?,
        }
        for jar in hidden {
            write!(f, "\n  also in {jar}, which is not asked")?;
        }
        for (name, jar) in near {
            write!(f, "\n  of the same name: {name} in {jar}")?;
        }
        for (owner, jar) in elsewhere {
            write!(f, "\n  {owner} has it in {jar}, which this module does not see")?;
        }
        Ok(())
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::declared::{Allowed, Refused};
        f.write_str(match self {
            Self::Allowed(Allowed::NotInDeclaredMode) => "the module lists no dependencies, so every jar of the base counts",
            Self::Allowed(Allowed::OfPlugin) => "the jar belongs to a plugin",
            Self::Allowed(Allowed::UnknownJar) => "a jar without an artifact id counts as declared",
            Self::Allowed(Allowed::SofaArk) => "the jars of SOFAArk count as declared",
            Self::Allowed(Allowed::Declared) => "the module's declared-libraries list the jar",
            Self::Refused(Refused::NobodyHasIt) => "no jar of the base has it",
            Self::Refused(Refused::Proxy) => "a CGLIB proxy has to be defined by the module",
            Self::Refused(Refused::UnknownFolder) => "a folder without an artifact id does not count as declared",
            Self::Refused(Refused::NotDeclared) => "the module's declared-libraries do not list the jar",
            Self::Refused(Refused::ResourceOutsideDeclaredMode) => {
                "a module without declared-libraries sees no resources of the base but class files"
            }
            Self::Refused(Refused::DeniedPackage) => "the module's deny-import-packages name its package",
            Self::Refused(Refused::DeniedClass) => "the module's deny-import-classes name it",
            Self::Refused(Refused::DeniedResource) => "the module's deny-import-resources name it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::suspect;

    #[test]
    fn the_class_that_a_failure_of_linking_is_about_is_found() {
        let of = |failure: &str| suspect(failure).unwrap_or_default();
        assert_eq!(of("java.lang.ClassNotFoundException: org.example.A; x.Y: z"), "org.example.A");
        assert_eq!(of("java.lang.NoClassDefFoundError: org/example/A$B"), "org.example.A$B");
        assert_eq!(of("java.lang.NoClassDefFoundError: Could not initialize class org.example.A"), "org.example.A");
        assert_eq!(of("java.lang.NoSuchMethodError: 'void org.example.A.m(int, b.C)'"), "org.example.A");
        assert_eq!(of("java.lang.ClassCastException: class a.B cannot be cast to class c.D (a.B is in …)"), "a.B");
    }

    #[test]
    fn another_failure_is_about_no_class() {
        for failure in ["", "java.lang.IllegalStateException: a.B", "ClassNotFoundException: ", "NoSuchMethodError: ("] {
            assert_eq!(suspect(failure), None, "{failure:?}");
        }
    }
}
