//! Reasoning that a provider of another dialect made, and wants back.
//!
//! Clients of this dialect give back the signature of every part, unread. So what proves such reasoning goes to them in a
//! parcel as the signature of a thought, in base64, as all signatures are here.

use crate::dialect::talk::base64;
use crate::dialect::talk::carry::Parcel;

/// What the base64 of every parcel begins with (`weir:{`, six bytes): others are not decoded.
const BEGINNING: &str = "d2Vpcjp7";

/// The signature that carries it; none if there is nothing to carry.
pub(super) fn pack(parcel: &Parcel) -> Option<String> {
    (!parcel.is_empty()).then(|| base64::encode(parcel.pack().as_bytes()))
}

/// The parcel that a signature is, if it is one.
pub(super) fn unpack(signature: &str) -> Option<Parcel> {
    let packed =
        Some(signature).filter(|signature| signature.starts_with(BEGINNING)).and_then(base64::decode)?;
    Parcel::open(&String::from_utf8(packed).ok()?)
}
