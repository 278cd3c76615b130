//! Whether a request comes from where it may. A browser sends requests to the admin listener in the name of any page that its user
//! looks at: where no token is asked for, nothing else keeps such a page from draining deployments, or, by a name that its owner lets
//! point to this machine, from reading who calls what. A token is proof enough: browsers add none by themselves.

use http::header;
use http::request::Parts;

use crate::auth::page::{is_this_machine, origin_of};

/// It holds a place among those who watch for as long as it is read, so no page may so much as ask for it.
pub(super) const EVENTS: &str = "/admin/v1/events";

/// Why a request that needs no token is not taken; none: it is.
pub(super) fn fault(asked: &Parts) -> Option<&'static str> {
    let text = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let (path, changes) = (asked.uri.path(), !asked.method.is_safe());
    // (HTTP/2 has it in the address.)
    let host = text(header::HOST.as_str()).or_else(|| asked.uri.authority().map(|of| of.as_str()));
    if changes && let Some(origin) = text(header::ORIGIN.as_str()) {
        let of = origin_of(origin);
        if of.is_none() || of.as_deref() != host {
            return Some("pages of other origins may change nothing here");
        }
    }
    let is_of_ours = text("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
    if (changes || path == EVENTS) && !is_of_ours {
        return Some("pages of other sites may change and watch nothing here");
    }
    // A name that its owner lets point to this machine has the same origin as itself. (Metrics as well: they name tenants and what each
    // spends. Who scrapes by a name has `metrics_listen`.)
    if host.is_some_and(|host| !is_this_machine(host)) {
        return Some("without `admin_token` this is answered under localhost or an address only");
    }
    None
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};

    use super::*;

    fn taken(method: &Method, uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        fault(&request.body(()).unwrap().into_parts().0).is_none()
    }

    /// Broken on purpose to see it fail: each of the three looked at no more; the authority of HTTP/2 not looked at (every change
    /// over it was refused).
    #[test]
    fn only_pages_of_this_origin_and_programs_change_something() {
        const DRAIN: &str = "/admin/v1/deployments/d/drain";
        let host = ("host", "127.0.0.1:8081");
        let of = |origin| ("origin", origin);
        for (is, headers) in [
            (true, vec![host]), // curl
            (true, vec![host, of("http://127.0.0.1:8081"), ("sec-fetch-site", "same-origin")]),
            (true, vec![("host", "localhost"), of("https://localhost")]), // behind TLS of somebody else's
            (false, vec![host, of("http://evil.example")]),
            (false, vec![host, of("http://127.0.0.1:9999")]),
            (false, vec![host, of("null")]),
            (false, vec![host, ("sec-fetch-site", "cross-site")]),
            (false, vec![host, ("sec-fetch-site", "same-site")]),
        ] {
            assert_eq!(taken(&Method::POST, DRAIN, &headers), is, "{headers:?}");
            assert!(taken(&Method::GET, "/admin/v1/state", &headers), "{headers:?}");
        }
        let by_http_2 = format!("http://127.0.0.1:8081{DRAIN}");
        assert!(taken(&Method::POST, &by_http_2, &[of("http://127.0.0.1:8081")]));
        assert!(!taken(&Method::POST, &by_http_2, &[of("http://evil.example")]));
    }

    /// A page asks without being able to read the answer, and that would keep a place, and all replicas telling. Broken on purpose to
    /// see it fail: looked at where something is changed only.
    #[test]
    fn no_page_of_another_site_watches() {
        let watch =
            |site| taken(&Method::GET, EVENTS, &[("host", "127.0.0.1:8081"), ("sec-fetch-site", site)]);
        assert!(watch("same-origin") && watch("none") && !watch("cross-site") && !watch("same-site"));
    }

    /// Broken on purpose to see it fail: safe methods passed over (a page under such a name read all of it); metrics passed over (it read
    /// who the tenants are and what each has spent).
    #[test]
    fn a_name_that_points_here_changes_and_reads_nothing() {
        for (host, is) in [
            ("localhost:8081", true),
            ("LOCALHOST", true),
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("evil.example:8081", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            for path in ["/admin/v1/experiments", EVENTS, "/admin/v1/state", "/admin/v1/keys", "/metrics"] {
                assert_eq!(taken(&Method::PUT, path, &[("host", host)]), is, "{host} {path}");
                assert_eq!(taken(&Method::GET, path, &[("host", host)]), is, "{host} {path}");
            }
        }
        assert!(taken(&Method::PUT, "/admin/v1/experiments/e", &[]));
    }
}
