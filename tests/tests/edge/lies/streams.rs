//! Streams of events. Until the first content a fault is nobody's business but the gateway's; after it the client must
//! see that the stream is not whole.

use super::{
    Expect, FAILED, FAILED_OR_LATE, Kind, Lie, Make, SLOW, To, poison, sends, sends_and_closes,
    sends_and_hangs,
};
use crate::endpoints::DONE;
use crate::upstream::{Step, chunk, stream_head};

pub(crate) const KINDS: &[Kind] = &[
    ("an honest stream in odd pieces", To::Streams, pieces),
    ("other line ends", To::Streams, line_ends),
    ("comments and other fields", To::Streams, comments),
    ("a mark at the beginning", To::Streams, mark),
    ("odd bytes in the content", To::Streams, odd_bytes),
    ("a stream of HTTP/1.0", To::Streams, http_1_0),
    ("a stream with trailers", To::Streams, trailers),
    ("a stream closed before its content", To::Streams, closed_before),
    ("a stream closed after content", To::Streams, closed_after),
    ("a stream ended after content", To::Streams, ended_after),
    ("a stream ended inside an event", To::Streams, ended_inside),
    ("a stream reset", To::Streams, reset),
    ("silence before the content", To::Streams, silent_before),
    ("silence after content", To::Streams, silent_after),
    ("comments without end", To::Streams, endless_comments),
    ("a huge event before the content", To::Streams, huge_before),
    ("a huge event after content", To::Streams, huge_after),
    ("a large event", To::Streams, large),
    ("done at once", To::Done, done_at_once),
    ("done early", To::Done, done_early),
    ("done twice, and more", To::Done, done_twice),
    ("done by its usage", To::Done, done_by_usage),
    ("an error before the content", To::Streams, error_before),
    ("an error after content", To::Streams, error_after),
    ("damaged events", To::Done, damaged_events),
    ("damaged chunks in a stream", To::Streams, damaged_chunks),
    ("a compressed stream", To::Streams, compressed),
    ("events of no declared type", To::Streams, undeclared),
];

/// A whole stream with this text.
fn stream(text: &[u8]) -> Vec<u8> {
    [stream_head(), chunk(text), chunk(b"")].concat()
}

/// A stream with this text that does not end.
fn begun(text: &[u8]) -> Vec<u8> {
    [stream_head(), chunk(text)].concat()
}

fn passed(text: &str) -> Lie {
    sends(stream(text.as_bytes()), Expect::Passed(text.as_bytes().to_vec()))
}

/// The events up to some content, and those up to before any.
fn halves(make: &mut Make) -> (String, String) {
    let events = make.endpoint.events(&make.id);
    let content = make.rng.usize(2..events.len());
    (events[..1].concat(), events[..content].concat())
}

fn pieces(make: &mut Make) -> Lie {
    let text = make.text();
    if make.rng.bool() {
        return Lie {
            steps: vec![Step::Drip(stream(text.as_bytes()))],
            expect: Expect::Passed(text.into_bytes()),
        };
    }
    let size = make.rng.usize(1..9);
    let chunks: Vec<u8> = text.as_bytes().chunks(size).flat_map(chunk).collect();
    sends([stream_head(), chunks, chunk(b"")].concat(), Expect::Passed(text.into_bytes()))
}

fn line_ends(make: &mut Make) -> Lie {
    let end = make.pick(&["\r\n", "\r"]);
    passed(&make.text().replace('\n', end))
}

fn comments(make: &mut Make) -> Lie {
    let between = make.pick(&[
        ": ping\n\n",
        ":\n\n",
        "\n\n\n",
        "retry: -1\n\n",
        "id: \0\nevent:\n\n",
        "x\n\n",
        "data\n\n",
    ]);
    let (events, end) = (make.endpoint.events(&make.id), make.endpoint.end);
    passed(&(between.repeat(20) + &events.join(between) + if end.is_empty() { "" } else { between } + end))
}

fn mark(make: &mut Make) -> Lie {
    passed(&format!("\u{feff}{}", make.text()))
}

