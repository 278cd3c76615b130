use proptest::prelude::*;

use super::*;

/// The events of `text` cut into pieces of `size` bytes.
fn split(text: &[u8], size: usize) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::default();
    let mut events = Vec::new();
    for piece in text.chunks(size.max(1)) {
        let whole = splitter.push(Bytes::copy_from_slice(piece)).map(|event| event.unwrap().raw.to_vec());
        events.extend(whole.collect::<Vec<_>>());
    }
    events.extend(splitter.finish().map(|event| event.raw.to_vec()));
    events
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    for size in 1..=text.len() {
        let events = split(text.as_bytes(), size);
        let events: Vec<_> = events.iter().map(|raw| std::str::from_utf8(raw).unwrap()).collect();
        assert_eq!(events, expected, "in pieces of {size}");
    }
}

fn data(raw: &str) -> Option<String> {
    let event = Event { raw: Bytes::copy_from_slice(raw.as_bytes()) };
    event.data().map(|data| String::from_utf8(data.into_owned()).unwrap())
}

#[test]
fn events_end_with_a_blank_line_of_any_kind() {
    check("data: a\n\ndata: b\n\n", &["data: a\n\n", "data: b\n\n"]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &["data: a\r\n\r\n", "data: b\r\n\r\n"]);
    check("data: a\r\rdata: b\r\r", &["data: a\r\r", "data: b\r\r"]);
    check("data: a\r\n\ndata: b\n\r\nx", &["data: a\r\n\n", "data: b\n\r\n", "x"]);
}

#[test]
fn comments_blank_lines_and_characters_cut_in_two_keep_their_bytes() {
    check(": ping\n\n\n\ndata: é😀\n\n", &[": ping\n\n", "\n", "\n", "data: é😀\n\n"]);
}

#[test]
fn what_is_left_without_a_blank_line_comes_at_the_end() {
    check("data: a\n\ndata: [DONE]\n", &["data: a\n\n", "data: [DONE]\n"]);
}

#[test]
fn an_event_inside_one_chunk_is_not_copied() {
    let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\ndata: c");
    let mut splitter = Splitter::default();
    let events: Vec<_> = splitter.push(chunk.clone()).map(|event| event.unwrap().raw).collect();
    assert_eq!((events[0].as_ptr(), events[1].as_ptr()), (chunk.as_ptr(), chunk[9..].as_ptr()));
}

#[test]
fn events_not_taken_come_with_the_next_chunk() {
    let mut splitter = Splitter::default();
    assert!(splitter.push(Bytes::from_static(b"a\n\nb\n\nc")).next().is_some());
    let rest: Vec<_> = splitter.push(Bytes::from_static(b"\n\n")).map(|event| event.unwrap().raw).collect();
    assert_eq!(rest, [&b"b\n\n"[..], b"c\n\n"]);
}

#[test]
fn an_event_beyond_the_bound_is_an_error_however_it_arrives() {
    for size in [1, 3, 100] {
        let mut splitter = Splitter::new(10);
        let mut outcomes = Vec::new();
        for piece in b"data: 12\n\ndata: 123\n\ndata: 1\n\n".chunks(size) {
            outcomes
                .extend(splitter.push(Bytes::copy_from_slice(piece)).map(|event| event.map(|e| e.raw.len())));
        }
        assert_eq!(outcomes, [Ok(10), Err(Oversized(10))], "in pieces of {size}");
        assert_eq!(splitter.finish(), None);
    }
}

#[test]
fn data_is_the_value_of_its_lines() {
    assert_eq!(data("data: a\n\n").as_deref(), Some("a"));
    assert_eq!(data("data:a\r\n\r\n").as_deref(), Some("a"));
    assert_eq!(data("data:  a\r\r").as_deref(), Some(" a"));
    assert_eq!(data("event: x\ndata: a\nid: 1\ndata: b\n\n").as_deref(), Some("a\nb"));
    assert_eq!(data("\u{feff}data: a\n\n").as_deref(), Some("a"));
    assert_eq!(data("data\n\n").as_deref(), Some(""));
    assert_eq!(data("database: a\n\n"), None);
    assert_eq!(data(": a\n\n"), None);
    assert_eq!(data("\n"), None);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(
        lines in proptest::collection::vec("(data: ?[a-zé]{0,5}|:x|)(\n|\r|\r\n)", 0..20),
        cuts in proptest::collection::vec(1usize..8, 1..30),
    ) {
        let text = lines.concat();
        let whole = split(text.as_bytes(), usize::MAX);
        prop_assert_eq!(whole.concat(), text.as_bytes());
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            rest = behind;
            let chunk = Bytes::copy_from_slice(piece);
            events.extend(splitter.push(chunk).map(|event| event.unwrap().raw.to_vec()));
            if rest.is_empty() {
                break;
            }
        }
        events.extend(splitter.finish().map(|event| event.raw.to_vec()));
        prop_assert_eq!(events, whole);
    }
}
