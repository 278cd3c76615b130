//! Secrets out of reports: a report shows lines of the file, and some of them hold keys, tokens and passwords.
//!
//! A masked character becomes one of the same length in bytes, so that every place in the file stays where it is.
//! What is hidden errs on the safe side: every value of a key that holds secrets anywhere in the tree, strings under
//! unknown keys (a misspelt `api_key`), URLs with a password, and comments behind any of them.
//! A file that does not parse has no tree, so there a line is shown only if all its keys are known and harmless.
//! References such as `${OPENAI_KEY}` are no secrets and stay readable.

use toml::de::{DeTable, DeValue};

use super::expand;
use super::tree::{Node, Span};

/// Keys whose values are secret, wherever they stand.
const SECRET: &[&str] = &[
    "admin_token",
    "api_key",
    "cluster",
    "credentials",
    "data_password",
    "headers",
    "json",
    "key",
    "keys",
    "otlp_headers",
    "password",
    "secret",
    "secret_access_key",
    "sentinel",
    "session_token",
    "token",
    "url",
    "webhook",
];

/// The places of every secret in a table.
pub(crate) fn secrets_of(table: &DeTable<'_>, hidden: &mut Vec<Span>) {
    for (key, node) in table.iter() {
        let name: &str = key.get_ref();
        if SECRET.contains(&name) {
            leaves_of(node, &|_| true, hidden);
        } else {
            secrets_in(node, hidden);
        }
    }
}

/// The places of the strings in a value.
pub(crate) fn strings_of(node: &Node<'_>, hidden: &mut Vec<Span>) {
    leaves_of(node, &|value| value.is_str(), hidden);
}

