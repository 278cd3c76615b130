//! Status lines and fields.

use super::{
    Expect, FAILED, FAILED_OR_LATE, Kind, Lie, Make, To, answer, later, poison, sends, sends_and_closes,
};
use crate::upstream::Step;

pub(crate) const KINDS: &[Kind] = &[
    ("closed before any byte", To::All, closed_at_once),
    ("reset before any byte", To::All, reset_at_once),
    ("closed in the head", To::All, closed_in_head),
    ("no HTTP", To::All, no_http),
    ("damaged status line", To::All, status_line),
    ("odd status", To::All, odd_status),
    ("bodiless status with a body", To::All, bodiless),
    ("redirect", To::All, redirect),
    ("interim answers", To::All, interim),
    ("interim answers without end", To::Plain, endless_interim),
    ("switched protocols", To::All, switched),
    ("damaged field", To::All, damaged_field),
    ("odd fields", To::All, odd_fields),
    ("fields of ours and of its own", To::All, foreign_fields),
    ("too many fields", To::All, many_fields),
    ("fields without end", To::All, endless_fields),
    ("more than the answer", To::All, more),
    ("more, later", To::All, more_later),
    ("absurd retry-after with 429", To::All, retry_after_429),
    ("absurd retry-after with 503", To::All, retry_after_503),
];

fn closed_at_once(_: &mut Make) -> Lie {
    Lie { steps: vec![Step::Close], expect: FAILED }
}

fn reset_at_once(_: &mut Make) -> Lie {
    Lie { steps: vec![Step::Reset], expect: FAILED }
}

fn closed_in_head(make: &mut Make) -> Lie {
    let (bytes, _) = make.honest();
    let head = crate::wire::find(&bytes, b"\r\n\r\n").unwrap_or_default();
    let length = make.rng.usize(1..head + 4);
    sends_and_closes(bytes[..length].to_vec(), FAILED)
}

fn no_http(make: &mut Make) -> Lie {
    let bytes: &[u8] = make.pick(&[
        &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
        b"\x15\x03\x01\0\x02\x02\x28",
        b"{\"choices\":[]}\r\n\r\n",
        b"\0\0\0\x04\0\0\0\0\0",
        b"data: [DONE]\n\n",
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    ]);
    sends_and_closes(bytes.to_vec(), FAILED)
}

/// With a right answer behind it.
fn status_line(make: &mut Make) -> Lie {
    let line = make.pick(&[
        "HTTP/2 200",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1",
        "HTTP/1.1 099 Low",
        "ICY 200 OK",
        "http/1.1 200 OK",
        "HTTP/3.1 200 OK",
        " HTTP/1.1 200 OK",
    ]);
    let (bytes, _) = make.honest();
    let bytes = String::from_utf8_lossy(&bytes).replacen("HTTP/1.1 200 OK", line, 1).into_bytes();
    sends_and_closes(bytes, FAILED)
}

fn odd_status(make: &mut Make) -> Lie {
    let (status, expect) = make.pick(&[
        ("600 Odd", "failed"),
        ("999 Odd", "failed"),
        ("500 ", "failed"),
        ("502 Bad Gateway", "failed"),
        ("520 Web Server Returned an Unknown Error", "failed"),
        ("401 Unauthorized", "failed"),
        ("403 Forbidden", "failed"),
        ("400 Bad Request", "400"),
        ("422 Unprocessable", "422"),
        ("418 I'm a teapot", "418"),
    ]);
    let page = make.pick(&["<html>POISON", "", "{\"error\":{\"message\":", "POISON", "null", "[]"]);
    let expect = expect.parse().map_or(FAILED, |status| Expect::Refused(status, None));
    sends(answer(status, "", page.as_bytes()), expect)
}

/// What follows such a head is no body: the next answer would begin with it.
fn bodiless(make: &mut Make) -> Lie {
    let status = make.pick(&["204 No Content", "304 Not Modified", "205 Reset Content"]);
    let (_, body) = make.honest();
    let mut bytes = answer(status, "", &body);
    if make.rng.bool() {
        bytes.extend(poison());
    }
    if status.starts_with("205") && !make.streamed {
        return sends(bytes, Expect::OneOf(vec![FAILED, Expect::Passed(body)])); // RFC 9110 leaves it open
    }
    sends(bytes, FAILED_OR_LATE)
}

fn redirect(make: &mut Make) -> Lie {
    let status =
        make.pick(&["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent", "300 x"]);
    let place = make.pick(&["http://127.0.0.1:1/", "/v1/chat/completions", "//evil/", "file:///etc/passwd"]);
    sends(answer(status, &format!("location: {place}\r\n"), b"{}"), FAILED)
}

fn interim(make: &mut Make) -> Lie {
    let head = make.pick(&[
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\nx-poison: POISON\r\n\r\n",
        "HTTP/1.1 199 x\r\n\r\n",
    ]);
    let count = make.rng.usize(1..60);
    let (bytes, body) = make.honest();
    sends([head.repeat(count).as_bytes(), &bytes].concat(), Expect::Passed(body))
}

/// A plain answer begins when it is complete: only the call's own time bounds it.
fn endless_interim(_: &mut Make) -> Lie {
    let interim = Step::Repeat(b"HTTP/1.1 102 Processing\r\n\r\n".to_vec(), 26);
    let slowly = (0..1_000).flat_map(|_| [interim.clone(), later()]);
    Lie { steps: slowly.collect(), expect: Expect::Late }
}