/// They pass as they are, wherever they are cut.
fn odd_bytes(make: &mut Make) -> Lie {
    let odd: &[u8] =
        make.pick(&[&b"\xff\xfe"[..], b"\0", b"\xe2\x82", b"\xf0\x9f\x98\x80", b"\xc3", b"\x1b[2J"]);
    let text = make.text();
    let at = crate::wire::find(text.as_bytes(), b"echo ").unwrap_or_default();
    let text = [&text.as_bytes()[..at], odd, &text.as_bytes()[at..]].concat();
    let cut = at + make.rng.usize(0..=odd.len());
    let bytes = [stream_head(), chunk(&text[..cut]), chunk(&text[cut..]), chunk(b"")].concat();
    sends(bytes, Expect::Passed(text))
}

fn http_1_0(make: &mut Make) -> Lie {
    let head = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let text = make.text();
    sends_and_closes([&head[..], text.as_bytes()].concat(), Expect::Passed(text.into_bytes()))
}

fn trailers(make: &mut Make) -> Lie {
    let text = make.text();
    let end = b"0\r\nx-poison: POISON\r\n\r\n";
    sends([&begun(text.as_bytes())[..], end].concat(), Expect::Passed(text.into_bytes()))
}

fn closed_before(make: &mut Make) -> Lie {
    let (before, _) = halves(make);
    let length = make.rng.usize(0..=before.len());
    let bytes = if length == 0 { stream_head() } else { begun(&before.as_bytes()[..length]) };
    sends_and_closes(if make.rng.bool() { [bytes, chunk(b"")].concat() } else { bytes }, FAILED)
}

fn closed_after(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    sends_and_closes(begun(text.as_bytes()), Expect::Broken(text.into_bytes()))
}

fn ended_after(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    sends(stream(text.as_bytes()), Expect::Broken(text.into_bytes()))
}

/// Half an event is nothing that a client may be given, or what follows becomes part of it.
fn ended_inside(make: &mut Make) -> Lie {
    let (_, mut text) = halves(make);
    let whole = text.clone();
    let next = make.text();
    let more = make.rng.usize(1..30);
    text.push_str(&next[whole.len()..whole.len() + more.min(next.len() - whole.len() - 2)]);
    let end = if make.rng.bool() { chunk(b"") } else { Vec::new() };
    sends_and_closes([begun(text.as_bytes()), end].concat(), Expect::Broken(whole.into_bytes()))
}

fn reset(make: &mut Make) -> Lie {
    let text = make.text();
    let length = make.rng.usize(1..text.len() - DONE.len());
    let steps = vec![Step::Send(begun(&text.as_bytes()[..length])), Step::Reset];
    Lie { steps, expect: Expect::OneOf(vec![FAILED, Expect::Broken(text.into_bytes())]) }
}

fn silent_before(make: &mut Make) -> Lie {
    let (before, _) = halves(make);
    let bytes = make.pick(&[&b""[..], b"HTTP/1.1 200 OK\r\n"]);
    let bytes = match make.rng.u8(0..3) {
        0 => bytes.to_vec(),
        1 => stream_head(),
        _ => begun(before.as_bytes()),
    };
    sends_and_hangs(bytes, SLOW)
}

fn silent_after(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    sends_and_hangs(begun(text.as_bytes()), Expect::Broken(text.into_bytes()))
}

fn endless_comments(_: &mut Make) -> Lie {
    let comment = chunk(b": POISON\n\n");
    let slowly = (0..1_000).flat_map(|_| [Step::Send(comment.clone()), super::later()]);
    Lie { steps: std::iter::once(Step::Send(stream_head())).chain(slowly).collect(), expect: SLOW }
}

/// An event without end, up to beyond what is kept of one.
fn huge() -> Step {
    Step::Repeat(chunk(&[b'x'; 64 << 10]), 2 << 20)
}

fn huge_before(make: &mut Make) -> Lie {
    let (before, _) = halves(make);
    let begin = begun((before + "data: {\"x\":\"").as_bytes());
    Lie { steps: vec![Step::Send(begin), huge(), Step::Close], expect: FAILED }
}

fn huge_after(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    let begin = begun((text.clone() + "data: {\"x\":\"").as_bytes());
    Lie { steps: vec![Step::Send(begin), huge(), Step::Close], expect: Expect::Broken(text.into_bytes()) }
}

fn large(make: &mut Make) -> Lie {
    let filler = "x".repeat(make.rng.usize(10_000..900_000));
    passed(&make.text().replacen("echo ", &format!("{filler}echo "), 1))
}

