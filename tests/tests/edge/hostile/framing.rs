//! Framing: where a request ends. Two readers that differ here see different requests; so what is not plain is refused
//! and the connection closed.

use super::{After, Case, Expect, Kind, Make};
use crate::gate::{CLIENT_KEY, MAX_BODY};

pub(crate) const KINDS: &[Kind] = &[
    ("chunked", chunked_well),
    ("damaged chunk", damaged_chunk),
    ("chunks cut off", chunks_cut_off),
    ("flood of trailers", trailers),
    ("length and chunked", both),
    ("odd transfer-encoding", odd_coding),
    ("coding beside chunked", other_coding),
    ("transfer-encoding in HTTP/1.0", coding_in_1_0),
    ("odd length", odd_length),
    ("two lengths", two_lengths),
    ("the same length twice", same_length_twice),
    ("length too small", short_length),
    ("cut off in the body", cut_off),
    ("announced too large", announced_too_large),
    ("cut off in the head", cut_off_in_head),
    ("bare line feeds", bare_lf),
    ("damaged field", damaged_field),
    ("damaged start line", damaged_line),
    ("HTTP/1.0", http_1_0),
    ("not HTTP", not_http),
];

/// `body` in chunks of `size`, with `extension` behind each size.
pub(crate) fn chunked(body: &[u8], size: usize, extension: &str) -> Vec<u8> {
    let piece = |data: &[u8]| [format!("{:X}{extension}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    let mut out: Vec<u8> = body.chunks(size).flat_map(piece).collect();
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn with_coding(make: &Make, fields: &str, chunks: &[u8]) -> Vec<u8> {
    [format!("{}{fields}\r\n", make.head()).as_bytes(), chunks].concat()
}

fn chunked_well(make: &mut Make) -> Case {
    let body = make.body();
    let size = make.rng.usize(1..200);
    let extension = make.pick(&["", ";a", ";a=b", ";a=\"b;c\"", " ;a"]);
    let mut chunks = chunked(body.as_bytes(), size, extension);
    if make.rng.bool() {
        let end = chunks.len() - 2;
        chunks.splice(
            end..end,
            b"x-trailer: 1\r\nx-weirinject: 1\r\nauthorization: Bearer x\r\n".iter().copied(),
        );
    }
    let coding = make.pick(&["chunked", "Chunked", "CHUNKED", "  chunked \t"]);
    let sends = with_coding(make, &format!("transfer-encoding: {coding}\r\n"), &chunks);
    make.case(sends, Expect::Served(make.upstream(body.as_bytes())), After::Open)
}

fn damaged_chunk(make: &mut Make) -> Case {
    let body = make.body();
    let whole = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let size = format!("{:x}", body.len());
    let damaged = match make.rng.u8(0..10) {
        0 => whole.replacen(&size, &format!("0x{size}"), 1),
        1 => whole.replacen(&size, &format!("-{size}"), 1),
        2 => whole.replacen(&size, &format!("+{size}"), 1),
        3 => whole.replacen(&size, "fffffffffffffffff", 1),
        4 => whole.replacen(&size, "", 1),
        5 => whole.replacen(&size, &format!("{size}g"), 1),
        6 => whole.replacen(&format!("{size}\r\n"), &format!("{size}\n"), 1),
        7 => whole.replacen(&format!("{body}\r\n"), &body, 1),
        8 => whole.replacen(&format!("{body}\r\n"), &format!("{body}XX\r\n"), 1),
        _ => whole.replacen(&format!("{size}\r\n"), &format!("{size};{}\r\n", "e".repeat(40_000)), 1),
    };
    let hidden = make.hidden();
    let sends = with_coding(make, "transfer-encoding: chunked\r\n", damaged.as_bytes());
    make.case([sends, hidden].concat(), Expect::Refused(&[400]), After::Closed)
}

fn chunks_cut_off(make: &mut Make) -> Case {
    let body = make.body();
    let size = make.rng.usize(1..200);
    let chunks = chunked(body.as_bytes(), size, "");
    let length = make.rng.usize(0..chunks.len());
    let sends = with_coding(make, "transfer-encoding: chunked\r\n", &chunks[..length]);
    Case { leaves: true, ..make.case(sends, Expect::Nothing, After::Closed) }
}

fn trailers(make: &mut Make) -> Case {
    let mut chunks = chunked(make.body().as_bytes(), 50, "");
    let flood: String = (0..500).map(|at| format!("x-trailer-{at}: {}\r\n", "t".repeat(100))).collect();
    let end = chunks.len() - 2;
    chunks.splice(end..end, flood.bytes());
    let sends = with_coding(make, "transfer-encoding: chunked\r\n", &chunks);
    make.case(sends, Expect::Refused(&[400, 431]), After::Closed)
}

/// RFC 9112, 6.1: refuse it, or go by the coding; in both cases close the connection.
fn both(make: &mut Make) -> Case {
    let body = make.body();
    let chunks = chunked(body.as_bytes(), 64, "");
    let length = make.pick(&[0, 4, body.len(), chunks.len(), chunks.len() + 200]);
    let mut fields = [format!("content-length: {length}\r\n"), "transfer-encoding: chunked\r\n".to_owned()];
    make.rng.shuffle(&mut fields);
    let hidden = make.hidden();
    let sends = [with_coding(make, &fields.concat(), &chunks), hidden].concat();
    make.case(sends, Expect::Either(&[400], make.upstream(body.as_bytes())), After::Closed)
}

/// What one reader takes for `chunked` and another does not.
fn odd_coding(make: &mut Make) -> Case {
    let field = make.pick(&[
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity",
        "transfer-encoding: chunked\x0b",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: chunked;q=1",
        "transfer-encoding: chunkedchunked",
        "transfer-encoding: chu\tnked",
        "transfer-encoding:",
        "transfer-encoding : chunked",
        "transfer-encoding\t: chunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: chunked\r\n\tx: 1",
        "\ttransfer-encoding: chunked",
        "transfer_encoding: chunked",
        "x: y\r\n transfer-encoding: chunked",
    ]);
    let chunks = chunked(make.body().as_bytes(), 1_000, "");
    let sends = [with_coding(make, &format!("{field}\r\n"), &chunks), make.hidden()].concat();
    make.unreadable(sends)
}

/// RFC 9112, 6.1: a coding that is not understood is 501; chunked twice is wrong.
fn other_coding(make: &mut Make) -> Case {
    let coding = make.pick(&[
        "gzip, chunked",
        "identity, chunked",
        "deflate,chunked",
        "chunked, chunked",
        "chunked\r\ntransfer-encoding: chunked",
        "gzip\r\ntransfer-encoding: chunked",
        ", chunked",
    ]);
    let chunks = chunked(make.body().as_bytes(), 1_000, "");
    let sends = with_coding(make, &format!("transfer-encoding: {coding}\r\n"), &chunks);
    make.case([sends, make.hidden()].concat(), Expect::Refused(&[400, 501]), After::Closed)
}

fn coding_in_1_0(make: &mut Make) -> Case {
    let chunks = chunked(make.body().as_bytes(), 1_000, "");
    let sends = with_coding(make, "connection: keep-alive\r\ntransfer-encoding: chunked\r\n", &chunks);
    let text = String::from_utf8_lossy(&sends).replacen("HTTP/1.1", "HTTP/1.0", 1);
    make.unreadable([text.as_bytes(), &make.hidden()].concat())
}

fn with_length(make: &Make, fields: &str) -> Vec<u8> {
    [format!("{}{fields}\r\n", make.head()).as_bytes(), make.body().as_bytes(), &make.hidden()].concat()
}

fn odd_length(make: &mut Make) -> Case {
    let n = make.body().len();
    let value = match make.rng.u8(0..11) {
        0 => format!("+{n}"),
        1 => format!("-{n}"),
        2 => format!("0x{n:x}"),
        3 => format!("{n} {n}"),
        4 => format!("{n},{}", n + 1),
        5 => format!("{n}.0"),
        6 => format!("{n}e0"),
        7 => String::new(),
        8 => "99999999999999999999999".to_owned(),
        9 => format!("\"{n}\""),
        _ => format!("{n}\u{a0}"),
    };
    make.unreadable(with_length(make, &format!("content-length: {value}\r\n")))
}

fn two_lengths(make: &mut Make) -> Case {
    let n = make.body().len();
    let other = make.pick(&[0, 1, n - 1, n + 1, n + 200]);
    let mut fields = [format!("content-length: {n}\r\n"), format!("content-length: {other}\r\n")];
    make.rng.shuffle(&mut fields);
    make.unreadable(with_length(make, &fields.concat()))
}

/// RFC 9110, 8.6: refused, or taken for one.
fn same_length_twice(make: &mut Make) -> Case {
    let body = make.body();
    let n = body.len();
    let fields = format!("content-length: {n}\r\ncontent-length: {n}\r\n\r\n");
    let sends = (make.head() + &fields + &body).into_bytes();
    make.case(sends, Expect::Either(&[400], make.upstream(body.as_bytes())), After::Any)
}

/// What follows a body that is said to end early is the next request: nonsense.
fn short_length(make: &mut Make) -> Case {
    let body = make.body();
    let length = make.rng.usize(1..body.len());
    let sends = format!("{}content-length: {length}\r\n\r\n{body}", make.head()).into_bytes();
    make.unreadable([sends, make.hidden()].concat())
}

fn cut_off(make: &mut Make) -> Case {
    let body = make.body();
    let missing = make.rng.usize(1..1_000);
    let sends = format!("{}content-length: {}\r\n\r\n{body}", make.head(), body.len() + missing);
    Case { leaves: true, ..make.case(sends.into_bytes(), Expect::Nothing, After::Closed) }
}

/// What is too large by its own word is not waited for.
fn announced_too_large(make: &mut Make) -> Case {
    let bits = make.rng.u32(20..63);
    let length = make.rng.usize(MAX_BODY + 1..1 << bits);
    let sends = format!("{}content-length: {length}\r\n\r\n{{", make.head());
    make.case(sends.into_bytes(), Expect::Refused(&[413]), After::Closed)
}

fn cut_off_in_head(make: &mut Make) -> Case {
    let whole = make.framed("x-a: b\r\n", b"{}");
    let length = make.rng.usize(1..whole.len() - 3);
    Case { leaves: true, ..make.case(whole[..length].to_vec(), Expect::Nothing, After::Closed) }
}

/// RFC 9112, 2.2: a reader may take a lone LF for a line's end.
fn bare_lf(make: &mut Make) -> Case {
    let body = make.body();
    let head = format!("{}content-length: {}\r\n\r\n", make.head(), body.len());
    let head = if make.rng.bool() { head.replace("\r\n", "\n") } else { head.replacen("\r\n", "\n", 2) };
    let expect = Expect::Either(&[400], make.upstream(body.as_bytes()));
    make.case((head + &body).into_bytes(), expect, After::Any)
}

fn damaged_field(make: &mut Make) -> Case {
    let field: &[u8] = make.pick(&[
        &b"x-a: b\x00c"[..],
        b"x-a\x00: b",
        b"x-a: b\rx-weirinject: 1",
        b"x-a : b",
        b" x-a: b",
        b"x-a: b\r\n folded",
        b"x-a: b\r\n\tfolded",
        b"x-a",
        b": b",
        b"x a: b",
        b"x(a): b",
        b"x-\xc3\xa4: b",
        b"x-a: b\x01",
        b"x-a: b\x7f",
        b"x-a: b\x0b",
        b"\"x\": b",
    ]);
    let body = make.body();
    let rest = format!("\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let head = make.head();
    make.unreadable([head.as_bytes(), field, rest.as_bytes(), &make.hidden()].concat())
}

fn damaged_line(make: &mut Make) -> Case {
    let path = make.endpoint.path;
    let line: String = match make.rng.u8(0..14) {
        0 => format!("POST {path} HTTP/1.2"),
        1 => format!("POST {path} HTTP/3.0"),
        2 => format!("POST {path} HTTP/11"),
        3 => format!("POST {path} http/1.1"),
        4 => format!("POST {path} HTTP/1.1 x"),
        5 => format!("POST {path} x HTTP/1.1"),
        6 => format!("PO ST {path} HTTP/1.1"),
        7 => format!("P\u{0}ST {path} HTTP/1.1"),
        8 => format!("P\"ST {path} HTTP/1.1"),
        9 => format!("POST\t{path} HTTP/1.1"),
        10 => format!("POST {path}\u{0} HTTP/1.1"),
        11 => format!("POST {path}\u{1} HTTP/1.1"),
        12 => "POST  HTTP/1.1".to_owned(),
        _ => format!(" POST {path} HTTP/1.1"),
    };
    let sends = String::from_utf8_lossy(&make.framed("", make.body().as_bytes())).into_owned();
    let rest = sends.split_once("\r\n").map_or("", |(_, rest)| rest);
    make.unreadable([format!("{line}\r\n{rest}").as_bytes(), &make.hidden()].concat())
}

/// Served, and closed unless it asks to stay.
fn http_1_0(make: &mut Make) -> Case {
    let body = make.body();
    let host = if make.rng.bool() { "host: weir\r\n" } else { "" };
    let sends = format!(
        "POST {} HTTP/1.0\r\n{host}authorization: Bearer {CLIENT_KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        make.endpoint.path,
        body.len()
    );
    let expect = Expect::Served(make.upstream(body.as_bytes()));
    make.case([sends.as_bytes(), &make.hidden()].concat(), expect, After::Closed)
}

fn not_http(make: &mut Make) -> Case {
    let mut noise: Vec<u8> = (0..make.rng.usize(1..300)).map(|_| make.rng.u8(..)).collect();
    noise.extend_from_slice(b"\r\n\r\n");
    let sends: Vec<u8> = match make.rng.u8(0..7) {
        0 => b"GET /v1/models\r\n".to_vec(),
        1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        2 => b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n".to_vec(),
        3 => b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET /livez HTTP/1.1\r\nhost: weir\r\n\r\n".to_vec(),
        4 => b"SSH-2.0-x\r\n\r\n".to_vec(),
        5 => b"*1\r\n$4\r\nPING\r\n\r\n".to_vec(),
        _ => noise,
    };
    Case { leaves: true, ..make.case(sends, Expect::Nothing, After::Closed) }
}