/// Secrets inside a value whose own key is harmless.
fn secrets_in(node: &Node<'_>, hidden: &mut Vec<Span>) {
    match node.get_ref() {
        DeValue::Table(table) => secrets_of(table, hidden),
        DeValue::Array(array) => array.iter().for_each(|node| secrets_in(node, hidden)),
        DeValue::String(text) if text.contains("://") && text.contains('@') => hidden.push(node.span()),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => {}
        DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

/// The places of all values below `node` that are neither table nor array and that `hide` selects.
fn leaves_of(node: &Node<'_>, hide: &dyn Fn(&DeValue<'_>) -> bool, hidden: &mut Vec<Span>) {
    match node.get_ref() {
        DeValue::Table(table) => table.values().for_each(|node| leaves_of(node, hide, hidden)),
        DeValue::Array(array) => array.iter().for_each(|node| leaves_of(node, hide, hidden)),
        leaf if hide(leaf) => hidden.push(node.span()),
        _ => {}
    }
}

/// The text of a file that parsed, with the values at `hidden` masked.
pub(crate) fn hide(text: &str, hidden: &[Span]) -> String {
    let mut masked = vec![false; text.len()];
    for span in hidden {
        let Some(value) = text.get(span.clone()) else { continue };
        let body = value.trim_matches(['"', '\'']);
        let start = span.start + value.find(body).unwrap_or(0);
        masked[start..start + body.len()].fill(true);
        for reference in references(body) {
            masked[start + reference.start..start + reference.end].fill(false);
        }
        if let Some(comment) = comment_behind(text, span.end) {
            masked[comment].fill(true);
        }
    }
    let mask = |(at, c): (usize, char)| if masked[at] && !c.is_whitespace() { stand_in(c) } else { c };
    text.char_indices().map(mask).collect()
}

/// A character of the same length in UTF-8.
fn stand_in(c: char) -> char {
    match c.len_utf8() {
        1 => '*',
        2 => '·',
        3 => '•',
        _ => '𝄽',
    }
}

/// The places of `${NAME}` and `${file:/path}` in a value.
fn references(value: &str) -> Vec<Span> {
    let mut found = Vec::new();
    for (start, _) in value.match_indices("${") {
        let Some(end) = value[start..].find('}').map(|length| start + length) else { break };
        let name = &value[start + 2..end];
        if expand::is_variable_name(name) || name.starts_with("file:/") {
            found.push(start..end + 1);
        }
    }
    found
}

/// The comment on the rest of the line after a value, without its `#`.
fn comment_behind(text: &str, from: usize) -> Option<Span> {
    let mut quote = None;
    let rest = text[from..].lines().next()?;
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (None, '#') => return Some(from + at + 1..from + rest.len()),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

/// The text of a file that does not parse. `known` are the keys of the schema.
pub(crate) fn hide_unparsed(text: &str, known: &[&[&str]]) -> String {
    let is_known = |word: &str| known.iter().any(|keys| keys.contains(&word));
    text.split_inclusive('\n').map(|line| hide_line(line, &is_known)).collect()
}

/// One line, masked unless it is a table header or all its keys are known and hold no secrets.
fn hide_line(line: &str, is_known: &dyn Fn(&str) -> bool) -> String {
    let header = |c: char| c.is_ascii_alphanumeric() || "[]._- \r\n".contains(c);
    if line.starts_with('[') && line.chars().all(header) {
        return line.to_owned();
    }
    let keys: Vec<&str> = line.match_indices('=').map(|(at, _)| word_before(&line[..at])).collect();
    let harmless = |key: &&str| is_known(key) && !SECRET.contains(key);
    let comment = line.find('#').unwrap_or(line.len());
    let shown = match keys.first() {
        Some(_) if keys.iter().all(harmless) => comment,
        Some(_) => line.find('=').unwrap_or(0).min(comment),
        None => {
            let key = line.split_whitespace().next().unwrap_or_default();
            if is_known(key) { line.find(key).unwrap_or(0) + key.len() } else { 0 }
        }
    };
    let keep = |c: char| c.is_whitespace() || "\"'[]{},=#".contains(c);
    let mask = |(at, c): (usize, char)| if at < shown || keep(c) { c } else { stand_in(c) };
    line.char_indices().map(mask).collect()
}

/// The bare key that ends `text`; empty if a quoted one does.
fn word_before(text: &str) -> &str {
    let text = text.trim_end();
    let start = text.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    &text[start.map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> String {
        let tree = DeTable::parse(text).unwrap();
        let mut hidden = Vec::new();
        secrets_of(tree.get_ref(), &mut hidden);
        let masked = hide(text, &hidden);
        assert_eq!(masked.len(), text.len());
        masked
    }

    #[test]
    fn values_of_secret_keys_are_masked_at_any_depth_and_of_any_type() {
        assert_eq!(hidden("api_key = \"sk-1\""), "api_key = \"****\"");
        assert_eq!(hidden("a = [{ keys = ['x', 12] }]"), "a = [{ keys = ['*', **] }]");
        assert_eq!(hidden("headers.auth = \"é€𝄞x\""), "headers.auth = \"·•𝄽*\"");
        assert_eq!(hidden("[headers]\nx = \"\"\"a\nb\"\"\""), "[headers]\nx = \"\"\"*\n*\"\"\"");
    }

    #[test]
    fn urls_with_a_password_are_masked_under_any_key() {
        assert_eq!(hidden("base_url = \"http://u:p@h\""), "base_url = \"************\"");
        assert_eq!(hidden("base_url = \"http://h\""), "base_url = \"http://h\"");
    }

    #[test]
    fn references_stay_readable() {
        assert_eq!(hidden("api_key = \"x${KEY}y\""), "api_key = \"*${KEY}*\"");
        assert_eq!(hidden("api_key = \"${not a name}\""), "api_key = \"***** * *****\"");
    }

    #[test]
    fn a_comment_behind_a_secret_is_masked() {
        assert_eq!(hidden("url = \"a#\" # was b"), "url = \"**\" # *** *");
        assert_eq!(hidden("listen = \"a\" # was b"), "listen = \"a\" # was b");
    }

    #[test]
    fn a_file_that_does_not_parse_shows_only_lines_of_known_harmless_keys() {
        let known: &[&[&str]] = &[&["listen", "api_key", "keys", "name"]];
        let masked = |line: &str| hide_unparsed(line, known);
        assert_eq!(masked("listen = \"0.0.0.0:80"), "listen = \"0.0.0.0:80");
        assert_eq!(masked("api_key = sk-1"), "api_key = ****");
        assert_eq!(masked("api_key \"sk-1\""), "api_key \"****\"");
        assert_eq!(masked("apikey = \"sk-1"), "apikey = \"****");
        assert_eq!(masked("{ name = \"a\", api_key = \"b }"), "{ name = \"*\", ******* = \"* }");
        assert_eq!(masked("  \"sha256:0\n"), "  \"********\n");
        assert_eq!(masked("[[accounts]"), "[[accounts]");
        assert_eq!(masked("name = \"a\" # sk-1"), "name = \"a\" # ****");
    }
}
