//! Fields: what may not pass, what may not be believed, and too many of them.

use super::{After, Case, Expect, Kind, Make};
use crate::gate::CLIENT_KEY;

pub(crate) const KINDS: &[Kind] = &[
    ("hop-by-hop fields", hop_by_hop),
    ("fields that pretend", pretending),
    ("foreign credentials", credentials),
    ("expect: 100-continue", expect_continue),
    ("expect: 100-continue of too much", expect_too_much),
    ("odd expectation", odd_expectation),
    ("upgrade", upgrade),
    ("many fields", many),
    ("too many fields", too_many),
    ("too large a field", too_large),
    ("odd time limit", odd_time),
    ("long time limit", long_time),
    ("odd session", session),
    ("odd content type", content_type),
    ("no key", no_key),
    ("wrong key", wrong_key),
    ("host missing, twice or wrong", host),
];

fn hop_by_hop(make: &mut Make) -> Case {
    let fields = make.pick(&[
        "connection: x-weirinject\r\nx-weirinject: 1\r\n",
        "connection: keep-alive, x-a\r\nx-a: WEIRINJECT\r\nkeep-alive: timeout=5\r\n",
        "connection: content-length, host, authorization\r\n",
        "proxy-connection: keep-alive\r\nproxy-authorization: Basic WEIRINJECT\r\n",
        "te: trailers, deflate\r\nconnection: te\r\n",
        "trailer: x-weirinject\r\n",
        "keep-alive: timeout=1000000, max=0\r\n",
    ]);
    make.served(fields, &make.body())
}

/// What only a proxy of ours, a provider or the gateway itself may say.
fn pretending(make: &mut Make) -> Case {
    let fields = make.pick(&[
        "x-weir-deployment: WEIRINJECT\r\nx-weir-attempts: 999\r\nx-weir-replica: WEIRINJECT\r\n",
        "x-request-id: WEIRINJECT\r\nx-weir-session: WEIRINJECT\r\n",
        "x-forwarded-for: WEIRINJECT\r\nforwarded: for=WEIRINJECT\r\nx-real-ip: 1.2.3.4\r\n",
        "x-forwarded-host: WEIRINJECT\r\nx-original-url: /admin\r\nx-rewrite-url: /admin\r\n",
        "x-http-method-override: DELETE\r\nx-method-override: GET\r\n",
        "x-account: WEIRINJECT\r\nopenai-organization: WEIRINJECT\r\nuser-agent: WEIRINJECT\r\n",
        "range: bytes=0-1\r\nif-none-match: *\r\nif-match: \"x\"\r\naccept-encoding: gzip\r\n",
        "cookie: WEIRINJECT=1\r\norigin: http://evil\r\nreferer: http://evil/WEIRINJECT\r\n",
        "x-weirinject: é\u{202e}\r\n",
    ]);
    make.served(fields, &make.body())
}

/// The first is the key; the others are nobody's business.
fn credentials(make: &mut Make) -> Case {
    let field = make.pick(&[
        "x-api-key: WEIRINJECT\r\n",
        "api-key: WEIRINJECT\r\nx-goog-api-key: WEIRINJECT\r\n",
        "authorization: Bearer WEIRINJECT\r\n",
        "proxy-authorization: Bearer WEIRINJECT\r\n",
    ]);
    make.served(field, &make.body())
}

fn expect_continue(make: &mut Make) -> Case {
    let case = make.served("expect: 100-continue\r\n", &make.body());
    Case { interim: Some(true), ..case }
}

/// Refused before the body is asked for.
fn expect_too_much(make: &mut Make) -> Case {
    let length = make.rng.usize(crate::gate::MAX_BODY + 1..1 << 40);
    let sends = format!("{}expect: 100-continue\r\ncontent-length: {length}\r\n\r\n", make.head());
    let case = make.case(sends.into_bytes(), Expect::Refused(&[413]), After::Closed);
    Case { interim: Some(false), ..case }
}

/// RFC 9110, 10.1.1: 417, or overlooked.
fn odd_expectation(make: &mut Make) -> Case {
    let fields = make.pick(&["expect: 200-ok\r\n", "expect: x=\"y\"\r\n", "expect:\r\n"]);
    let case = make.served(fields, &make.body());
    Case { expect: Expect::Either(&[417], make.upstream(make.body().as_bytes())), after: After::Any, ..case }
}

fn upgrade(make: &mut Make) -> Case {
    let fields = make.pick(&[
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: WEIRINJECT\r\nsec-websocket-version: 13\r\n",
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        "upgrade: TLS/1.0, HTTP/9\r\nconnection: Upgrade\r\n",
    ]);
    make.served(fields, &make.body())
}

fn flood(count: usize, length: usize) -> String {
    (0..count).map(|at| format!("x-flood-{at}: {}\r\n", "f".repeat(length))).collect()
}

fn many(make: &mut Make) -> Case {
    let fields = flood(make.rng.usize(1..60), make.rng.usize(0..300));
    make.served(&fields, &make.body())
}

