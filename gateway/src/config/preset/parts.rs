//! The parts of a preset that are checked one by one: addresses, headers, ways to pay, counting.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use toml::Spanned;

use super::super::units::LONGEST;
use super::super::{Charge, MeterKind};
use super::check::Found;
use super::fill::is_label;
use super::words::{AuthKind, ChargeWord, Kind, MaxTokens, ResetFormat};
use super::{Auth, Counting, LimitHeaders, Template, file};

/// Headers that would hold a secret or that the HTTP client sets itself.
const NOT_FIXED: &[&str] = &[
    "api-key",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
];

/// A base URL: scheme and host, perhaps a port and a path, with placeholders in host and path.
pub(super) fn base_url(url: &Spanned<String>, found: &mut Found) -> Option<Template> {
    let text = url.get_ref();
    let template = found.take(url.span(), Template::parse(text))?;
    found.take(url.span(), web_address(&stand_in(text)))?;
    let wrong = match text {
        text if text.contains('?') => "a base URL has no query",
        text if text.ends_with('/') => "a base URL has no `/` at the end",
        text if text.contains("{model}") || text.contains("{id}") => "a base URL is the same for all calls",
        _ => return Some(template),
    };
    found.at(url.span(), wrong);
    None
}

/// `text` with a letter for every placeholder, to look at the rest of it.
fn stand_in(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, (_, after))) =
        rest.split_once('{').and_then(|(b, a)| Some((b, a.split_once('}')?)))
    {
        out.push_str(before);
        out.push('x');
        rest = after;
    }
    out + rest
}

/// Is this an `http` or `https` URL of a host, without a user and a fragment? The message quotes nothing: there may be
/// a password in it.
pub(super) fn web_address(url: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected a URL such as `https://host/path`";
    let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("expected a URL that starts with `https://` or `http://`");
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') || url.contains('#') {
        return Err("expected a URL without user, password and `#`");
    }
    let host = authority.host();
    // What follows the host is nothing or a colon and a port.
    let port = &authority.as_str()[host.len()..];
    let port_fits = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    if port_fits && host.split('.').all(is_label) { Ok(()) } else { Err(EXPECTED) }
}

/// A path that begins with `/`, perhaps with a query.
pub(super) fn path(text: &str) -> Result<Template, &'static str> {
    let template = Template::parse(text)?;
    let plain = stand_in(text);
    let visible = plain.bytes().all(|b| b.is_ascii_graphic() && !b"#\"<>\\^`|".contains(&b));
    let (path, _) = plain.split_once('?').unwrap_or((&plain, ""));
    if !path.starts_with('/')
        || path.contains("//")
        || path.split('/').any(|part| part == "." || part == "..")
    {
        return Err("a path begins with `/` and has no empty part, `.` or `..`");
    }
    if visible { Ok(template) } else { Err("a path has characters that no URL can hold") }
}

/// A header's name.
pub(super) fn header(name: &Spanned<String>, found: &mut Found) -> Option<HeaderName> {
    let parsed = name.get_ref().parse().map_err(|_| "this cannot be the name of a header");
    found.take(name.span(), parsed)
}

/// `headers`.
pub(super) fn headers(
    written: &BTreeMap<Spanned<String>, Spanned<String>>,
    found: &mut Found,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut all: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (key, value) in written {
        let Some(name) = header(key, found) else { continue };
        if NOT_FIXED.contains(&name.as_str()) {
            found.at(key.span(), format!("`{name}` is not for presets: keys belong to accounts"));
        }
        if all.iter().any(|(other, _)| *other == name) {
            found.at(key.span(), "this header is given twice");
        }
        let parsed =
            HeaderValue::from_str(value.get_ref()).map_err(|_| "holds characters that a header cannot carry");
        if let Some(value) = found.take(value.span(), parsed) {
            all.push((name, value));
        }
    }
    all
}

/// `auth`.
pub(super) fn auth(written: &Spanned<Vec<Spanned<file::Auth>>>, found: &mut Found) -> Vec<Auth> {
    if written.get_ref().is_empty() {
        found.at(written.span(), "no way to pay: `{ kind = \"none\" }` says that there is none");
    }
    written.get_ref().iter().filter_map(|way| one_auth(way, found)).collect()
}

