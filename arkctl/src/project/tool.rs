//! Programs of others: where they are, and how they are run without drowning anybody in what they say.

use std::{
    collections::VecDeque,
    env,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, Sender},
    thread,
};

use crate::{error::Error, output::Output, progress::Live};

/// How much of what a program said is kept.
const KEPT_LINES: usize = 1_000;

/// The program called `name` on the PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let ends: &[&str] = if cfg!(windows) { &[".exe", ".cmd", ".bat"] } else { &[""] };
    let path = env::var_os("PATH")?;
    let places = env::split_paths(&path).flat_map(|directory| ends.iter().map(move |end| directory.join(format!("{name}{end}"))));
    places.into_iter().find(|place| is_executable(place))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

/// Runs `command` to its end, and answers with how it ended and the last lines that it said, on either stream. Meanwhile the
/// latest line is shown; with `--verbose` all of them are.
///
/// # Errors
/// A program that cannot be run.
pub(crate) fn run(mut command: Command, doing: &str, output: Output) -> Result<(ExitStatus, Vec<String>), Error> {
    output.detail(&format!("{command:?}"));
    let failed = |error: std::io::Error, command: &Command| {
        let program = command.get_program().to_string_lossy().into_owned();
        let hint = (error.kind() == std::io::ErrorKind::PermissionDenied).then(|| format!("make it executable: chmod +x {program}"));
        Error::Build { problem: format!("could not run {program}: {error}"), said: Vec::new(), hint }
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error, &command))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        pass_on(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        pass_on(stderr, sender);
    }
    let mut said = VecDeque::new();
    {
        let live = Live::spinner(output, doing);
        for line in lines {
            output.detail(&line);
            live.say(&format!("{doing}: {}", line.trim().chars().take(80).collect::<String>()));
            said.push_back(line);
            if said.len() > KEPT_LINES {
                said.pop_front();
            }
        }
    }
    let status = child.wait().map_err(|error| failed(error, &command))?;
    Ok((status, said.into()))
}

/// Sends the lines of `stream`, in a thread of its own, until it ends.
fn pass_on(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if lines.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_is_judged_by_its_exit_code_and_never_by_its_standard_error() {
        let (status, said) = run(shell("echo WARNING >&2"), "x", Output::silent()).unwrap();
        assert!(status.success());
        assert_eq!(said, ["WARNING"]);
        let (status, said) = run(shell("echo fine; exit 3"), "x", Output::silent()).unwrap();
        assert_eq!((status.code(), said), (Some(3), vec!["fine".to_owned()]));
    }

    #[test]
    fn of_a_program_that_says_much_the_end_is_kept() {
        let (_, said) = run(shell("i=0; while [ $i -lt 1500 ]; do echo $i; i=$((i+1)); done"), "x", Output::silent()).unwrap();
        assert_eq!((said.len(), said[0].as_str(), said[999].as_str()), (1000, "500", "1499"));
    }

    #[test]
    fn a_program_is_found_on_the_path_or_not_at_all() {
        assert!(on_path("sh").unwrap().is_absolute());
        assert_eq!(on_path("there-is-no-such-program"), None);
    }
}
