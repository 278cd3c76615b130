//! The network cuts anywhere, and what is read must be the same however it does.

use std::fmt::Debug;

use bytes::Bytes;

/// Inputs up to this length are also read byte by byte.
const EVERY_BYTE: usize = 4096;

/// What `read` makes of the input in one piece; it must make the same of it in any pieces.
pub(crate) fn same_however_cut<T: PartialEq + Debug>(input: &[u8], read: impl Fn(&[Bytes]) -> T) -> T {
    let whole = read(&[Bytes::copy_from_slice(input)]);
    let mut cuts = vec![by_chance(input)];
    if input.len() <= EVERY_BYTE {
        cuts.push(input.chunks(1).map(Bytes::copy_from_slice).collect());
    }
    for pieces in cuts {
        let cut = read(&pieces);
        assert!(cut == whole, "cut otherwise, read otherwise: {} not {}", short(&cut), short(&whole));
    }
    whole
}

/// Pieces of lengths that depend on nothing but the input.
fn by_chance(input: &[u8]) -> Vec<Bytes> {
    let mut rng = fastrand::Rng::with_seed(u64::from(crc32fast::hash(input)));
    let longest = 1 + input.len() / rng.usize(1..20);
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(rng.usize(1..=longest).min(rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = behind;
    }
    pieces
}

/// For a message: the beginning of how it is shown.
pub(crate) fn short(value: &impl Debug) -> String {
    format!("{value:?}").chars().take(1500).collect()
}
