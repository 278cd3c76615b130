//! The dashboard: a page, its style and its script, as they are in the program. They hold no data: what the page shows it asks
//! `/admin/v1` for, with the admin token if there is one, which it keeps in its memory alone.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::response::Redirect;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

/// Nothing from elsewhere, nothing inline, nothing that a script makes into markup, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
struct File {
    kind: &'static str,
    text: &'static str,
    etag: String,
}

impl File {
    fn new(kind: &'static str, text: &'static str) -> File {
        File { kind, text, etag: format!("\"{}\"", hex::encode(&Sha256::digest(text)[..16])) }
    }

    /// The file, or that the browser has it.
    fn serve(&self, asked: &HeaderMap) -> Response<Body> {
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
        let mut response = Response::new(Body::empty());
        if known.any(|tag| tag == self.etag || tag == "*") {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            *response.body_mut() = Body::from(self.text);
        }
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}

static PAGE: LazyLock<File> =
    LazyLock::new(|| File::new("text/html; charset=utf-8", include_str!("dashboard/page.html")));
static STYLE: LazyLock<File> =
    LazyLock::new(|| File::new("text/css; charset=utf-8", include_str!("dashboard/style.css")));
static SCRIPT: LazyLock<File> =
    LazyLock::new(|| File::new("text/javascript; charset=utf-8", include_str!("dashboard/script.js")));

/// Its routes. The page names its files and what it asks for relative to itself, so it may stand under any path.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/dashboard", get(async |headers: HeaderMap| PAGE.serve(&headers)))
        .route("/dashboard/", get(async || Redirect::permanent("../dashboard")))
        .route("/dashboard/style.css", get(async |headers: HeaderMap| STYLE.serve(&headers)))
        .route("/dashboard/script.js", get(async |headers: HeaderMap| SCRIPT.serve(&headers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: an address of another host, an inline script and a style attribute put into the page.
    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_nothing_inline() {
        for file in [&PAGE, &STYLE, &SCRIPT] {
            for banned in
                ["//cdn", "http://", "https://", "@import", "innerHTML", "eval(", "new Function", "<script>"]
            {
                let text = file.text.replace("http://www.w3.org/", "");
                assert!(!text.contains(banned), "{} in {}", banned, file.kind);
            }
        }
        for banned in [" style=", " onclick=", " onload=", "<style", "javascript:"] {
            assert!(!PAGE.text.contains(banned), "{banned}");
        }
        assert!(PAGE.text.contains("dashboard/script.js") && PAGE.text.contains("dashboard/style.css"));
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let serve = |tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            tag.map(|tag| headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap()));
            PAGE.serve(&headers)
        };
        let first = serve(None);
        assert_eq!(first.status(), StatusCode::OK);
        let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for tag in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            assert_eq!(serve(Some(&tag)).status(), StatusCode::NOT_MODIFIED, "{tag}");
        }
        assert_eq!(serve(Some("\"other\"")).status(), StatusCode::OK);
        assert_ne!(PAGE.etag, STYLE.etag);
    }
}
