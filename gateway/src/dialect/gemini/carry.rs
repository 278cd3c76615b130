//! Reasoning that a provider of another dialect tells only encrypted, and wants back.
//!
//! Clients of this dialect give back the signature of every part, unread. So what is encrypted goes to them as the
//! signature of a thought, marked, for it is of no use to Google.

use super::base64;
use crate::dialect::talk::Reasoning;

/// Fifteen bytes, so that its base64 is the beginning of the whole's.
const MARK: &str = "weir encrypted ";
const MARK_IN_BASE64: &str = "d2VpciBlbmNyeXB0ZWQg";

/// The signature that carries it: the mark, the reasoning's id, a line's end, what is encrypted.
pub(super) fn pack(id: Option<&str>, encrypted: &str) -> String {
    base64::encode(format!("{MARK}{}\n{encrypted}", id.unwrap_or_default()).as_bytes())
}

/// The reasoning that a signature carries, if it is one of these. Text beside it was a summary.
pub(super) fn unpack(text: &str, signature: &str) -> Option<Reasoning> {
    let packed = signature.strip_prefix(MARK_IN_BASE64).and_then(base64::decode)?;
    let packed = String::from_utf8(packed).ok()?;
    let (id, encrypted) = packed.split_once('\n')?;
    Some(Reasoning {
        id: (!id.is_empty()).then(|| id.to_owned()),
        summary: if text.is_empty() { Vec::new() } else { vec![text.to_owned()] },
        encrypted: Some(encrypted.to_owned()),
        ..Reasoning::default()
    })
}