fn too_many(make: &mut Make) -> Case {
    let fields = flood(make.rng.usize(150..2_000), 5);
    let sends = make.framed(&fields, make.body().as_bytes());
    make.case(sends, Expect::Refused(&[431]), After::Closed)
}

fn too_large(make: &mut Make) -> Case {
    let name = make.pick(&["x-a", "x-session-id", "cookie", "authorization2"]);
    let length = make.pick(&[66_000, 100_000, 450_000, 1_500_000]);
    let sends = make.framed(&format!("{name}: {}\r\n", "f".repeat(length)), make.body().as_bytes());
    make.case(sends, Expect::Refused(&[431]), After::Closed)
}

fn odd_time(make: &mut Make) -> Case {
    let value = make.pick(&[
        "0",
        "-1",
        "1.5",
        "1e3",
        "x",
        "",
        "NaN",
        "10s",
        "0x10",
        "1_000",
        "+5",
        "5, 6",
        "\"5\"",
        "٣",
        "99999999999999999999999999",
    ]);
    let sends = make.framed(&format!("x-weir-timeout-ms: {value}\r\n"), make.body().as_bytes());
    make.case(sends, Expect::Refused(&[400]), After::Open)
}

/// No reason to wait for longer than the configuration says, and none to fail.
fn long_time(make: &mut Make) -> Case {
    let value =
        make.pick(&["60000", "18446744073709551615", "9223372036854775808", "0000060000", "  70000\t"]);
    make.served(&format!("x-weir-timeout-ms: {value}\r\n"), &make.body())
}

fn session(make: &mut Make) -> Case {
    let value: Vec<u8> = match make.rng.u8(0..7) {
        0 => Vec::new(),
        1 => vec![b's'; make.rng.usize(1..8_000)],
        2 => b"\xff\xfe\x80\xc3".to_vec(),
        3 => b"{weir}:state; DEL * \\ ' \" --".to_vec(),
        4 => b"../../x\tWEIRINJECT".to_vec(),
        5 => b"a\r\nx-session-id: WEIRINJECT".to_vec(),
        _ => b"%0d%0ax-weirinject:%201".to_vec(),
    };
    let body = make.body();
    let length = format!("\r\ncontent-length: {}\r\n\r\n", body.len());
    let head = make.head() + "x-session-id: ";
    let sends = [head.as_bytes(), &value, length.as_bytes(), body.as_bytes()].concat();
    make.case(sends, Expect::Served(make.upstream(body.as_bytes())), After::Open)
}

/// The body decides.
fn content_type(make: &mut Make) -> Case {
    let value = make.pick(&[
        "text/plain",
        "application/json; charset=utf-16",
        "multipart/form-data; boundary=x",
        "",
        "x",
        "application/json\r\ncontent-type: text/html",
    ]);
    make.served(&format!("content-type: {value}\r\n"), &make.body())
}

fn without_key(make: &Make, fields: &str) -> Vec<u8> {
    let sends = make.framed(fields, make.body().as_bytes());
    let key = format!("authorization: Bearer {CLIENT_KEY}\r\n");
    String::from_utf8_lossy(&sends).replacen(&key, "", 1).into_bytes()
}

fn no_key(make: &mut Make) -> Case {
    let fields = make.pick(&[
        "",
        "authorization:\r\n",
        "authorization: Bearer\r\n",
        "authorization: Bearer \r\n",
        "x-api-key:\r\n",
    ]);
    make.case(without_key(make, fields), Expect::Refused(&[401]), After::Any)
}

fn wrong_key(make: &mut Make) -> Case {
    let field = match make.rng.u8(0..8) {
        0 => format!("authorization: Basic {CLIENT_KEY}"),
        1 => format!("authorization: Bearer {CLIENT_KEY}x"),
        2 => format!("authorization: Bearer {}", &CLIENT_KEY[..CLIENT_KEY.len() - 1]),
        3 => format!("authorization: Bearer {}", CLIENT_KEY.to_uppercase()),
        4 => format!("authorization: Bearer \"{CLIENT_KEY}\""),
        5 => format!("authorization: Bearer x\r\nx-api-key: {CLIENT_KEY}"),
        6 => format!("authorization: {CLIENT_KEY}"),
        _ => format!("x-api-key: {}", "k".repeat(make.rng.usize(1..8_000))),
    };
    make.case(without_key(make, &format!("{field}\r\n")), Expect::Refused(&[401]), After::Any)
}

/// RFC 9112, 3.2: 400 to a request of HTTP/1.1 without exactly one valid host.
fn host(make: &mut Make) -> Case {
    let fields = make.pick(&[
        "",
        "host: weir\r\nhost: weir\r\n",
        "host: weir\r\nhost: evil\r\n",
        "host: we ir\r\n",
        "host: weir/x\r\n",
        "host: a@weir\r\n",
        "host: weir:x\r\n",
        "host: weir, evil\r\n",
        "host: \"weir\"\r\n",
    ]);
    let sends = make.framed("", make.body().as_bytes());
    let sends = String::from_utf8_lossy(&sends).replacen("host: weir\r\n", fields, 1);
    make.case(sends.into_bytes(), Expect::Refused(&[400]), After::Any)
}