/// No content, and not even the reason of the end: nothing was answered.
fn done_at_once(make: &mut Make) -> Lie {
    let (before, _) = halves(make);
    let text = if make.rng.bool() { before + DONE } else { DONE.to_owned() };
    sends(stream(text.as_bytes()), FAILED)
}

/// The provider says that it is done; nobody can know better.
fn done_early(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    passed(&(text + DONE))
}

fn done_twice(make: &mut Make) -> Lie {
    let text = make.text();
    let more = make.pick(&[DONE, "data: {\"choices\":[{\"delta\":{\"content\":\"POISON\"}}]}\n\n", "POISON"]);
    sends(stream((text.clone() + more).as_bytes()), Expect::Passed(text.into_bytes()))
}

/// A chunk with nothing but the usage comes last; the client did not ask for it.
fn done_by_usage(make: &mut Make) -> Lie {
    let text = make.endpoint.events(&make.id).concat();
    let bytes = stream((text.clone() + &make.endpoint.usage(&make.id)).as_bytes());
    sends(bytes, Expect::Passed(text.into_bytes()))
}

const ERRORS: [&str; 4] = [
    "data: {\"error\":{\"message\":\"went away\",\"type\":\"server_error\",\"code\":null,\"param\":null}}\n\n",
    "event: error\ndata: {\"error\":{\"message\":\"went away\",\"type\":\"server_error\"}}\n\n",
    "data: {\"error\":{\"message\":\"went away\",\"type\":\"server_error\",\"code\":502},\"choices\":[]}\n\n",
    "data: {\"error\":\"went away\"}\n\n",
];

fn error_before(make: &mut Make) -> Lie {
    let (before, _) = halves(make);
    let error = make.pick(&ERRORS);
    sends(stream((before + error + DONE).as_bytes()), FAILED)
}

fn error_after(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    let error = make.pick(&ERRORS);
    // Read in one piece, the content has not been sent when the error is seen.
    let expect = Expect::OneOf(vec![FAILED, Expect::Broken(text.clone().into_bytes())]);
    if make.rng.bool() {
        return sends(stream((text + error + DONE).as_bytes()), expect);
    }
    let end = [chunk((error.to_owned() + DONE).as_bytes()), chunk(b"")].concat();
    let steps = vec![Step::Send(begun(text.as_bytes())), super::later(), Step::Send(end)];
    Lie { steps, expect }
}

/// Data that cannot be read decides nothing: before the content it is none, after it it passes.
fn damaged_events(make: &mut Make) -> Lie {
    let event = make.pick(&[
        "data: {\"choices\":[{\"delta\n\n",
        "data: POISO\n\n",
        "data: []\n\n",
        "data:\n\n",
        "{}\n\n",
    ]);
    let (_, text) = halves(make);
    match make.rng.u8(0..3) {
        0 => sends(stream((event.repeat(3) + DONE).as_bytes()), FAILED),
        1 => sends(stream(event.repeat(3).as_bytes()), FAILED),
        _ => passed(&(text + event + DONE)),
    }
}

fn damaged_chunks(make: &mut Make) -> Lie {
    let (_, text) = halves(make);
    let more =
        make.pick(&[&b"zz\r\nPOISON"[..], b"-1\r\n", b"5\r\nPOISON", b"fffffffffffffffff\r\n", b"\r\n\r\n"]);
    sends_and_closes([&begun(text.as_bytes())[..], more].concat(), Expect::Broken(text.into_bytes()))
}

fn compressed(make: &mut Make) -> Lie {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n";
    let data = [&b"\x1f\x8b\x08\0\0\0\0\0\0\xff"[..], make.text().as_bytes()].concat();
    let data: Vec<u8> = data.iter().map(|byte| byte ^ 0x55).collect();
    sends([head.as_bytes(), &chunk(&data), &chunk(b"")].concat(), FAILED)
}

fn undeclared(make: &mut Make) -> Lie {
    let kind = make.pick(&[
        "",
        "content-type: text/plain\r\n",
        "content-type: application/json\r\n",
        "content-type: x\r\n",
    ]);
    let head = format!("HTTP/1.1 200 OK\r\n{kind}transfer-encoding: chunked\r\n\r\n");
    let bytes = [head.as_bytes(), &chunk(make.text().as_bytes()), &chunk(b""), &poison()].concat();
    sends(bytes, FAILED_OR_LATE)
}
