//! Bodies: well framed, and wrong inside.

use super::{After, Case, Expect, Kind, Make};
use crate::gate::MAX_BODY;

pub(crate) const KINDS: &[Kind] = &[
    ("valid", valid),
    ("many members", many_members),
    ("truncated JSON", truncated),
    ("damaged JSON", damaged),
    ("not JSON's grammar", grammar),
    ("no object", no_object),
    ("more behind the object", trailing),
    ("wrong type", wrong_type),
    ("wrong type of the model", wrong_model),
    ("missing member", missing),
    ("member twice", duplicate),
    ("member in another case", misspelt),
    ("deep", deep),
    ("too deep", too_deep),
    ("not UTF-8", not_utf8),
    ("raw control characters", control),
    ("lone surrogate", surrogate),
    ("compressed", compressed),
    ("compressed, and not said so", compressed_silently),
    ("as large as allowed", largest),
    ("too large", too_large),
    ("too large in chunks", too_large_in_chunks),
    ("unknown model", unknown_model),
    ("random bytes", noise),
];

fn valid(make: &mut Make) -> Case {
    let streamed = make.endpoint.streams() && make.rng.bool();
    if streamed {
        return make.served("", &make.body_with(r#","stream":true"#));
    }
    let more = make.pick(&[
        r#","temperature":0.5"#,
        r#","metadata":{"a":{"b":[1,2,{"c":null}]}}"#,
        ",\"x\":\"\u{fffd}é😀\u{202e}\"",
        r#","x":"\u0000\u001b[31m\r\n\"""#,
        r#","x":1e999999"#,
        r#","x":-0.0e-0 , "y" : [ ] "#,
        r#","Modél":"x","":"","messages2":3"#,
    ]);
    make.served("", &make.body_with(more))
}

fn many_members(make: &mut Make) -> Case {
    let count = make.rng.usize(500..5_000);
    let more: String = (0..count).map(|at| format!(r#","member{at}":{at}"#)).collect();
    make.served("", &make.body_with(&more))
}

/// A beginning of an object that is not the whole is never JSON.
fn truncated(make: &mut Make) -> Case {
    let body = make.body();
    let length = make.rng.usize(0..body.len());
    make.malformed(&body.as_bytes()[..length])
}

/// Bytes replaced, inserted or left out until what comes of it is no JSON any more.
fn damaged(make: &mut Make) -> Case {
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
            return make.malformed(body);
        }
    }
}

fn grammar(make: &mut Make) -> Case {
    let more = make.pick(&[
        r#","x":NaN"#,
        r#","x":Infinity"#,
        r#","x":01"#,
        r#","x":.5"#,
        r#","x":1."#,
        r#","x":+1"#,
        r#","x":0x10"#,
        r#","x":'a'"#,
        r#","x":"\x41""#,
        r#","x":"\u12g4""#,
        r#","x":True"#,
        r#","x":"#,
        r#",,"x":1"#,
        ",\"x\":1,",
        ",x:1",
        ",\"x\":1 /* c */",
        ",\"x\" 1",
        ",\"x\":\u{a0}1",
    ]);
    make.malformed(make.body_with(more))
}

fn no_object(make: &mut Make) -> Case {
    let text =
        make.pick(&["", " ", "null", "true", "7", "\"x\"", "[]", "[{}]", "\u{feff}{}", "{", "}", "{}"]);
    make.malformed(text)
}

fn trailing(make: &mut Make) -> Case {
    let behind = make.pick(&["{}", "x", "]", "}", "\0", ",", "//", "data: {}"]);
    make.malformed(make.body() + behind)
}

fn wrong_type(make: &mut Make) -> Case {
    let (name, value) = make.pick(make.endpoint.wrong);
    let (input, valid) = make.endpoint.input;
    let body = if name == input {
        make.body().replacen(valid, value, 1)
    } else {
        make.body_with(&format!(r#","{name}":{value}"#))
    };
    make.malformed(body)
}

fn wrong_model(make: &mut Make) -> Case {
    let value = make.pick(&["1", "null", "true", "[]", "{}", r#"["m"]"#, r#""""#, "1e9"]);
    let named = format!(r#""model":"{}""#, make.model);
    make.malformed(make.body().replacen(&named, &format!(r#""model":{value}"#), 1))
}

fn missing(make: &mut Make) -> Case {
    let name = if make.endpoint.needs_input { make.pick(&["model", make.endpoint.input.0]) } else { "model" };
    make.malformed(make.body().replacen(&format!("\"{name}\":"), "\"other\":", 1))
}

/// Which of two a reader takes is up to the reader: neither is sent on.
fn duplicate(make: &mut Make) -> Case {
    let (input, value) = make.endpoint.input;
    let again = match make.rng.u8(0..4) {
        0 => r#","model":"other""#.to_owned(),
        1 => format!(r#","model":"{}""#, make.model),
        2 => r#","\u006dodel":"other""#.to_owned(),
        _ => format!(r#","{input}":{value}"#),
    };
    make.malformed(make.body_with(&again))
}

fn misspelt(make: &mut Make) -> Case {
    let name = make.pick(&["Model", "MODEL", "modeL"]);
    make.malformed(make.body_with(&format!(r#","{name}":"other""#)))
}

fn nested(make: &mut Make, depth: usize) -> String {
    let (open, close) = if make.rng.bool() { ("[", "]") } else { ("{\"a\":", "}") };
    format!(r#","x":{}1{}"#, open.repeat(depth), close.repeat(depth))
}

/// The object itself is one level.
fn deep(make: &mut Make) -> Case {
    let depth = make.rng.usize(1..=127);
    let more = nested(make, depth);
    make.served("", &make.body_with(&more))
}

fn too_deep(make: &mut Make) -> Case {
    let depth = make.pick(&[128, 129, 500, 10_000, 70_000]);
    let more = nested(make, depth);
    make.malformed(make.body_with(&more))
}

fn not_utf8(make: &mut Make) -> Case {
    let bytes: &[u8] = make.pick(&[
        &b"\xff"[..],
        b"\xc3",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xe2\x82",
        b"\x80",
    ]);
    make.malformed(inside_a_string(make, bytes))
}

fn control(make: &mut Make) -> Case {
    let byte = make.rng.u8(0..0x20);
    make.malformed(inside_a_string(make, &[byte]))
}

fn inside_a_string(make: &Make, bytes: &[u8]) -> Vec<u8> {
    let body = make.body_with(r#","x":"a@b""#);
    let at = body.rfind('@').unwrap_or_default();
    [&body.as_bytes()[..at], bytes, &body.as_bytes()[at + 1..]].concat()
}

/// Escaped, it is JSON; but it is no name of a model.
fn surrogate(make: &mut Make) -> Case {
    if make.rng.bool() {
        return make.served("", &make.body_with(r#","x":"\ud800","y":"\udfff\ud800""#));
    }
    make.malformed(make.body().replacen(&make.model, r"\ud800", 1))
}

/// A valid body, deflated with stored blocks inside gzip.
fn gzip(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or_default();
    let stored = [&b"\x01"[..], &length.to_le_bytes(), &(!length).to_le_bytes(), body].concat();
    [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], &stored, &[0; 8]].concat()
}

/// What cannot be read cannot be weighed: refused, and said why. The id is in it, to see that nothing is sent on.
fn compressed(make: &mut Make) -> Case {
    let coding =
        make.pick(&["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip", "compress", "x"]);
    let sends = make.framed(&format!("content-encoding: {coding}\r\n"), &gzip(make.body().as_bytes()));
    make.case(sends, Expect::Refused(&[415]), After::Any)
}

fn compressed_silently(make: &mut Make) -> Case {
    make.malformed(gzip(make.body().as_bytes()))
}

/// A body of exactly so many bytes.
fn of_length(make: &Make, length: usize) -> String {
    let empty = make.body_with(r#","x":"""#);
    let filler = "y".repeat(length.saturating_sub(empty.len()));
    make.body_with(&format!(r#","x":"{filler}""#))
}

fn largest(make: &mut Make) -> Case {
    let less = make.pick(&[0, 1, 1_000, 300_000]);
    make.served("", &of_length(make, MAX_BODY - less))
}

fn too_large(make: &mut Make) -> Case {
    let more = make.pick(&[1, 2, 1_000, MAX_BODY, 4 * MAX_BODY]);
    let sends = make.framed("", of_length(make, MAX_BODY + more).as_bytes());
    make.case(sends, Expect::Refused(&[413]), After::Any)
}

fn too_large_in_chunks(make: &mut Make) -> Case {
    let more = make.pick(&[1, 1_000, MAX_BODY]);
    let body = of_length(make, MAX_BODY + more);
    let size = make.rng.usize(1_000..200_000);
    let chunks = super::framing::chunked(body.as_bytes(), size, "");
    let head = make.head() + "transfer-encoding: chunked\r\n\r\n";
    make.case([head.as_bytes(), &chunks].concat(), Expect::Refused(&[413]), After::Any)
}

/// Names that would be seen in a header, a log or a terminal if they were not escaped.
fn unknown_model(make: &mut Make) -> Case {
    let name = make.pick(&[
        r"x\r\nx-weirinject: 1",
        r"x\n{\u0022level\u0022:\u0022WEIRINJECT\u0022}",
        r"\u001b[2JWEIRINJECT",
        r"\u0000",
        r"../../etc/passwd",
        r"<script>WEIRINJECT</script>",
        r"up-good",
        r"good-0",
        r"sure-0 ",
        r"*",
        "\u{202e}\u{2028}",
    ]);
    let sends = make.framed("", make.body().replacen(&make.model, name, 1).as_bytes());
    make.case(sends, Expect::Refused(&[404]), After::Open)
}

fn noise(make: &mut Make) -> Case {
    let length = make.rng.usize(1..2_000);
    let bytes: Vec<u8> = (0..length).map(|_| make.rng.u8(..)).collect();
    make.malformed(bytes)
}
