//! How deep a body nests.

use super::{BadRequest, bad};
use crate::dialect::json;

/// Deepest nesting of arrays and objects; what serde_json itself allows when it builds values.
const MAX_DEPTH: u32 = 128;

/// Refuses nesting that a recursive reader behind us might not survive. serde_json skips values without recursion
/// and without a bound. The count of brackets settles nearly every body at the speed of a vector loop.
pub(super) fn bound(body: &[u8]) -> Result<(), BadRequest> {
    // 0x20 is all that '[' and '{' differ in.
    let opened = body.chunks(128).map(|part| part.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>());
    if opened.map(u32::from).sum::<u32>() <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0u32;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => at = json::end_of_string(body, at + 1).unwrap_or(body.len()),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(bad(None, format!("The request body nests deeper than {MAX_DEPTH} levels.")));
        }
        at += 1;
    }
    Ok(())
}