fn switched(_: &mut Make) -> Lie {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nPOISON";
    sends_and_closes(head.to_vec(), FAILED)
}

fn with_field(make: &Make, field: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (bytes, body) = make.honest();
    let at = crate::wire::find(&bytes, b"\r\n").unwrap_or_default() + 2;
    ([&bytes[..at], field, b"\r\n", &bytes[at..]].concat(), body)
}

fn damaged_field(make: &mut Make) -> Lie {
    let field: &[u8] = make.pick(&[
        &b"x-a: b\x00c"[..],
        b"x-a\x00: b",
        b"x a: b",
        b": b",
        b"x-a",
        b"x-\xff: b",
        b"content-length: x",
        b"content-length: -1",
        b"content-length: 99999999999999999999",
        b"x-a: \x01\x02",
    ]);
    let (bytes, body) = with_field(make, field);
    // RFC 9112, 6.3: where the coding is chunked, that counts and no length.
    if make.streamed && field.starts_with(b"content-length") {
        return sends_and_closes(bytes, Expect::OneOf(vec![FAILED, Expect::Passed(body)]));
    }
    sends_and_closes(bytes, FAILED)
}

/// Odd, but allowed.
fn odd_fields(make: &mut Make) -> Lie {
    let field: &[u8] = make.pick(&[
        &b"openai-processing-ms: \xff\xfe\x80"[..],
        b"openai-processing-ms: 1\r\nopenai-processing-ms: POISON",
        b"x-a:",
        b"x-a: \t b \t",
        b"X-RATELIMIT-REMAINING-REQUESTS: NaN\r\nx-ratelimit-limit-requests: -1",
        b"x-a: \xc3\xa4\xe2\x80\xae",
        b"keep-alive: timeout=-1\r\nconnection: keep-alive",
    ]);
    let (bytes, body) = with_field(make, field);
    sends(bytes, Expect::Passed(body))
}

/// A provider speaks neither for the gateway nor about its account.
fn foreign_fields(make: &mut Make) -> Lie {
    let field = make.pick(&[
        "x-weir-deployment: POISON\r\nx-weir-replica: POISON\r\nx-request-id: POISON",
        "set-cookie: SECRET=1\r\nset-cookie2: SECRET",
        "openai-organization: SECRET\r\nx-ratelimit-limit-tokens: 1\r\ncf-ray: SECRET",
        "connection: x-poison, keep-alive\r\nx-poison: POISON\r\nproxy-authenticate: POISON",
        "access-control-allow-origin: *\r\nstrict-transport-security: max-age=1\r\nalt-svc: h3=\":443\"",
        "trailer: x-poison\r\nupgrade: h2c\r\nwww-authenticate: Basic",
        "server: SECRET\r\nvia: SECRET\r\ndate: Mon, 01 Jan 1990 00:00:00 GMT",
    ]);
    let (bytes, body) = with_field(make, field.as_bytes());
    sends(bytes, Expect::Passed(body))
}

fn many_fields(make: &mut Make) -> Lie {
    let flood: Vec<String> = (0..make.rng.usize(150..1_000)).map(|at| format!("x-{at}: POISON")).collect();
    sends_and_closes(with_field(make, flood.join("\r\n").as_bytes()).0, FAILED)
}

fn endless_fields(make: &mut Make) -> Lie {
    let (name, length) = make.pick(&[("x-a", 100), ("x-a", 100_000), ("content-type", 10)]);
    let line = format!("{name}: {}\r\n", "POISON".repeat(length / 6));
    let steps = vec![
        Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Step::Repeat(line.into_bytes(), 4 << 20),
        Step::Close,
    ];
    Lie { steps, expect: FAILED }
}

/// The answer is right; what follows belongs to nobody, least of all to the next call.
fn more(make: &mut Make) -> Lie {
    let (bytes, body) = make.honest();
    let behind = match make.rng.u8(0..4) {
        0 => poison().repeat(5),
        1 => b"POISON".to_vec(),
        2 => b"\r\n".to_vec(),
        _ => poison(),
    };
    sends([bytes, behind].concat(), Expect::Passed(body))
}

fn more_later(make: &mut Make) -> Lie {
    let (bytes, body) = make.honest();
    let steps = vec![Step::Send(bytes), later(), Step::Send(poison())];
    Lie { steps, expect: Expect::Passed(body) }
}

const ABSURD: [&str; 16] = [
    "-1",
    "0",
    "NaN",
    "inf",
    "1e99",
    "-1e99",
    "99999999999999999999",
    "Sun, 06 Nov 3000 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 99 Foo 3000 99:99:99 GMT",
    "",
    "x",
    "1,2",
    "\u{663}",
    "3.5e-400",
    "1 day",
];

fn retry_after(make: &mut Make) -> String {
    let (value, name) = (make.pick(&ABSURD), make.pick(&["retry-after", "retry-after-ms"]));
    let reset = make.pick(&ABSURD);
    format!("{name}: {value}\r\nx-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: {reset}\r\n")
}

fn retry_after_429(make: &mut Make) -> Lie {
    let body = br#"{"error":{"message":"Please try again in 1e99h.","type":"x","code":null,"param":null}}"#;
    sends(answer("429 x", &retry_after(make), body), Expect::Moved(&[429]))
}

fn retry_after_503(make: &mut Make) -> Lie {
    let fields = retry_after(make);
    sends(answer("503 x", &fields, b"{}"), FAILED)
}
