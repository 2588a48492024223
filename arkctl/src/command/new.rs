//! `arkctl new`: a module from a template.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use clap::ValueHint;
use serde::Serialize;

use crate::{context::Context, error::Error, humanise, project::Kind, style};

/// The files of a new module: where each goes, and its text with `{{name}}` for the name.
type Template = &'static [(&'static str, &'static str)];

const WASM: Template = &[
    ("Cargo.toml", include_str!("../../template/wasm/Cargo.toml.template")),
    ("src/lib.rs", include_str!("../../template/wasm/src/lib.rs.template")),
    (".gitignore", include_str!("../../template/wasm/gitignore.template")),
];

/// Knows nothing of a base: it runs by itself, too.
const JVM: Template = &[
    ("pom.xml", include_str!("../../template/jvm/pom.xml.template")),
    ("src/main/java/com/example/app/Application.java", include_str!("../../template/jvm/Application.java.template")),
    ("src/main/java/com/example/app/HelloController.java", include_str!("../../template/jvm/HelloController.java.template")),
    ("src/main/resources/application.properties", include_str!("../../template/jvm/application.properties.template")),
    (".gitignore", include_str!("../../template/jvm/gitignore.template")),
];

/// An ordinary application, which runs by itself, too.
const NODE: Template = &[
    ("package.json", include_str!("../../template/node/package.json.template")),
    ("app.js", include_str!("../../template/node/app.js.template")),
    (".gitignore", include_str!("../../template/node/gitignore.template")),
];

fn template(kind: Kind) -> Template {
    match kind {
        Kind::Wasm => WASM,
        Kind::Jvm => JVM,
        Kind::Node => NODE,
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "With --kind jvm it is an ordinary Spring Boot application (Maven, Java 17), which runs by itself, too:
`mvn spring-boot:run`. With --kind node it is an ordinary Node.js application: `npm start`.

Examples:
  arkctl new hello
  arkctl new services/orders --name shop-orders
  arkctl new hello --kind jvm
  arkctl new hello --kind node

Existing files stay as they are: where one is in the way, nothing is written.")]
pub(crate) struct Args {
    /// The directory of the new project; made where it is missing.
    #[arg(value_hint = ValueHint::DirPath)]
    directory: PathBuf,
    /// The module's name; the directory's where nobody says.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is to be.
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Wasm)]
    kind: Kind,
}

#[derive(Serialize)]
struct Made {
    name: String,
    kind: Kind,
    directory: PathBuf,
    files: Vec<&'static str>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let name = match (&args.name, fs::canonicalize(&args.directory)) {
        (Some(name), _) => name.clone(),
        // A directory that is there has a name even where it is written as `.`.
        (None, Ok(directory)) => file_name(&directory),
        (None, Err(_)) => file_name(&args.directory),
    };
    check(&name).map_err(|problem| Error::Usage(format!("{name:?} cannot be the name of a module: {problem}; give one by --name")))?;
    let files = make(&args.directory, &name, args.kind)?;
    let made = Made { name, kind: args.kind, directory: args.directory.clone(), files };
    context.output.result(&made, render)
}

fn file_name(directory: &Path) -> String {
    directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What is a name of a module, of a crate, and of an artifact.
fn check(name: &str) -> Result<(), &'static str> {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("it does not begin with a letter");
    }
    if name.len() > 64 {
        return Err("it is longer than 64 bytes");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err("it may only have letters, digits, - and _");
    }
    Ok(())
}

/// Writes the files of a module called `name`, all or none; answers with their names.
pub(super) fn make(directory: &Path, name: &str, kind: Kind) -> Result<Vec<&'static str>, Error> {
    let template = template(kind);
    let files: Vec<_> = template.iter().map(|(file, text)| (directory.join(file), text.replace("{{name}}", name))).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(Error::File { doing: "make", path: path.clone(), source: ErrorKind::AlreadyExists.into() });
    }
    for (path, text) in &files {
        let failed = |source| Error::File { doing: "make", path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(directory)).map_err(failed)?;
        // A file that has come meanwhile stays, too.
        let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
    }
    Ok(template.iter().map(|(file, _)| *file).collect())
}

fn render(made: &Made) -> String {
    let directory = humanise::printable(&made.directory.display().to_string());
    let command = |text: String| style::paint(style::REFERENCE, text);
    format!("made the module {} in {directory}\nnext: {}\n", made.name, command(format!("cd {directory} && arkctl deploy")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_module_has_its_name_everywhere() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("hello");
        for file in make(&directory, "hello", Kind::Wasm).unwrap() {
            assert!(!fs::read_to_string(directory.join(file)).unwrap().contains("{{"), "{file}");
        }
        let cargo: toml::Table = fs::read_to_string(directory.join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(cargo["package"]["name"].as_str(), Some("hello"));
        assert_eq!(cargo["package"]["metadata"]["ark"]["context-path"].as_str(), Some("/hello"));
    }

    #[test]
    fn a_new_java_module_is_called_and_answers_as_asked() {
        let parent = tempfile::tempdir().unwrap();
        let files = make(parent.path(), "shop-orders", Kind::Jvm).unwrap();
        let text = |file: &str| fs::read_to_string(parent.path().join(file)).unwrap();
        assert!(files.iter().all(|file| !text(file).contains("{{")));
        assert!(text("pom.xml").contains("<artifactId>shop-orders</artifactId>"));
        let properties = text("src/main/resources/application.properties");
        assert!(properties.contains("spring.application.name=shop-orders\n"), "{properties}");
        assert!(properties.contains("server.servlet.context-path=/shop-orders\n"), "{properties}");
    }

    #[test]
    fn where_one_file_is_in_the_way_nothing_is_written() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".gitignore"), "mine").unwrap();
        assert!(make(directory.path(), "hello", Kind::Wasm).is_err());
        assert_eq!(fs::read_to_string(directory.path().join(".gitignore")).unwrap(), "mine");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_is_one_of_a_crate() {
        assert!(check("shop-orders_2").is_ok());
        for bad in ["", "2x", "a b", "a.b", "ä", "-a", &"a".repeat(65)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
