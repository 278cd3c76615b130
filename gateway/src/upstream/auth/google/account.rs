//! A service account's key and the assertion that it signs: a JSON Web Token, RS256 (RFC 7523). Source: Google Identity,
//! "Using OAuth 2.0 for server to server applications".

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{anyhow, ensure};
use http::Uri;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::super::base64url;
use super::super::exchange::Denied;

/// The longest that Google accepts, seconds.
const LIFE: u64 = 3600;

/// Ready to sign. ring keeps the key in memory that it does not wipe.
#[derive(Debug)]
pub struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: String,
}

#[derive(Deserialize)]
struct File {
    r#type: String,
    client_email: String,
    private_key_id: Option<String>,
    private_key: String,
    #[serde(default = "token_uri")]
    token_uri: String,
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

impl ServiceAccount {
    /// Of a key file's contents. Its errors quote none of it.
    pub fn read(json: &[u8]) -> anyhow::Result<ServiceAccount> {
        let file: File = serde_json::from_slice(json).map_err(|err| {
            anyhow!("not a service account key file (line {}, column {})", err.line(), err.column())
        })?;
        let pem = SecretString::from(file.private_key);
        ensure!(file.r#type == "service_account", "the key file is not of the type service_account");
        ensure!(may_send(&file.token_uri), "the key file's token_uri must be https");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes())
            .map_err(|_| anyhow!("the key file's private_key is not a PEM of PKCS #8"))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| anyhow!("the key file's private_key is not an RSA key of 2048 to 4096 bits"))?;
        Ok(ServiceAccount {
            email: file.client_email,
            key_id: file.private_key_id,
            key,
            token_uri: file.token_uri,
        })
    }

    pub(super) fn token_uri(&self) -> &str {
        &self.token_uri
    }

    /// What is exchanged for a token.
    pub(super) fn assertion(&self, scope: &str, now: SystemTime) -> Result<SecretString, Denied> {
        let unusable = |why| Denied::Unusable { whom: "a Google service account", why };
        let now =
            now.duration_since(UNIX_EPOCH).map_err(|_| unusable("the clock is far from the present"))?;
        let now = now.as_secs();
        let mut head = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            head["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.email, "scope": scope, "aud": self.token_uri, "iat": now, "exp": now + LIFE,
        });
        let encoded = |value: &serde_json::Value| base64url::encode(value.to_string().as_bytes());
        let text = format!("{}.{}", encoded(&head), encoded(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| unusable("its key does not sign"))?;
        Ok(SecretString::from(format!("{text}.{}", base64url::encode(&signature))))
    }
}

/// An assertion is as good as the key for an hour: it goes over TLS, or to this machine (a test, a sidecar).
fn may_send(uri: &str) -> bool {
    let Ok(uri) = uri.parse::<Uri>() else { return false };
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => host == "localhost" || host == "127.0.0.1",
        _ => false,
    }
}
