//! What an application's own configuration says of where it answers: read before it runs, so that links, redirects and cookies stay as
//! they are.
//!
//! Only what stands plainly in `application.properties`, `application.yml` or `application.yaml` of the package counts, outside of
//! profiles and without placeholders. The formats are those of `java.util.Properties` and of block YAML.

use crate::ClassPath;

/// In the order in which Spring Boot lets the first that has a key win.
const FILES: [&str; 3] = ["application.properties", "application.yml", "application.yaml"];
const FOLDERS: [&str; 2] = ["config/", ""];
/// For servlets, and for reactive applications.
const KEYS: [&str; 2] = ["server.servlet.context-path", "spring.webflux.base-path"];

/// The context path that the application on `own` gives itself.
#[must_use]
pub fn context_path(own: &ClassPath) -> Option<String> {
    for folder in FOLDERS {
        for file in FILES {
            let Some(bytes) = own.find(&format!("{folder}{file}")).and_then(|hit| hit.bytes().ok()) else { continue };
            let text = String::from_utf8_lossy(&bytes);
            let found = if file.ends_with("properties") { in_properties(&text) } else { in_yaml(&text) };
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn wanted(key: &str, value: &str) -> Option<String> {
    // Spring reads `contextPath` and `context_path` as it reads `context-path`.
    let plain = |key: &str| key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect::<String>();
    let value = value.trim().trim_matches(['"', '\'']);
    let counts = KEYS.iter().any(|wanted| plain(wanted) == plain(key)) && !value.is_empty() && !value.contains("${");
    counts.then(|| value.to_owned())
}

fn in_properties(text: &str) -> Option<String> {
    // Behind `#---` stands what holds for a profile only.
    let lines = text.lines().map(str::trim).take_while(|line| !matches!(*line, "#---" | "!---"));
    let pairs = lines.filter(|line| !line.starts_with(['#', '!'])).filter_map(|line| line.split_once(['=', ':']));
    pairs.filter_map(|(key, value)| wanted(key.trim(), value)).last()
}

fn in_yaml(text: &str) -> Option<String> {
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut begun = false;
    for line in text.lines() {
        if line.starts_with("---") && begun {
            return None;
        }
        let content = line.trim_start();
        if content.is_empty() || content.starts_with(['#', '-']) {
            continue;
        }
        begun = true;
        let indent = line.len() - content.len();
        path.retain(|(other, _)| *other < indent);
        let Some((key, value)) = content.split_once(':') else { continue };
        path.push((indent, key.trim()));
        let value = value.split(" #").next().unwrap_or(value);
        let key = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
        if let Some(found) = wanted(&key, value) {
            return Some(found);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_properties_file_is_found() {
        assert_eq!(in_properties("a=b\n server.servlet.context-path = /shop \n").as_deref(), Some("/shop"));
        assert_eq!(in_properties("server.servlet.contextPath:/a\nserver.servlet.context-path=/b").as_deref(), Some("/b"));
    }

    #[test]
    fn the_path_of_a_yaml_file_is_found() {
        let text = "---\nspring:\n  application:\n    name: x\n  webflux:\n    base-path: \"/quotes\" # here\nserver:\n  port: 1\n";
        assert_eq!(in_yaml(text).as_deref(), Some("/quotes"));
        assert_eq!(in_yaml("server.servlet:\n  context-path: /a").as_deref(), Some("/a"));
    }

    #[test]
    fn what_holds_for_a_profile_or_is_filled_in_later_does_not_count() {
        assert_eq!(
            in_properties("#server.servlet.context-path=/a\nserver.servlet.context-path=${P}\n#---\nserver.servlet.context-path=/b"),
            None
        );
        assert_eq!(in_yaml("a: b\n---\nserver:\n  servlet:\n    context-path: /b"), None);
        assert_eq!(in_yaml("other:\n  server:\n    servlet:\n      context-path: /b"), None);
    }
}