fn one_auth(way: &Spanned<file::Auth>, found: &mut Found) -> Option<Auth> {
    let file::Auth { kind, header: name, service, scope } = way.get_ref();
    let kind = *kind.get_ref();
    let keys = [
        ("header", name, kind == AuthKind::Header),
        ("service", service, kind == AuthKind::Sigv4),
        ("scope", scope, matches!(kind, AuthKind::Google | AuthKind::Entra)),
    ];
    let mut needed = None;
    for (key, value, wanted) in keys {
        match value {
            Some(value) if !wanted => found.at(value.span(), format!("this kind has no `{key}`")),
            Some(value) => needed = Some(value),
            None if wanted => found.at(way.span(), format!("`{key}` is missing")),
            None => {}
        }
    }
    Some(match kind {
        AuthKind::None => Auth::None,
        AuthKind::Bearer => Auth::Bearer,
        AuthKind::Header => Auth::Header(header(needed?, found)?),
        AuthKind::Sigv4 => Auth::Sigv4 { service: needed?.get_ref().clone() },
        AuthKind::Google => Auth::Google { scope: needed?.get_ref().clone() },
        AuthKind::Entra => Auth::Entra { scope: needed?.get_ref().clone() },
    })
}

/// `[counting]`.
pub(super) fn counting(written: &file::Counting, found: &mut Found) -> Counting {
    let charge = Charge::from(*written.charge.get_ref());
    if (charge == Charge::AdmissionMax) != (written.max_tokens == MaxTokens::Charged) {
        found.at(
            written.charge.span(),
            "`admission-max` and `max_tokens = \"charged\"` say the same: both or none",
        );
    }
    if let Some(factor) = written.output_factor.as_ref().filter(|factor| *factor.get_ref() == 0) {
        found.at(factor.span(), "expected a whole number from 1");
    }
    Counting {
        charge,
        max_tokens: written.max_tokens,
        input: written.input,
        cached_input: written.cached_input,
        cache_write: written.cache_write,
        output: written.output,
        failed: written.failed,
        window: written.window,
        output_factor: written.output_factor.as_ref().map_or(1, |factor| *factor.get_ref()),
    }
}

/// One of `limit_headers`.
pub(super) fn limit_headers(written: &file::LimitHeaders, found: &mut Found) -> LimitHeaders {
    let [limit, remaining, reset] = [&written.limit, &written.remaining, &written.reset]
        .map(|name| name.as_ref().and_then(|name| header(name, found)));
    if written.limit.is_none() && written.remaining.is_none() && written.reset.is_none() {
        found.at(written.kind.span(), "names no header: `limit`, `remaining` or `reset`");
    }
    match (&written.reset, &written.format) {
        (Some(reset), None) => found.at(reset.span(), "`format` is missing: how is it written?"),
        (None, Some(format)) => found.at(format.span(), "a `format` without `reset`"),
        _ => {}
    }
    let format = written.format.as_ref().map_or(ResetFormat::Seconds, |format| *format.get_ref());
    LimitHeaders {
        kind: MeterKind::from(*written.kind.get_ref()),
        per_ms: written.per.as_ref().and_then(|per| found.take(per.span(), per_ms(per.get_ref()))),
        limit,
        remaining,
        reset: reset.map(|reset| (reset, format)),
    }
}

/// A window in milliseconds.
pub(super) fn per_ms(text: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str =
        "expected a duration such as \"1m\" or \"1 day\", at most 31 days, in whole milliseconds";
    let per = humantime::parse_duration(text).map_err(|_| EXPECTED)?;
    let fits = per > Duration::ZERO && per <= LONGEST && per.subsec_nanos().is_multiple_of(1_000_000);
    if fits { u64::try_from(per.as_millis()).map_err(|_| EXPECTED) } else { Err(EXPECTED) }
}

impl From<ChargeWord> for Charge {
    fn from(word: ChargeWord) -> Charge {
        match word {
            ChargeWord::AdmissionMax => Charge::AdmissionMax,
            ChargeWord::AdmissionActual => Charge::AdmissionActual,
            ChargeWord::EndActual => Charge::EndActual,
        }
    }
}

impl From<Kind> for MeterKind {
    fn from(kind: Kind) -> MeterKind {
        match kind {
            Kind::Requests => MeterKind::Requests,
            Kind::Tokens => MeterKind::Tokens,
            Kind::InputTokens => MeterKind::InputTokens,
            Kind::OutputTokens => MeterKind::OutputTokens,
            Kind::Concurrency => MeterKind::Concurrency,
        }
    }
}
