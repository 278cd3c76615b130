//! The dashboard: a page, its style and its scripts, as they are in the program. They hold no data: what the page shows it asks
//! `/admin/v1` for, with the admin token if there is one, which it keeps in its memory alone.

use std::sync::Arc;

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

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files by their paths; the scripts are modules, which the first of them asks for.
macro_rules! files {
    ($(($path:literal, $kind:expr, $file:literal)),* $(,)?) => {
        [$(($path, $kind, include_str!(concat!("dashboard/", $file)))),*]
    };
}
const FILES: [(&str, &str, &str); 18] = files![
    ("/dashboard", HTML, "page.html"),
    ("/dashboard/style.css", CSS, "style.css"),
    ("/dashboard/start.js", SCRIPT, "start.js"),
    ("/dashboard/base.js", SCRIPT, "base.js"),
    ("/dashboard/known.js", SCRIPT, "known.js"),
    ("/dashboard/past.js", SCRIPT, "past.js"),
    ("/dashboard/access.js", SCRIPT, "access.js"),
    ("/dashboard/stream.js", SCRIPT, "stream.js"),
    ("/dashboard/say.js", SCRIPT, "say.js"),
    ("/dashboard/charts.js", SCRIPT, "charts.js"),
    ("/dashboard/overview.js", SCRIPT, "overview.js"),
    ("/dashboard/tables.js", SCRIPT, "tables.js"),
    ("/dashboard/meters.js", SCRIPT, "meters.js"),
    ("/dashboard/deployments.js", SCRIPT, "deployments.js"),
    ("/dashboard/sheet.js", SCRIPT, "sheet.js"),
    ("/dashboard/experiments.js", SCRIPT, "experiments.js"),
    ("/dashboard/costs.js", SCRIPT, "costs.js"),
    ("/dashboard/calls.js", SCRIPT, "calls.js"),
];

/// Its routes. The page names its files and what it asks for relative to itself, so it may stand under any path.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let back = get(async || Redirect::permanent("../dashboard"));
    let router = Router::new().route("/dashboard/", back);
    FILES.into_iter().fold(router, |router, (path, kind, text)| {
        let file = Arc::new(File::new(kind, text));
        router.route(path, get(async move |headers: HeaderMap| file.serve(&headers)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        FILES.iter().find(|(known, ..)| *known == path).unwrap_or_else(|| panic!("{path}")).2
    }

    /// Broken on purpose to see it fail: an address of another host, an inline script, with a type as well, and a style attribute
    /// put into the page.
    #[test]
    fn the_page_needs_nothing_from_elsewhere_and_nothing_inline() {
        for (path, _, text) in FILES {
            for banned in [
                "//cdn",
                "http://",
                "https://",
                "@import",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "setHTML",
                "eval(",
                "new Function",
            ] {
                let text = text.replace("http://www.w3.org/", "");
                assert!(!text.contains(banned), "{banned} in {path}");
            }
        }
        let page = text("/dashboard");
        for banned in [" style=", " onclick=", " onload=", "<style", "javascript:"] {
            assert!(!page.contains(banned), "{banned}");
        }
        let scripts: Vec<&str> = page.split("<script").skip(1).collect();
        assert!(
            scripts.len() == 1
                && scripts[0].starts_with(" src=\"dashboard/start.js\" type=\"module\"></script>")
        );
        assert!(page.contains("\"dashboard/style.css\""));
    }

    /// Broken on purpose to see it fail: a module left out of the list (the page stayed empty); one that nobody asks for.
    #[test]
    fn every_module_that_another_asks_for_is_served_and_every_one_is_asked_for() {
        let (mut asked, mut todo) =
            (vec!["/dashboard/start.js".to_owned()], vec!["/dashboard/start.js".to_owned()]);
        while let Some(path) = todo.pop() {
            for line in text(&path).lines().filter(|line| line.starts_with("import ")) {
                let module = line.split('\'').nth(1).and_then(|from| from.strip_prefix("./")).unwrap();
                let path = format!("/dashboard/{module}");
                if !asked.contains(&path) {
                    asked.push(path.clone());
                    todo.push(path);
                }
            }
        }
        let scripts: Vec<&str> =
            FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT).map(|(path, ..)| *path).collect();
        assert!(
            scripts.iter().all(|path| asked.iter().any(|asked| asked == path)),
            "{asked:?} of {scripts:?}"
        );
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let page = File::new(HTML, text("/dashboard"));
        let serve = |tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            tag.map(|tag| headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap()));
            page.serve(&headers)
        };
        let first = serve(None);
        assert_eq!(first.status(), StatusCode::OK);
        let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for tag in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
            assert_eq!(serve(Some(&tag)).status(), StatusCode::NOT_MODIFIED, "{tag}");
        }
        assert_eq!(serve(Some("\"other\"")).status(), StatusCode::OK);
        assert_ne!(page.etag, File::new(CSS, text("/dashboard/style.css")).etag);
    }
}
