//! Requests that a browser sends in the name of a page. Where no key and no token is asked for, any page that somebody on this machine
//! looks at could send them: it cannot read the answer, but what it asks for is done, and paid; and under a name that its owner lets point
//! to this machine it can read it as well. Programs say nothing of pages; nor do browsers when they read from a name without TLS, so
//! requests that say nothing are taken for programs' only under names that nobody else can own.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, Uri, header};

use crate::config::cautions::is_near;

/// Is it the request of a page from elsewhere?
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (origin, site) = (text(header::ORIGIN.as_str()), text("sec-fetch-site"));
    let host = text(header::HOST.as_str());
    if origin.is_none() && site.is_none() {
        return host.is_some_and(|host| !host.is_empty() && !is_nobodys(host));
    }
    let is_other_site = site.is_some_and(|site| site != "same-origin" && site != "none");
    let is_other_origin = origin.is_some_and(|origin| origin_of(origin).as_deref() != host);
    is_other_site || is_other_origin || !host.is_some_and(is_this_machine)
}

/// Is it a name that nobody can have in the public DNS, or an address? (In the network at hand somebody may answer to the former.)
fn is_nobodys(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| is_address(authority.host()) || is_near(authority.host()))
}

/// What an `Origin` says behind its scheme; `None` if that is no place, as of `null`.
pub fn origin_of(origin: &str) -> Option<String> {
    Some(origin.parse::<Uri>().ok()?.authority()?.to_string())
}

/// Does a `Host` name this machine by a name that cannot be anybody's, or by an address?
pub fn is_this_machine(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    authority.host().eq_ignore_ascii_case("localhost") || is_address(authority.host())
}

fn is_address(name: &str) -> bool {
    name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: programs' hosts held to be this machine as pages' are; not looked at, of either; `null` taken
    /// for no origin.
    #[test]
    fn pages_from_elsewhere_are_told_from_programs_and_from_pages_of_this_machine() {
        let elsewhere = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            fields.iter().for_each(|(name, value)| drop(headers.insert(*name, value.parse().unwrap())));
            is_from_elsewhere(&headers)
        };
        let here = ("host", "127.0.0.1:8080");
        for program in [
            &[here][..],
            &[("host", "host.docker.internal:8080")],
            &[],
            &[here, ("sec-fetch-mode", "cors")],
            &[("host", "weir:8080")],
            &[("host", "localhost.localdomain:8080")],
            &[("host", "")],
            &[("host", "[::1]:8080")],
            &[("host", "203.0.113.7")],
        ] {
            assert!(!elsewhere(program), "{program:?}");
        }
        for page in [
            &[here, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")][..],
            &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            &[here, ("sec-fetch-site", "none")],
        ] {
            assert!(!elsewhere(page), "{page:?}");
        }
        for page in [
            &[here, ("origin", "https://evil.example")][..],
            &[here, ("origin", "http://127.0.0.1:3000")],
            &[here, ("origin", "null")],
            &[here, ("sec-fetch-site", "cross-site")],
            &[here, ("sec-fetch-site", "same-site")],
            &[
                ("host", "evil.example:8080"),
                ("origin", "http://evil.example:8080"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("host", "evil.example:8080"), ("sec-fetch-site", "same-origin")],
            &[("host", "evil.attacker.com:8080")], // a name that leads here now; a read without TLS, of which its browser says nothing
            &[("host", "not a host")],
        ] {
            assert!(elsewhere(page), "{page:?}");
        }
    }
}
