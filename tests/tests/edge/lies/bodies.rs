//! Bodies of plain answers.

use super::{
    Expect, FAILED, FAILED_OR_LATE, Kind, Lie, Make, SLOW, To, answer, poison, sends, sends_and_closes,
    sends_and_hangs,
};
use crate::upstream::{Step, chunk};

pub(crate) const KINDS: &[Kind] = &[
    ("length too short", To::Plain, length_short),
    ("length too long, closed", To::Plain, length_long),
    ("length too long, silent", To::Plain, length_long_and_silent),
    ("two lengths", To::Plain, two_lengths),
    ("length and chunked", To::Plain, length_and_chunked),
    ("closed at any byte", To::Plain, closed),
    ("reset at any byte", To::Plain, reset),
    ("no length", To::Plain, until_closed),
    ("no length, cut off", To::Plain, until_closed_and_cut),
    ("HTTP/1.0", To::Plain, http_1_0),
    ("damaged JSON", To::Plain, damaged),
    ("a page", To::All, page),
    ("an error as a success", To::All, error_as_success),
    ("an error with its status", To::All, honest_error),
    ("compressed", To::Plain, compressed),
    ("trailers", To::Plain, trailers),
    ("odd chunks", To::Plain, odd_chunks),
    ("damaged chunks", To::Plain, damaged_chunks),
    ("a body without end", To::Plain, endless),
    ("a head and then silence", To::Plain, silence),
    ("odd numbers in the usage", To::Plain, odd_usage),
];

fn with_length(body: &[u8], length: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn length_short(make: &mut Make) -> Lie {
    let body = make.body();
    let length = make.rng.usize(0..body.len());
    sends([with_length(body.as_bytes(), length), poison()].concat(), FAILED)
}

fn length_long(make: &mut Make) -> Lie {
    let body = make.body();
    let more = make.pick(&[1, 2, 1_000, 1 << 40]);
    sends_and_closes(with_length(body.as_bytes(), body.len() + more), FAILED)
}

fn length_long_and_silent(make: &mut Make) -> Lie {
    let body = make.body();
    sends_and_hangs(with_length(body.as_bytes(), body.len() + 1), SLOW)
}

fn two_lengths(make: &mut Make) -> Lie {
    let body = make.body();
    let bytes = with_length(body.as_bytes(), body.len());
    let other = make.pick(&[0, body.len() - 1, body.len() + 1]);
    let twice = format!("\r\ncontent-length: {other}\r\n\r\n");
    let bytes = String::from_utf8_lossy(&bytes).replacen("\r\n\r\n", &twice, 1).into_bytes();
    sends_and_closes(bytes, FAILED)
}

/// RFC 9112, 6.3: an error, or the coding counts; what follows is no answer.
fn length_and_chunked(make: &mut Make) -> Lie {
    let body = make.body();
    let length = make.pick(&[0, 5, body.len(), 10_000]);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let bytes = [head.as_bytes(), &chunk(body.as_bytes()), &chunk(b""), &poison()].concat();
    sends(bytes, Expect::OneOf(vec![Expect::Passed(body.into_bytes()), FAILED]))
}

fn closed(make: &mut Make) -> Lie {
    let (bytes, _) = make.honest();
    let length = make.rng.usize(0..bytes.len());
    sends_and_closes(bytes[..length].to_vec(), FAILED)
}

fn reset(make: &mut Make) -> Lie {
    let (bytes, body) = make.honest();
    let length = make.rng.usize(0..=bytes.len());
    let mut expect = vec![FAILED];
    if length == bytes.len() {
        expect.push(Expect::Passed(body));
    }
    Lie { steps: vec![Step::Send(bytes[..length].to_vec()), Step::Reset], expect: Expect::OneOf(expect) }
}

const UNTIL_CLOSED: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";

fn until_closed(make: &mut Make) -> Lie {
    let body = make.body();
    sends_and_closes((UNTIL_CLOSED.to_owned() + &body).into_bytes(), Expect::Passed(body.into_bytes()))
}

/// Also where what is left ends with a brace.
fn until_closed_and_cut(make: &mut Make) -> Lie {
    let body = make.body();
    let braces: Vec<usize> = body[..body.len() - 1].match_indices('}').map(|(at, _)| at + 1).collect();
    let length = if make.rng.bool() { make.pick(&braces) } else { make.rng.usize(0..body.len()) };
    sends_and_closes((UNTIL_CLOSED.to_owned() + &body[..length]).into_bytes(), FAILED)
}

fn http_1_0(make: &mut Make) -> Lie {
    let body = make.body();
    let head = UNTIL_CLOSED.replacen("HTTP/1.1", "HTTP/1.0", 1);
    sends_and_closes((head + &body).into_bytes(), Expect::Passed(body.into_bytes()))
}

/// Bytes replaced, inserted or left out until what comes of it is no JSON any more.
fn damaged(make: &mut Make) -> Lie {
    let mut body = make.body().into_bytes();
    loop {
        let at = make.rng.usize(0..body.len());
        let byte = make.pick(b"{}[]\",:\\0e-tnx \x00\x1f\x7f\xff\xc3");
        match make.rng.u8(0..3) {
            0 => body[at] = byte,
            1 => body.insert(at, byte),
            _ => drop(body.remove(at)),
        }
        if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
            return sends(answer("200 OK", "", &body), FAILED);
        }
    }
}

