//! How the calls of an account show who pays.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use http::{HeaderName, Uri};
use ring::digest;
use secrecy::{ExposeSecret, SecretString};

/// A secret that can be compared, so that a reload sees whether it has changed. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl From<SecretString> for Secret {
    fn from(secret: SecretString) -> Secret {
        Secret(secret)
    }
}

impl Deref for Secret {
    type Target = SecretString;

    fn deref(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Secret {}

/// What an account's calls show. Equal ones are authorised alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// `authorization: Bearer KEY`.
    Bearer(Secret),
    /// The key alone in a header.
    Header(HeaderName, Secret),
    /// A signature of AWS.
    Aws {
        /// What is signed for: `bedrock`.
        service: String,
        /// Where: `us-east-1`.
        region: String,
        /// Who signs.
        by: AwsCredentials,
    },
    /// A token of Google Cloud.
    Google {
        /// What the token must be good for.
        scope: String,
        /// Who asks for it.
        by: GoogleCredentials,
    },
    /// A token of Microsoft Entra.
    Entra {
        /// What the token must be good for, `/.default` at its end.
        scope: String,
        /// Who asks for it.
        by: EntraCredentials,
    },
}

impl Access {
    /// A tag of the account that shows this at `base`: an even number below 2^53, not 0. It is a digest of which half is left
    /// out, so that it tells whether a key is another one, and nothing of the key.
    pub fn tag(&self, account: &str, base: &Uri) -> u64 {
        let mut hashed = digest::Context::new(&digest::SHA256);
        let own = [account.to_owned(), base.to_string()];
        for part in own.iter().map(String::as_bytes).chain(self.parts()) {
            hashed.update(&part.len().to_le_bytes());
            hashed.update(part);
        }
        let bytes = hashed.finish();
        let number = bytes.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
        (number & ((1 << 53) - 2)).max(2)
    }

    /// What tells it from another, secrets included.
    fn parts(&self) -> Vec<&[u8]> {
        match self {
            Access::Open => vec![],
            Access::Bearer(key) => vec![b"bearer", secret(key)],
            Access::Header(name, key) => vec![b"header", name.as_ref(), secret(key)],
            Access::Aws { service, region, by } => {
                [&[b"aws" as &[u8], service.as_bytes(), region.as_bytes()], &by.parts()[..]].concat()
            }
            Access::Google { scope, by } => {
                let by = match by {
                    GoogleCredentials::Environment => &[],
                    GoogleCredentials::ServiceAccount(file) => secret(file),
                };
                vec![b"google", scope.as_bytes(), by]
            }
            Access::Entra { scope, by } => [&[b"entra" as &[u8], scope.as_bytes()], &by.parts()[..]].concat(),
        }
    }
}

fn secret(secret: &Secret) -> &[u8] {
    secret.expose_secret().as_bytes()
}

fn file(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

impl AwsCredentials {
    fn parts(&self) -> Vec<&[u8]> {
        match self {
            AwsCredentials::Environment => vec![],
            AwsCredentials::Keys { id, secret: key, session } => {
                vec![id.as_bytes(), secret(key), session.as_ref().map_or(b"", secret)]
            }
            AwsCredentials::WebIdentity { role, file: path } => vec![role.as_bytes(), file(path)],
        }
    }
}

impl EntraCredentials {
    fn parts(&self) -> Vec<&[u8]> {
        let (app, shown) = match self {
            EntraCredentials::Environment => return vec![],
            EntraCredentials::Managed(client) => return vec![client.as_bytes()],
            EntraCredentials::Secret(app, key) => (app, secret(key)),
            EntraCredentials::Federated(app, path) => (app, file(path)),
        };
        vec![app.tenant.as_bytes(), app.client.as_bytes(), shown]
    }
}

/// `credentials` of the kind `aws`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AwsCredentials {
    /// What the process finds around it, as AWS' SDKs do.
    Environment,
    /// A key.
    Keys {
        /// Names the key; not secret.
        id: String,
        /// Signs.
        secret: Secret,
        /// Goes along with a temporary key.
        session: Option<Secret>,
    },
    /// A role that is taken with a token of the platform.
    WebIdentity {
        /// Its ARN.
        role: String,
        /// Holds the token; the platform replaces it before its end.
        file: PathBuf,
    },
}

/// `credentials` of the kind `google`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoogleCredentials {
    /// What the process finds around it, as Google's SDKs do.
    Environment,
    /// The contents of a service account's key file.
    ServiceAccount(Secret),
}

/// `credentials` of the kind `entra`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntraCredentials {
    /// What the process finds around it, as Azure's SDKs do.
    Environment,
    /// An application by its secret.
    Secret(EntraApp, Secret),
    /// An application by a token of a platform that it trusts, in a file that the platform replaces before its end.
    Federated(EntraApp, PathBuf),
    /// The identity of the machine with this client id.
    Managed(String),
}

/// An application in a tenant of Entra.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntraApp {
    /// URL of who gives out tokens, without a path; `None`: that of the public cloud.
    pub authority: Option<String>,
    /// Tenant id or domain.
    pub tenant: String,
    /// Client id.
    pub client: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_key_is_another_tag_and_the_same_is_the_same() {
        let base = Uri::from_static("http://127.0.0.1/v1");
        let tag = |account: &str, key: &str| {
            Access::Bearer(SecretString::from(key.to_owned()).into()).tag(account, &base)
        };
        assert_eq!(tag("a", "k1"), tag("a", "k1"));
        assert_ne!(tag("a", "k1"), tag("a", "k2"));
        assert_ne!(tag("a", "k1"), tag("b", "k1"));
        for key in 0..100 {
            let tag = tag("a", &key.to_string());
            assert!(tag > 0 && tag.is_multiple_of(2) && tag < 1 << 53);
        }
    }
}
