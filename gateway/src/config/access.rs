//! How the calls of an account show who pays.

use std::ops::Deref;
use std::path::PathBuf;

use http::HeaderName;
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
