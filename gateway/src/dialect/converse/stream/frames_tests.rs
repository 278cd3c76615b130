use super::*;

/// The bytes of a frame with headers that are strings.
pub(crate) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    framed(&head, payload)
}

fn framed(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = prelude((AROUND + head.len() + payload.len()) as u32, head.len() as u32);
    out.extend_from_slice(head);
    out.extend_from_slice(payload);
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

fn prelude(length: u32, headers: u32) -> Vec<u8> {
    let mut out = [length.to_be_bytes(), headers.to_be_bytes()].concat();
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

/// Everything that chunks of `size` bytes give, and how it ends.
fn read(bytes: &[u8], size: usize) -> (Vec<Frame>, Result<(), Damage>) {
    let (mut frames, mut got) = (Frames::default(), Vec::new());
    for chunk in bytes.chunks(size) {
        frames.push(chunk);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => got.push(frame),
                Ok(None) => break,
                Err(damage) => return (got, Err(damage)),
            }
        }
    }
    let end = frames.end();
    (got, end)
}

/// The frame of the test vector `payload_one_str_header` of AWS's own clients. Broken once: the checksum over the frame
/// taken without its prelude; every frame was refused.
#[test]
fn a_known_frame_is_read() {
    let bytes = b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json\
        {'foo':'bar'}\x8d\x9c\x08\xb1";
    let (frames, end) = read(bytes, bytes.len());
    assert_eq!(end, Ok(()));
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].header("content-type"), Some("application/json"));
    assert_eq!(frames[0].payload, b"{'foo':'bar'}"[..]);
}

#[test]
fn frames_are_the_same_in_any_chunks() {
    let mut bytes = frame(&[(":event-type", "messageStart"), (":message-type", "event")], b"{}");
    bytes.extend(frame(&[], b""));
    bytes.extend(frame(&[("a", "")], &[7; 3000]));
    let whole = read(&bytes, bytes.len());
    assert_eq!((whole.0.len(), whole.1), (3, Ok(())));
    for size in [1, 2, 3, 7, 11, 12, 13, 64, 1000] {
        assert_eq!(read(&bytes, size), whole, "{size}");
    }
}

#[test]
fn headers_of_other_types_are_passed_over() {
    let mut head = Vec::new();
    for (kind, value) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)] {
        head.extend_from_slice(&[1, b'x', kind]);
        head.extend(std::iter::repeat_n(1, value));
    }
    head.extend_from_slice(&[1, b'x', 6, 0, 2, 1, 1]);
    head.extend_from_slice(&[1, b'y', 7, 0, 2, b'o', b'k']);
    let (frames, end) = read(&framed(&head, b"p"), 5);
    assert_eq!(end, Ok(()));
    assert_eq!(frames[0].headers, [("y".to_owned(), "ok".to_owned())]);
}

/// Broken once: each check of a checksum left out; a damaged frame was given, and a damaged length waited for.
#[test]
fn each_damage_has_its_name() {
    let good = frame(&[(":event-type", "metadata")], b"{\"a\":1}");
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        read(&bytes, 4).1
    };
    assert_eq!(flipped(3), Err(Damage::Lengths));
    assert_eq!(flipped(good.len() - 8), Err(Damage::Checksum));
    assert_eq!(flipped(good.len() - 1), Err(Damage::Checksum));
    assert_eq!(read(&good[..good.len() - 1], 9).1, Err(Damage::Cut));
    assert_eq!(read(&good[..5], 9).1, Err(Damage::Cut));
    assert_eq!(read(&prelude(15, 0), 12).1, Err(Damage::TooShort(15)));
    assert_eq!(read(&prelude(20, 5), 12).1, Err(Damage::TooShort(20)));
    assert_eq!(read(&prelude(u32::MAX, 0), 12).1, Err(Damage::TooLong(u32::MAX as usize)));
    assert_eq!(read(&prelude(1 << 20, 200 << 10), 12).1, Err(Damage::HeadersTooLong(200 << 10)));
    for head in [
        &[5, b'a'][..],
        &[1, b'a'],
        &[1, b'a', 7, 0],
        &[1, b'a', 7, 0, 9, b'x'],
        &[1, b'a', 10],
        &[1, 0xff, 7, 0, 0],
    ] {
        assert_eq!(read(&framed(head, b""), 64).1, Err(Damage::Headers), "{head:?}");
    }
}

#[test]
fn damage_stays() {
    let mut frames = Frames::default();
    frames.push(&prelude(15, 0));
    assert_eq!(frames.next_frame(), Err(Damage::TooShort(15)));
    frames.push(&frame(&[], b"{}"));
    assert_eq!(frames.next_frame(), Err(Damage::TooShort(15)));
    assert_eq!(frames.end(), Err(Damage::TooShort(15)));
}
