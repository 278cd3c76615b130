//! `[alerts]`.

use http::Uri;

use super::super::alerts::{Alerts, Webhook};
use super::super::raw;
use super::super::tree::{Field, Reading};
use super::server::is_endpoint;

/// Resolves `[alerts]`; `webhook = ""` names none.
pub(super) fn alerts(field: &Field<raw::Alerts>, cx: &mut Reading<'_>) -> Alerts {
    let written = field.value().and_then(|written| written.webhook.get());
    let Some(at) = written.filter(|at| !at.value.is_empty()) else { return Alerts::default() };
    let webhook = parse(&at.value).map_err(|message| cx.problem(&at.span, message)).ok();
    Alerts { webhook }
}

/// A URL with a host, or what is wrong with it. No message quotes it: it may hold a secret.
fn parse(url: &str) -> Result<Webhook, &'static str> {
    const EXPECTED: &str = "expected a URL such as `https://host/path`";
    if url.contains('#') {
        return Err("a webhook has no fragment");
    }
    let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("expected a URL that starts with `https://` or `http://`");
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') {
        return Err(
            "a webhook holds no user or password: what lets a message in stands in its path or query",
        );
    }
    if is_endpoint(authority) { Ok(Webhook::new(url)) } else { Err(EXPECTED) }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_webhook_is_a_url_of_a_host_and_is_not_shown() {
        let webhook = parse("https://hooks.example/services/hunter2?key=hunter2").unwrap();
        assert_eq!(webhook.uri().unwrap().query(), Some("key=hunter2"));
        assert!(!format!("{webhook:?}").contains("hunter2"));
        for bad in
            ["hooks", "ftp://h", "https://", "https://u:p@h", "https://h#top", "http://h:x", " https://h"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
