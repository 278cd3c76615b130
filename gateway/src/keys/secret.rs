//! The keys themselves: how one is made, and what is kept of it.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest as _;

/// What every key that is made here begins with.
pub const PREFIX: &str = "sk-weir-";
/// Bytes of chance in it.
const BYTES: usize = 32;

/// SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of a key as a client sends it.
    pub fn of(key: &[u8]) -> Digest {
        Digest(sha2::Sha256::digest(key).into())
    }
}

/// Not shown: who has it can find out whether a key that was guessed is right.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let mut digest = [0; 32];
        hex::decode_to_slice(String::deserialize(from)?, &mut digest).map_err(de::Error::custom)?;
        Ok(Digest(digest))
    }
}

/// A key that was just made; it is shown once.
#[derive(Debug)]
pub struct Made {
    /// What the client is to send.
    pub clear: SecretString,
    /// What is kept of it.
    pub digest: Digest,
    /// Its last characters.
    pub last4: String,
}

/// The system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random bytes")]
pub struct NoChance;

/// A new key.
pub fn make() -> Result<Made, NoChance> {
    let clear = SecretString::from(format!("{PREFIX}{}", hex::encode(random::<BYTES>()?)));
    let (text, end) = (clear.expose_secret(), clear.expose_secret().len());
    Ok(Made { digest: Digest::of(text.as_bytes()), last4: text[end - 4..].to_owned(), clear })
}

/// A new id of a key. It is no secret.
pub fn id() -> Result<String, NoChance> {
    Ok(format!("key_{}", hex::encode(random::<8>()?)))
}

fn random<const N: usize>() -> Result<[u8; N], NoChance> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoChance)?;
    Ok(bytes)
}

/// Could it be a key that was made here? No other can be one that this replica has not heard of.
pub fn may_be(key: &[u8]) -> bool {
    key.strip_prefix(PREFIX.as_bytes()).is_some_and(|rest| {
        rest.len() == 2 * BYTES && rest.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_known_by_what_is_kept_of_them() {
        let (one, other) = (make().unwrap(), make().unwrap());
        let text = one.clear.expose_secret();
        assert_ne!(text, other.clear.expose_secret());
        assert!(may_be(text.as_bytes()) && text.ends_with(&one.last4));
        assert_eq!(one.digest, Digest::of(text.as_bytes()));
        assert!(!format!("{one:?}").contains(&text[PREFIX.len()..]), "not even for debugging");
        assert!(!format!("{one:?}").contains(&hex::encode(one.digest.0)));
    }

    #[test]
    fn what_cannot_have_been_made_here_is_told_apart() {
        let digits = "0".repeat(64);
        assert!(may_be(format!("sk-weir-{digits}").as_bytes()));
        for other in [
            "sk-weir-",
            "sk-weir",
            &digits,
            &format!("sk-weir-{digits}0"),
            &format!("sk-weir-{}G", &digits[1..]),
        ] {
            assert!(!may_be(other.as_bytes()), "{other}");
        }
    }
}
