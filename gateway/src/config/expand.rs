//! `${NAME}` and `${file:/path}` in string values.
//!
//! References are replaced after the file has been parsed, so that places stay right and a value cannot change the
//! file's structure. A replaced value is not expanded again. `$${` stands for a literal `${`. No message holds a
//! value.

use std::path::Path;

use super::sources::Sources;

/// A reference that could not be replaced.
pub(crate) struct Failure {
    /// As written, `${` and `}` included.
    pub(crate) reference: String,
    pub(crate) message: String,
}

/// Replaces every reference of `text`, with files read by `sources`; with failures the text returned is incomplete.
pub(crate) fn expand(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    sources: &mut Sources,
) -> (String, Vec<Failure>) {
    let mut out = String::new();
    let mut failures = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            // What follows may be a secret: only the opening is quoted.
            let message = "`${` without `}` (write `$${` for a literal `${`)".to_owned();
            failures.push(Failure { reference: "${".to_owned(), message });
            return (out, failures);
        };
        let reference = &rest[at..at + end + 1];
        match value_of(&reference[2..reference.len() - 1], env, sources) {
            Ok(value) => out.push_str(&value),
            Err(message) => failures.push(Failure { reference: reference.to_owned(), message }),
        }
        rest = &rest[at + end + 1..];
    }
    out.push_str(rest);
    (out, failures)
}

/// The value of one reference, or why there is none.
fn value_of(
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
    sources: &mut Sources,
) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        let read = sources.read_text(Path::new(path));
        let text = read.map_err(|err| format!("cannot read `{path}`: {err}"))?;
        // Files written by editors and `echo` end in a newline that is not part of the secret.
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    if !is_variable_name(name) {
        return Err(
            "expected `${NAME}` with the name of an environment variable, or `${file:/path}`".to_owned()
        );
    }
    env(name).ok_or_else(|| format!("the environment variable `{name}` is not set"))
}

/// The text with a word in place of each reference to a file that cannot be read; no place in it changes.
pub(crate) fn without_files(text: &str) -> String {
    let mut out = text.to_owned();
    let mut from = 0;
    while let Some(at) = out[from..].find("${file:").map(|at| from + at) {
        let Some(end) = out[at..].find('}').map(|end| at + end + 1) else { break };
        from = end;
        let is_literal = out[..at].ends_with('$');
        let path = &out[at + "${file:".len()..end - 1];
        if !is_literal && !path.contains('\n') && std::fs::File::open(path).is_err() {
            let length = end - at;
            let word = format!("unset{}", "-".repeat(length - "unset".len()));
            out.replace_range(at..end, &word);
        }
    }
    out
}

/// Letters, digits and `_`, not starting with a digit.
pub(crate) fn is_variable_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(ok) && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "KEY").then(|| "v${KEY}".to_owned())
    }

    fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> (String, Vec<Failure>) {
        super::expand(text, env, &mut Sources::default())
    }

    /// Broken on purpose to see it fail: a word that is shorter than what it stands for.
    #[test]
    fn files_that_are_not_there_are_words_of_the_same_length() {
        let here = std::env::current_exe().unwrap();
        let text = format!(
            "a = \"${{file:/nowhere/at all}}\" b = \"$${{file:/nowhere}}\" c = \"${{file:{}}}\"",
            here.display()
        );
        let out = without_files(&text);
        assert_eq!(out.len(), text.len());
        assert!(out.starts_with("a = \"unset-") && out[20..] == *format!("{}{}", &out[20..29], &text[29..]));
        assert_eq!(without_files("${file:"), "${file:");
    }

    fn messages(text: &str) -> Vec<(String, String)> {
        expand(text, &env).1.into_iter().map(|f| (f.reference, f.message)).collect()
    }

    #[test]
    fn variables_are_replaced_once_and_not_again() {
        assert_eq!(expand("a${KEY}b${KEY}", &env).0, "av${KEY}bv${KEY}");
        assert_eq!(expand("$5 and $", &env).0, "$5 and $");
    }

    #[test]
    fn a_doubled_dollar_stands_for_itself() {
        assert_eq!(expand("$${KEY}", &env).0, "${KEY}");
        assert!(messages("$${KEY").is_empty());
    }

    #[test]
    fn a_file_is_read_without_its_last_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let text = format!("<${{file:{}}}>", file.path().display());
        assert_eq!(expand(&text, &env).0, "<secret>");
    }

    #[test]
    fn every_failed_reference_is_named() {
        let failed = messages("${A} ${KEY} ${file:/nonexistent/key} ${B:-x} ${C");
        let references: Vec<&str> = failed.iter().map(|(reference, _)| reference.as_str()).collect();
        assert_eq!(references, ["${A}", "${file:/nonexistent/key}", "${B:-x}", "${"]);
        assert_eq!(failed[0].1, "the environment variable `A` is not set");
    }
}
