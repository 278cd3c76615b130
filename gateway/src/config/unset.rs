//! What stands for a variable of the environment that is not set, for who plans with a file and calls nobody: something of the kind
//! that its name speaks of, for each name something else.

use sha2::{Digest, Sha256};

/// A value for the variable.
pub(super) fn value(name: &str) -> String {
    let (upper, digest) = (name.to_ascii_uppercase(), Sha256::digest(name));
    let speaks_of = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    let port = 1_024 + u16::from_be_bytes([digest[0], digest[1]]) % 60_000;
    if speaks_of(&["SHA256"]) {
        hex::encode(digest)
    } else if speaks_of(&["LISTEN", "ADDR"]) {
        format!("127.0.0.1:{port}")
    } else if speaks_of(&["PORT"]) {
        port.to_string()
    } else if speaks_of(&["URL", "URI", "ENDPOINT"]) {
        "https://unset.invalid".to_owned()
    } else {
        "unset".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: one digest and one port for all.
    #[test]
    fn a_value_is_of_the_kind_that_the_name_speaks_of() {
        let digest = value("TEAM_A_KEY_SHA256");
        assert!(digest.len() == 64 && digest != value("TEAM_B_KEY_SHA256"), "{digest}");
        let port: u16 = value("WEIR_PORT").parse().unwrap();
        assert!(port >= 1_024 && value("WEIR_ADMIN_PORT") != port.to_string());
        let address: std::net::SocketAddr = value("admin_listen").parse().unwrap();
        assert!(address.ip().is_loopback());
        assert_eq!(
            (&*value("AZURE_ENDPOINT"), &*value("OPENAI_API_KEY")),
            ("https://unset.invalid", "unset")
        );
    }
}
