//! Addresses with placeholders: `https://{resource}.openai.azure.com`, `/models/{model}:generateContent`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::words::Call;
use super::{Preset, ValueSpec};

/// Everything but RFC 3986's unreserved characters. Bedrock's `:` and `/` must be escaped (as boto3 does, seen in
/// recordings); no other provider minds.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why an address could not be made. No message holds a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FillError {
    /// The provider has no such call.
    #[error("{preset} has no address for {call:?}")]
    NoSuchCall {
        /// The preset.
        preset: String,
        /// What was asked.
        call: Call,
    },
    /// The account must say where the provider is.
    #[error("{0} has no address of its own")]
    NoBaseUrl(String),
    /// A placeholder without a value.
    #[error("`{0}` is missing")]
    Missing(String),
    /// Empty, `.` or `..`: it would lead to another path.
    #[error("`{0}` cannot stand in a path")]
    NotInPath(String),
    /// Not a part of a host name: letters, digits and inner hyphens, at most 63.
    #[error("`{0}` cannot be part of a host name")]
    NotInHost(String),
}

/// Text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
}

impl Template {
    /// Reads `text{name}text`.
    pub(super) fn parse(text: &str) -> Result<Template, &'static str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            let inner = from.strip_prefix('{').ok_or("`}` without `{`")?;
            let (name, after) = inner.split_once('}').ok_or("`{` without `}`")?;
            if !is_value_name(name) {
                return Err("a placeholder is small letters, digits and `_` in braces");
            }
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Value(name.to_owned()));
            rest = after;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Ok(Template(pieces))
    }

    /// The names of its placeholders, as often as they stand there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Value(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// With every placeholder replaced; `value` sees what stands before it.
    fn fill(&self, value: impl Fn(&str, &str) -> Result<String, FillError>) -> Result<String, FillError> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(name) => {
                    let text = value(name, &out)?;
                    out.push_str(&text);
                }
            }
        }
        Ok(out)
    }
}

impl Preset {
    /// Path and query of a call, to be put behind the base URL. `value` looks up placeholders that the account sets
    /// (`project`, `region`) or the call (`id`); what it does not know has the preset's default.
    pub fn path(
        &self,
        call: Call,
        model: &str,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, FillError> {
        let no_such_call = || FillError::NoSuchCall { preset: self.name.clone(), call };
        let template = self.paths.get(&call).ok_or_else(no_such_call)?;
        template.fill(|name, _| match name {
            "model" => escaped(name, model),
            _ => escaped(name, &self.value(name, value)?),
        })
    }

    /// Scheme, host and path prefix, without a slash at the end.
    pub fn base_url(&self, value: &dyn Fn(&str) -> Option<String>) -> Result<String, FillError> {
        let applies = |when: &&super::BaseUrlWhen| self.value(&when.value, value).as_ref() == Ok(&when.is);
        let other = self.base_url_when.iter().find(applies).map(|when| &when.base_url);
        let missing = || FillError::NoBaseUrl(self.name.clone());
        let template = other.or(self.base_url.as_ref()).ok_or_else(missing)?;
        template.fill(|name, before| {
            let text = self.value(name, value)?;
            let in_host = before.split_once("://").is_none_or(|(_, rest)| !rest.contains('/'));
            if in_host { host_label(name, text) } else { escaped(name, &text) }
        })
    }

    /// The whole address of a call.
    pub fn url(
        &self,
        call: Call,
        model: &str,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, FillError> {
        Ok(self.base_url(value)? + &self.path(call, model, value)?)
    }

    fn value(&self, name: &str, value: &dyn Fn(&str) -> Option<String>) -> Result<String, FillError> {
        let default = || self.values.get(name).and_then(|ValueSpec { default, .. }| default.clone());
        value(name).or_else(default).ok_or_else(|| FillError::Missing(name.to_owned()))
    }
}

/// A value as one segment of a path, or part of one.
fn escaped(name: &str, value: &str) -> Result<String, FillError> {
    // Servers and proxies resolve dots even when they are escaped.
    if matches!(value, "" | "." | "..") {
        return Err(FillError::NotInPath(name.to_owned()));
    }
    Ok(utf8_percent_encode(value, ESCAPED).to_string())
}

/// A value as a label of a host name: it must not be able to name another host.
fn host_label(name: &str, value: String) -> Result<String, FillError> {
    if is_label(&value) { Ok(value) } else { Err(FillError::NotInHost(name.to_owned())) }
}

/// Letters, digits and inner hyphens, 1 to 63.
pub(super) fn is_label(text: &str) -> bool {
    let ends_well = !text.starts_with('-') && !text.ends_with('-');
    (1..=63).contains(&text.len())
        && ends_well
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Small letters, digits and `_`.
pub(super) fn is_value_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
