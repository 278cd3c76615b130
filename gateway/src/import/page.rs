//! The file that is written: TOML with comments.

use std::fmt::Write as _;

/// A TOML file as it grows.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// Comment lines; long ones are broken.
    pub(super) fn say(&mut self, comment: &str) {
        let comment: String =
            comment.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect();
        for line in comment.lines() {
            let mut width = 0;
            for word in line.split(' ') {
                if width > 0 && width + word.len() + 1 > 118 {
                    width = 2;
                    self.text.push_str("\n#  ");
                }
                self.text.push_str(if width == 0 { "# " } else { " " });
                self.text.push_str(word);
                width += word.len() + 1;
            }
            self.text.push('\n');
        }
    }

    /// `[name]` or `[[name]]`, after an empty line.
    pub(super) fn section(&mut self, header: &str) {
        let _ = writeln!(self.text, "\n{header}");
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// `key = value`, the value being TOML already.
    pub(super) fn set(&mut self, key: &str, value: impl AsRef<str>) {
        let _ = writeln!(self.text, "{key} = {}", value.as_ref());
    }

    /// The same with a comment behind it.
    pub(super) fn set_because(&mut self, key: &str, value: impl AsRef<str>, comment: &str) {
        let _ = writeln!(self.text, "{key} = {}   # {comment}", value.as_ref());
    }

    /// Another page behind this one.
    pub(super) fn append(&mut self, other: Page) {
        self.text.push_str(&other.text);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A string in quotes, as it is: `${` is no reference.
pub(super) fn text(text: &str) -> String {
    quoted(&literal(text))
}

/// A part of a string that is no reference.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// A string in quotes that may hold references.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `[a, b]`.
pub(super) fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// `{ a = 1, b = 2 }`.
pub(super) fn table(entries: impl IntoIterator<Item = (impl AsRef<str>, String)>) -> String {
    let entry = |(key, value): (_, String)| format!("{} = {value}", bare(AsRef::as_ref(&key)));
    let entries: Vec<String> = entries.into_iter().map(entry).collect();
    format!("{{ {} }}", entries.join(", "))
}

/// A key, in quotes where it must be.
fn bare(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.to_owned() } else { quoted(key) }
}

/// A duration of so many milliseconds.
pub(super) fn duration(milliseconds: u64) -> String {
    let time = std::time::Duration::from_millis(milliseconds);
    format!("\"{}\"", humantime::format_duration(time))
}

/// A whole number, grouped: `100_000`.
pub(super) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

/// A number without what binary fractions add to it.
pub(super) fn number(number: f64) -> String {
    let rounded = format!("{number:.9}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short.contains('.') { short.to_owned() } else { format!("{short}.0") }
}
