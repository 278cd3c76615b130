//! Where accounts are: their presets, the values of their addresses and the base URL.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use http::Uri;

use super::super::preset::{FillError, Preset, Presets};
use super::super::tree::{At, Field, Reading};
use super::super::{raw, suggest};
use super::server::{is_endpoint, region};

/// Of an account whose address is not known, which is a problem, and nothing is sent there.
pub(super) const NOWHERE: &str = "http://invalid";

/// What accounts may name as provider; `None` if a file of presets is wrong, so that nobody knows what there would be.
pub(super) struct Providers(Option<Presets>);

impl Providers {
    /// Those built in and those of `providers_dir`.
    pub(super) fn read(dir: &Field<String>, cx: &mut Reading<'_>) -> Providers {
        let read = match dir {
            Field::Absent => Presets::built_in(),
            Field::Bad => return Providers(None),
            Field::Is(dir) => Presets::load(Path::new(&dir.value), &mut cx.sources),
        };
        Providers(read.map_err(|reports| cx.others.extend(reports)).ok())
    }

    /// The preset of an account.
    pub(super) fn find(&self, provider: &Field<String>, cx: &mut Reading<'_>) -> Option<Arc<Preset>> {
        let (Providers(Some(presets)), Field::Is(At { value, span })) = (self, provider) else { return None };
        let found = presets.get(value).cloned();
        if found.is_none() {
            let names: Vec<&str> = presets.names().collect();
            let (known, hint) = (suggest::quoted(&names), suggest::did_you_mean(value, &names));
            cx.problem(span, format!("expected one of {known}{hint}"));
        }
        found
    }
}

/// Where an account is.
pub(super) struct Place {
    pub(super) base_url: Uri,
    /// What its addresses' placeholders stand for, defaults included.
    pub(super) values: BTreeMap<String, String>,
    /// Where it is, if that is known: a value of its addresses, or only said.
    pub(super) region: Option<String>,
}

/// Resolves the addresses of an account; without a preset only what does not depend on it is checked.
pub(super) fn place(at: &At<raw::Account>, preset: Option<&Preset>, cx: &mut Reading<'_>) -> Place {
    let own = own_base_url(&at.value.base_url, cx);
    let Some(preset) = preset else {
        let base_url = own.unwrap_or(Uri::from_static(NOWHERE));
        return Place { base_url, values: BTreeMap::new(), region: None };
    };
    let values = values(at, preset, cx);
    let value = |name: &str| if name == "id" { Some("id".to_owned()) } else { values.get(name).cloned() };
    let default = match &at.value.base_url {
        Field::Absent => preset.base_url(&value).map(Some),
        Field::Bad | Field::Is(_) => Ok(None), // the account's own is used, or wrong
    };
    let paths = preset.paths.keys().filter_map(|call| preset.path(*call, "model", &value).err());
    let wrong: Vec<FillError> = default.as_ref().err().cloned().into_iter().chain(paths).collect();
    let mut told = BTreeSet::new();
    for error in wrong.into_iter().filter(|error| told.insert(error.to_string())) {
        unfilled(&error, at, preset, cx);
    }
    let default = default.ok().flatten().and_then(|url| url.parse().ok());
    let region = match values.get("region") {
        Some(region) => Some(region.clone()),
        None => region(&at.value.region, cx),
    };
    Place { base_url: own.or(default).unwrap_or(Uri::from_static(NOWHERE)), values, region }
}

/// The keys of an account that are values of addresses.
fn written_values(written: &raw::Account) -> [(&'static str, &Field<String>); 4] {
    [
        ("region", &written.region),
        ("resource", &written.resource),
        ("project", &written.project),
        ("api_version", &written.api_version),
    ]
}

/// What the account says, else the preset's defaults. One that cannot be read has a stand-in.
fn values(at: &At<raw::Account>, preset: &Preset, cx: &mut Reading<'_>) -> BTreeMap<String, String> {
    let default = |(name, spec): (&String, &super::super::preset::ValueSpec)| {
        Some((name.clone(), spec.default.clone()?))
    };
    let mut values: BTreeMap<String, String> = preset.values.iter().filter_map(default).collect();
    for (name, field) in written_values(&at.value) {
        if !preset.values.contains_key(name) {
            // (Where an account is may be said of any: nearer ones may come first.)
            if name == "region" {
                continue;
            }
            if let Field::Is(At { span, .. }) = field {
                cx.problem(span, format!("the provider `{}` has no `{name}`", preset.name));
            }
            continue;
        }
        let value = match field {
            Field::Absent => continue,
            Field::Bad => "x".to_owned(),
            Field::Is(at) => at.value.clone(),
        };
        values.insert(name.to_owned(), value);
    }
    values
}

/// Reports why an address could not be made, where it can be mended.
fn unfilled(error: &FillError, at: &At<raw::Account>, preset: &Preset, cx: &mut Reading<'_>) {
    let written = written_values(&at.value);
    let field = |name: &str| written.iter().find(|(key, _)| *key == name).and_then(|(_, field)| field.get());
    match error {
        FillError::NoBaseUrl(name) => {
            let message = format!("`base_url` is missing: an `{name}` account has no default");
            cx.problem(&at.span, message);
        }
        FillError::Missing(name) if written.iter().any(|(key, _)| key == name) => {
            cx.problem(&at.span, missing(name, preset));
        }
        FillError::Missing(name) => {
            let place = at.value.provider.get().map_or(&at.span, |provider| &provider.span);
            let message =
                format!("this preset asks for `{name}`, which no account can say: it needs a default");
            cx.problem(place, message);
        }
        FillError::NotInPath(name) | FillError::NotInHost(name) => {
            let place = field(name).map_or(&at.span, |at| &at.span);
            cx.problem(place, error.to_string());
        }
        FillError::NoSuchCall { .. } => {} // only calls of the preset are tried
    }
}

/// A value without which something cannot be done, and what it is.
pub(super) fn missing(name: &str, preset: &Preset) -> String {
    let about = preset.values.get(name).map_or("", |spec| &spec.about);
    format!("`{name}` is missing: {about}")
}

fn own_base_url(written: &Field<String>, cx: &mut Reading<'_>) -> Option<Uri> {
    let At { value, span } = written.get()?;
    parse_base_url(value).map_err(|message| cx.problem(span, message)).ok()
}

/// Scheme, authority and path prefix. No message quotes the URL: it may hold a password.
fn parse_base_url(url: &str) -> Result<Uri, &'static str> {
    const EXPECTED: &str = "expected a URL such as `https://host/v1`";
    if url.contains('?') || url.contains('#') {
        return Err("a base URL has no query and no fragment");
    }
    let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("expected a URL that starts with `https://` or `http://`");
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') {
        return Err("a base URL holds no user or password: use `api_key` or `headers`");
    }
    if is_endpoint(authority) { Ok(uri) } else { Err(EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::parse_base_url;

    #[test]
    fn a_base_url_has_scheme_host_and_maybe_port_and_path() {
        assert_eq!(parse_base_url("http://h:80/v1/").unwrap().to_string(), "http://h:80/v1");
        assert_eq!(parse_base_url("https://h").unwrap().path(), "/");
        for bad in [
            "h/v1",
            "ftp://h",
            "https://h?a",
            "https://h#a",
            "https://u:p@h",
            "https://",
            "/v1",
            "http://h:x",
        ] {
            assert!(parse_base_url(bad).is_err(), "{bad}");
        }
    }
}
