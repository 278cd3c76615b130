//! What a client's dialect has no field for, but must survive a trip through the client: clients give the ids of calls and
//! the signatures of reasoning back unchanged, so it travels in those.

use serde::{Deserialize, Serialize};

use super::{Dialect, Own, Reasoning};

/// Between a call's id and Google's signature of it (Gemini refuses a call that comes back without).
const SIGNED: &str = "__sig__";

/// Before a parcel.
const PARCEL: &str = "weir:";

/// The id of a call as a client sees it: with the signature, in the letters that ids may have. Only Google signs calls; a
/// signature that is not base64 cannot go along.
pub(in crate::dialect) fn signed_id(id: &str, signature: Option<&Own<String>>) -> String {
    let base64 = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/');
    let proof = signature.and_then(|signature| signature.proof_for(Dialect::Gemini));
    let bare = proof.map(|proof| proof.trim_end_matches('='));
    match bare.filter(|bare| !bare.is_empty() && bare.bytes().all(base64)) {
        None => id.to_owned(),
        Some(bare) => format!("{id}{SIGNED}{}", bare.replace('+', "-").replace('/', "_")),
    }
}

/// The id and the signature that [`signed_id`] made one of.
pub(in crate::dialect) fn split_id(id: String) -> (String, Option<Own<String>>) {
    let Some((before, signature)) = id.split_once(SIGNED) else { return (id, None) };
    let mut signature = signature.replace('-', "+").replace('_', "/");
    while signature.len() % 4 != 0 {
        signature.push('=');
    }
    (before.to_owned(), Some(Own::new(Dialect::Gemini, signature)))
}

/// What goes along with the text of a thought, in the place of a signature.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::dialect) struct Parcel {
    /// The thought's id at its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::dialect) id: Option<String>,
    /// Its signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::dialect) signature: Option<Own<String>>,
    /// What is told only encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::dialect) encrypted: Option<Own<String>>,
    /// The text is a summary.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::dialect) summary: bool,
}

impl Parcel {
    /// Of a thought.
    pub(in crate::dialect) fn of(thought: &Reasoning) -> Parcel {
        Parcel {
            id: thought.id.clone(),
            signature: thought.signature.clone(),
            encrypted: thought.encrypted.clone(),
            summary: thought.text.is_empty() && !thought.summary.is_empty(),
        }
    }

    /// Nothing is in it that would be missed.
    pub(in crate::dialect) fn is_empty(&self) -> bool {
        self.id.is_none() && self.signature.is_none() && self.encrypted.is_none()
    }

    /// As a text.
    pub(in crate::dialect) fn pack(&self) -> String {
        // Strings always have a form in JSON; without one there would be nothing to send along.
        format!("{PARCEL}{}", serde_json::to_string(self).unwrap_or_default())
    }

    /// Out of a text, if it is one.
    pub(in crate::dialect) fn open(text: &str) -> Option<Parcel> {
        serde_json::from_str(text.strip_prefix(PARCEL)?).ok()
    }

    /// The thought that it came with.
    pub(in crate::dialect) fn reasoning(self, text: String) -> Reasoning {
        let summary = self.summary && !text.is_empty();
        Reasoning {
            id: self.id,
            summary: if summary { vec![text.clone()] } else { Vec::new() },
            text: if summary { String::new() } else { text },
            signature: self.signature,
            encrypted: self.encrypted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_of_googles_travels_in_the_id() {
        let google = |signature: &str| Own::new(Dialect::Gemini, signature);
        let id = signed_id("call_1", Some(&google("a+b/cQ==")));
        assert_eq!(id, "call_1__sig__a-b_cQ");
        assert_eq!(split_id(id), ("call_1".to_owned(), Some(google("a+b/cQ=="))));
        assert_eq!(signed_id("call_1", Some(&google("no base64!"))), "call_1");
        assert_eq!(signed_id("call_1", Some(&Own::new(Dialect::Chat, "QUJD"))), "call_1");
        assert_eq!(split_id("call_1".to_owned()), ("call_1".to_owned(), None));
    }

    /// Broken on purpose: with the signature left out of what is packed it fails.
    #[test]
    fn a_thought_comes_out_of_its_parcel_as_it_went_in() {
        let short = Reasoning {
            id: Some("rs_1".to_owned()),
            summary: vec!["short".to_owned()],
            encrypted: Some(Own::new(Dialect::Responses, "gAAA:x\n")),
            ..Reasoning::default()
        };
        let long = Reasoning {
            text: "long".to_owned(),
            signature: Some(Own::new(Dialect::Messages, "sig")),
            ..Reasoning::default()
        };
        for (thought, text) in [(short, "short"), (long, "long")] {
            let parcel = Parcel::of(&thought);
            assert!(!parcel.is_empty());
            let opened = Parcel::open(&parcel.pack()).map(|parcel| parcel.reasoning(text.to_owned()));
            assert_eq!(opened, Some(thought));
        }
        assert!(Parcel::open("weir:odd").is_none() && Parcel::open("EuQF").is_none());
    }
}