fn page(make: &mut Make) -> Lie {
    let page = make.pick(&[
        "<!DOCTYPE html><html><body>POISON {\"choices\":[]}</body></html>",
        "",
        "OK",
        "null",
        "[]",
        "\"POISON\"",
        "{}{}",
        "{\"choices\":[]} POISON",
    ]);
    let status = make.pick(&["200 OK", "200 OK", "500 x", "502 x", "504 x"]);
    // Who says that it was late is believed.
    let expect = if status.starts_with("504") { FAILED_OR_LATE } else { FAILED };
    sends(answer(status, "", page.as_bytes()), expect)
}

fn error_as_success(make: &mut Make) -> Lie {
    let body = make.pick(&[
        r#"{"error":{"message":"POISON went away","type":"server_error","code":null,"param":null}}"#,
        r#"{"error":"POISON"}"#,
        r#"{"object":"error","message":"POISON","type":"InternalServerError","code":500}"#,
        r#"{"error":{"message":"Provider returned error","code":502},"user_id":"SECRET"}"#,
    ]);
    sends(answer("200 OK", "", body.as_bytes()), FAILED)
}

/// The provider's own words, where the request is to blame.
fn honest_error(make: &mut Make) -> Lie {
    let body = make.pick(&[
        r#"{"error":{"message":"No such parameter","type":"invalid_request_error","param":"x","code":null}}"#,
        r#"{"error":{"message":"é\u0000 \u001b[31m","type":"invalid_request_error","param":null,"code":"x"}}"#,
        r#"{"message":"flat","type":"invalid_request_error"}"#,
    ]);
    let status = make.pick(&[400, 413, 422]);
    let expect = Expect::Refused(status, Some(body.as_bytes().to_vec()));
    sends(answer(&format!("{status} x"), "", body.as_bytes()), expect)
}

fn compressed(make: &mut Make) -> Lie {
    let coding = make.pick(&["gzip", "br", "deflate", "zstd"]);
    let bytes = [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], make.body().as_bytes()].concat();
    sends(answer("200 OK", &format!("content-encoding: {coding}\r\n"), &bytes), FAILED)
}

const CHUNKED: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

fn trailers(make: &mut Make) -> Lie {
    let body = make.body();
    let end = b"0\r\nx-trailer: POISON\r\nx-weir-deployment: POISON\r\n\r\n";
    sends([CHUNKED, &chunk(body.as_bytes()), end].concat(), Expect::Passed(body.into_bytes()))
}

fn odd_chunks(make: &mut Make) -> Lie {
    let body = make.body();
    let size = make.rng.usize(1..60);
    let extension = make.pick(&["", ";a", ";a=b", ";a=\"b\"", "  "]);
    let piece =
        |data: &[u8]| [format!("000{:X}{extension}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    let pieces: Vec<u8> = body.as_bytes().chunks(size).flat_map(piece).collect();
    sends([CHUNKED, &pieces, b"0\r\n\r\n"].concat(), Expect::Passed(body.into_bytes()))
}

fn damaged_chunks(make: &mut Make) -> Lie {
    let body = make.body();
    let size = format!("{:x}", body.len());
    let whole = format!("{size}\r\n{body}\r\n0\r\n\r\n");
    let bytes = match make.rng.u8(0..8) {
        0 => whole.replacen(&size, "zz", 1),
        1 => whole.replacen(&size, &format!("-{size}"), 1),
        2 => whole.replacen(&size, "fffffffffffffffff", 1),
        3 => whole.replacen(&format!("{body}\r\n"), &body, 1),
        4 => whole.replacen(&format!("{body}\r\n"), &format!("{body}POISON\r\n"), 1),
        5 => whole.replacen("\r\n0\r\n\r\n", "\r\n", 1),
        6 => whole.replacen(&format!("{size}\r\n"), &format!("{size};{}\r\n", "e".repeat(40_000)), 1),
        _ => whole.replacen("\r\n0\r\n\r\n", "\r\n0\r\nPOISON", 1),
    };
    sends_and_closes([CHUNKED, bytes.as_bytes()].concat(), FAILED)
}

/// Read up to a bound, and not kept beyond it.
fn endless(make: &mut Make) -> Lie {
    if make.rng.u8(0..4) > 0 {
        return silence(make);
    }
    let piece = vec![b'x'; 256 << 10];
    let head = [CHUNKED, &chunk(b"{\"x\":\"")].concat();
    Lie { steps: vec![Step::Send(head), Step::Repeat(chunk(&piece), 80 << 20)], expect: FAILED_OR_LATE }
}

fn silence(make: &mut Make) -> Lie {
    let body = make.body();
    let sent = make.rng.usize(0..body.len());
    sends_and_hangs([CHUNKED, &chunk(&body.as_bytes()[..sent.max(1)])].concat(), SLOW)
}

/// Numbers that no call uses must not spoil the books.
fn odd_usage(make: &mut Make) -> Lie {
    let body = make.body();
    let at = body.find(r#","usage""#).unwrap_or(body.len() - 1);
    let usage = make.pick(&[
        r#"{"prompt_tokens":-5,"completion_tokens":1e308,"total_tokens":null}"#,
        r#"{"prompt_tokens":18446744073709551615,"completion_tokens":18446744073709551615}"#,
        r#"{"prompt_tokens":"7","completion_tokens":[],"total_tokens":{}}"#,
        r#"{"prompt_tokens":0.5,"completion_tokens":-0,"total_tokens":1e-400}"#,
        "null",
        "[]",
        "7",
    ]);
    let body = format!(r#"{},"usage":{usage}}}"#, &body[..at]);
    sends(answer("200 OK", "", body.as_bytes()), Expect::Passed(body.into_bytes()))
}
