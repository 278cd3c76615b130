//! Whether a request that changes something comes from where it may. A browser sends requests to the admin listener in the name of any
//! page that its user looks at: without a token nothing else would keep such a page from draining deployments.

use std::net::IpAddr;

use http::{HeaderMap, Method, Uri, header};

/// Why a request is not taken; none: it is. `open`: no token is asked for.
pub(super) fn fault(method: &Method, headers: &HeaderMap, open: bool) -> Option<&'static str> {
    if method.is_safe() {
        return None; // a page of somebody else's may not read what is answered
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST.as_str());
    if let Some(origin) = text(header::ORIGIN.as_str()) {
        let of = origin.parse::<Uri>().ok().and_then(|origin| Some(origin.authority()?.to_string()));
        if of.is_none() || of.as_deref() != host {
            return Some("pages of other origins may change nothing here");
        }
    }
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Some("pages of other sites may change nothing here");
    }
    // A name that its owner lets point to this machine has the same origin as itself.
    if open && host.is_some_and(|host| !is_this_machine(host)) {
        return Some("without `admin_token` changes are taken under localhost or an address only");
    }
    None
}

fn is_this_machine(host: &str) -> bool {
    let Ok(uri) = host.parse::<http::uri::Authority>() else { return false };
    let name = uri.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn taken(method: &Method, open: bool, headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        fault(method, &headers.collect(), open).is_none()
    }

    /// Broken on purpose to see it fail: each of the three looked at no more.
    #[test]
    fn only_pages_of_this_origin_and_programs_change_something() {
        let host = ("host", "127.0.0.1:8081");
        let of = |origin| ("origin", origin);
        for (is, headers) in [
            (true, vec![host]), // curl
            (true, vec![host, of("http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")]),
            (true, vec![("host", "weir.internal"), of("https://weir.internal")]), // behind TLS of somebody else's
            (false, vec![host, of("http://evil.example")]),
            (false, vec![host, of("http://127.0.0.1:9999")]),
            (false, vec![host, of("null")]),
            (false, vec![host, ("sec-fetch-site", "cross-site")]),
            (false, vec![host, ("sec-fetch-site", "same-site")]),
        ] {
            assert_eq!(taken(&Method::POST, false, &headers), is, "{headers:?}");
            assert!(taken(&Method::GET, false, &headers), "{headers:?}");
        }
    }

    #[test]
    fn without_a_token_a_name_that_points_here_changes_nothing() {
        for (host, is) in [
            ("localhost:8081", true),
            ("LOCALHOST", true),
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("evil.example:8081", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(taken(&Method::PUT, true, &[("host", host)]), is, "{host}");
            assert!(taken(&Method::PUT, false, &[("host", host)]), "{host}");
        }
        assert!(taken(&Method::PUT, true, &[]));
    }
}
