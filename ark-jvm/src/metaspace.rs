//! What class loaders take of the metaspace, as the JVM tells it.
//!
//! The text is that of the diagnostic command `VM.metaspace show-loaders` (JDK 17 to 25), which is for people and has no specification:
//! what is not understood is left out.

/// What one named class loader uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderUsage {
    /// Its name.
    pub name: String,
    /// The classes it defined.
    pub classes: u64,
    /// The bytes of metaspace in use for them.
    pub bytes: u64,
}

/// The usage of each named loader in `text`; what several of one name use is added up. Hidden classes are told apart by the JVM, and
/// counted for the loader of the class they belong to.
#[must_use]
pub fn loaders(text: &str) -> Vec<LoaderUsage> {
    let mut found: Vec<LoaderUsage> = Vec::new();
    let mut current = None;
    for line in text.lines() {
        if line.contains(": CLD ") {
            current = head(line);
        } else if let Some(used) = line.trim_start().strip_prefix("Both:")
            && let Some((name, classes)) = current.take()
        {
            let bytes = used.split(',').find_map(bytes_used).unwrap_or(0);
            match found.iter_mut().find(|known| known.name == name) {
                Some(known) => {
                    known.classes += classes;
                    known.bytes += bytes;
                }
                None => found.push(LoaderUsage { name: name.to_owned(), classes, bytes }),
            }
        }
    }
    found
}

/// `   9: CLD 0x00007fe0b402d400: "ticker:1.0.0" instance of ark.jvm.ModuleLoader, 5 classes`
fn head(line: &str) -> Option<(&str, u64)> {
    let (_, named) = line.split_once('"')?;
    let (name, rest) = named.split_once('"')?;
    let count = rest.rsplit(", ").find_map(|part| part.strip_suffix(" classes").or_else(|| part.strip_suffix(" class")))?;
    Some((name, count.parse().ok()?))
}

/// `    14.79 KB ( 92%) used`
fn bytes_used(part: &str) -> Option<u64> {
    let mut words = part.strip_suffix("used")?.split_whitespace();
    let (number, unit) = (words.next()?, words.next()?);
    let factor = match unit {
        "bytes" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    // Both are small enough to be exact in a double; the text has three digits anyway.
    Some((number.parse::<f64>().ok()? * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"29802:

Usage per loader:

   1: CLD 0x00007fe0b415ef60: instance of jdk.internal.reflect.DelegatingClassLoader, 1 class
  Non-Class:    2 chunks,      3.00 KB capacity,    3.00 KB (100%) committed,     2.81 KB ( 94%) used,   192 bytes (  6%) free
       Both:    3 chunks,      4.00 KB capacity,    4.00 KB (100%) committed,     3.35 KB ( 84%) used,   664 bytes ( 16%) free

   5: CLD 0x00007fe0b40b9380: <hidden class>, loaded by "layer of ticker" instance of ark.jvm.ModuleLoader, 1 class
       Both:    2 chunks,      2.00 KB capacity,    2.00 KB (100%) committed,  1016 bytes ( 50%) used,     1.01 KB ( 50%) free

   8: CLD 0x00007fe0b4029670: "layer of ticker" instance of ark.jvm.ModuleLoader, 2691 classes
       Both:  393 chunks,     10.29 MB capacity,   10.29 MB (100%) committed,    10.25 MB (>99%) used,    19.73 KB ( <1%) free

   9: CLD 0x00007fe0b402d400: "ticker:1.0.0" instance of ark.jvm.ModuleLoader, 5 classes
       Both:    5 chunks,     16.00 KB capacity,   16.00 KB (100%) committed,    14.50 KB ( 92%) used,     1.21 KB (  8%) free
"#;

    #[test]
    fn named_loaders_are_told_with_their_hidden_classes() {
        let usage = |name: &str, classes, bytes| LoaderUsage { name: name.to_owned(), classes, bytes };
        assert_eq!(loaders(TEXT), [usage("layer of ticker", 2692, 10_748_920), usage("ticker:1.0.0", 5, 14_848)]);
    }

    #[test]
    fn a_text_of_another_kind_has_no_loaders() {
        assert!(loaders("").is_empty());
        assert!(loaders("1: CLD x: \"a\" is odd\nBoth: many used").is_empty());
    }
}
