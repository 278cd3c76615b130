//! Targets and methods: paths that a lenient reader would take for ours, and requests that are none.

use super::{After, Case, Expect, Kind, Make};
use crate::gate::CLIENT_KEY;

pub(crate) const KINDS: &[Kind] = &[
    ("path tricks", tricks),
    ("long path", long),
    ("too long a path", too_long),
    ("absolute form", absolute),
    ("query", query),
    ("asterisk and authority form", odd_forms),
    ("models", models),
    ("wrong method", wrong_method),
    ("HEAD", head),
];

fn with_line(make: &Make, line: &str) -> Vec<u8> {
    let sends = make.framed("", make.body().as_bytes());
    let text = String::from_utf8_lossy(&sends).into_owned();
    let rest = text.split_once("\r\n").map_or("", |(_, rest)| rest);
    format!("{line}\r\n{rest}").into_bytes()
}

/// Ours is the path exactly; nothing is decoded or tidied up.
fn tricks(make: &mut Make) -> Case {
    let path = make.endpoint.path;
    let tricked = match make.rng.u8(0..16) {
        0 => format!("/{path}"),
        1 => format!("{path}/"),
        2 => format!("/x/..{path}"),
        3 => format!("/.{path}"),
        4 => format!("/x/%2e%2e{path}"),
        5 => path.replace("/v1/", "/v1%2f"),
        6 => path.replace("/v1/", "/v1//"),
        7 => path.replace("/v1/", "/V1/"),
        8 => path.replace("/v1/", "/v1/./"),
        9 => format!("{path}%00"),
        10 => format!("{path}%0d%0ax-weirinject:1"),
        11 => format!("{path};x=1"),
        12 => path.replace("/v1/", "/%76%31/"),
        13 => format!("{path}/%ff%fe"),
        14 => path.replace("/v1/", "/v1\\"),
        _ => make.pick(&["/", "/admin/v1/state", "/metrics", "/v1", "/.git/config", "/%"]).to_owned(),
    };
    let sends = with_line(make, &format!("POST {tricked} HTTP/1.1"));
    make.case(sends, Expect::Refused(&[404]), After::Any)
}

fn long(make: &mut Make) -> Case {
    let length = make.rng.usize(1_000..60_000);
    let sends = with_line(make, &format!("POST /{} HTTP/1.1", "p".repeat(length)));
    make.case(sends, Expect::Refused(&[404]), After::Any)
}

fn too_long(make: &mut Make) -> Case {
    let length = make.pick(&[66_000, 100_000, 300_000]);
    let sends = with_line(make, &format!("POST {}?{} HTTP/1.1", make.endpoint.path, "q".repeat(length)));
    make.case(sends, Expect::Refused(&[414, 431]), After::Closed)
}

/// RFC 9112, 3.2.2: taken, and the host that it names instead of the field's.
fn absolute(make: &mut Make) -> Case {
    let origin = make.pick(&["http://weir", "http://evil:1", "https://weir:443", "HTTP://a.b"]);
    let sends = with_line(make, &format!("POST {origin}{} HTTP/1.1", make.endpoint.path));
    make.case(sends, Expect::Served(make.upstream(make.body().as_bytes())), After::Open)
}

fn query(make: &mut Make) -> Case {
    let query =
        make.pick(&["?", "?a=b&api-version=2024", "?%00%0d%0a=WEIRINJECT", "?model=evil", "?/../../x"]);
    let sends = with_line(make, &format!("POST {}{query} HTTP/1.1", make.endpoint.path));
    make.case(sends, Expect::Served(make.upstream(make.body().as_bytes())), After::Open)
}

fn odd_forms(make: &mut Make) -> Case {
    let line = make.pick(&[
        "OPTIONS * HTTP/1.1",
        "POST * HTTP/1.1",
        "CONNECT evil:443 HTTP/1.1",
        "CONNECT 127.0.0.1:6379 HTTP/1.1",
        "POST evil:443 HTTP/1.1",
        "POST http:// HTTP/1.1",
        "POST v1/chat/completions HTTP/1.1",
        "GET ? HTTP/1.1",
    ]);
    let sends = with_line(make, line);
    make.case(sends, Expect::Refused(&[400, 404, 405]), After::Any)
}

/// Names of models in paths are decoded once, and are never a path of ours.
fn models(make: &mut Make) -> Case {
    let name = make.pick(&[
        "%00",
        "%ff",
        "%c3%28",
        "..%2f..%2fadmin",
        "%252e",
        "x%0d%0ax-weirinject:1",
        "%",
        "%zz",
        "a/b/c/d",
        "%ED%A0%80",
        "sure-0%00",
        "sure-0/",
        "%3Cscript%3E",
    ]);
    let sends =
        format!("GET /v1/models/{name} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {CLIENT_KEY}\r\n\r\n");
    make.case(sends.into_bytes(), Expect::Refused(&[400, 404]), After::Open)
}

fn wrong_method(make: &mut Make) -> Case {
    let method =
        make.pick(&["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW", "post", "M-SEARCH", "PRI"]);
    let sends = with_line(make, &format!("{method} {} HTTP/1.1", make.endpoint.path));
    make.case(sends, Expect::Refused(&[405]), After::Any)
}

fn head(make: &mut Make) -> Case {
    let sends = format!("HEAD {} HTTP/1.1\r\nhost: weir\r\n\r\n", make.endpoint.path);
    Case { bodiless: true, ..make.case(sends.into_bytes(), Expect::Refused(&[405]), After::Any) }
}
