//! Compiles the Java side, whose bytes the agent carries.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
};

type Error = Box<dyn std::error::Error>;

/// Which classes are defined where: beside the base's, in a module's loader, beside the base's Tomcat.
const GROUPS: [(&str, &str); 3] = [("BASE", "ark/jvm"), ("SPRING", "ark/spring"), ("TOMCAT", "ark/tomcat")];

fn main() -> Result<(), Error> {
    let sources = Path::new("../ark-jvm/java");
    println!("cargo:rerun-if-changed={}", sources.display());
    println!("cargo:rerun-if-env-changed=JAVA_HOME");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let mut list = fs::File::create(out.join("classes.rs"))?;
    let (stubs, classes) = (out.join("stubs"), out.join("classes"));
    let compiled = compile(&sources.join("stubs"), &stubs, None).and_then(|()| compile(&sources.join("ark"), &classes, Some(&stubs)));
    match compiled {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!(
                "cargo:warning=there is no javac: the agent for JVMs is built without its Java side, and will say so when it is loaded"
            );
            for (_, folder) in GROUPS {
                fs::create_dir_all(classes.join(folder))?;
            }
        }
        Err(error) => return Err(error.into()),
    }
    for (name, folder) in GROUPS {
        writeln!(list, "pub(crate) const {name}: &[(&str, &[u8])] = &[")?;
        let mut files: Vec<PathBuf> =
            fs::read_dir(classes.join(folder))?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            let class = file.file_stem().and_then(|stem| stem.to_str()).ok_or("a class without a name")?;
            writeln!(list, "    ({:?}, include_bytes!({:?})),", format!("{folder}/{class}"), file)?;
        }
        writeln!(list, "];")?;
    }
    Ok(())
}

fn compile(sources: &Path, classes: &Path, class_path: Option<&Path>) -> io::Result<()> {
    if classes.exists() {
        fs::remove_dir_all(classes)?;
    }
    fs::create_dir_all(classes)?;
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/javac")).filter(|javac| javac.is_file());
    let mut javac = Command::new(home.unwrap_or_else(|| "javac".into()));
    // Text is put together by ordinary code: the other way makes classes as it runs, in the middle of an install.
    javac.args(["--release", "17", "-XDstringConcat=inline", "-g:source,lines", "-Werror", "-Xlint:all", "-d"]).arg(classes);
    if let Some(class_path) = class_path {
        javac.arg("-cp").arg(class_path);
    }
    let mut folders = vec![sources.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "java") {
                javac.arg(path);
            }
        }
    }
    let status = javac.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("javac ended with {status}"))) }
}
