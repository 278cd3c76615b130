//! `credentials` of an account, kind by kind: which keys go together, and whether files hold what they must.

use std::path::Path;

use http::Uri;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::super::raw::{self, CredentialKind};
use super::super::tree::{At, Field, Reading};
use super::super::{AwsCredentials, EntraApp, EntraCredentials, GoogleCredentials, Secret};

/// Reports keys of other kinds.
pub(super) fn only_keys_of(kind: CredentialKind, written: &raw::Credentials, cx: &mut Reading<'_>) {
    use CredentialKind::{Aws, Entra, Google};
    let raw::Credentials { kind: _, access_key_id, secret_access_key, session_token, role_arn, .. } = written;
    let raw::Credentials { token_file, file, json, tenant, client, secret, authority, .. } = written;
    let keys: [(&str, &Field<String>, &[CredentialKind]); 11] = [
        ("access_key_id", access_key_id, &[Aws]),
        ("secret_access_key", secret_access_key, &[Aws]),
        ("session_token", session_token, &[Aws]),
        ("role_arn", role_arn, &[Aws]),
        ("token_file", token_file, &[Aws, Entra]),
        ("file", file, &[Google]),
        ("json", json, &[Google]),
        ("tenant", tenant, &[Entra]),
        ("client", client, &[Entra]),
        ("secret", secret, &[Entra]),
        ("authority", authority, &[Entra]),
    ];
    for (name, field, kinds) in keys {
        let Some(at) = field.get() else { continue };
        if !kinds.contains(&kind) {
            cx.problem(&at.span, format!("credentials of the kind `{}` have no `{name}`", kind.word()));
        } else if at.value.is_empty() {
            cx.problem(&at.span, format!("`{name}` is empty"));
        }
    }
}

/// Of the kind `aws`.
pub(super) fn aws(at: &At<raw::Credentials>, cx: &mut Reading<'_>) -> AwsCredentials {
    let written = &at.value;
    let fields = [
        &written.access_key_id,
        &written.secret_access_key,
        &written.session_token,
        &written.role_arn,
        &written.token_file,
    ];
    if fields.iter().any(|field| field.is_bad()) {
        return AwsCredentials::Environment;
    }
    match fields.map(Field::value) {
        [None, None, None, None, None] => AwsCredentials::Environment,
        [Some(id), Some(key), session, None, None] => AwsCredentials::Keys {
            id: id.clone(),
            secret: hidden(key),
            session: session.map(|session| hidden(session)),
        },
        [None, None, None, Some(role), Some(file)] => {
            AwsCredentials::WebIdentity { role: role.clone(), file: file.into() }
        }
        _ => {
            cx.problem(
                &at.span,
                "expected `access_key_id` and `secret_access_key` (perhaps with `session_token`), `role_arn` and \
                 `token_file`, or none of them for what the environment has",
            );
            AwsCredentials::Environment
        }
    }
}

fn hidden(text: &str) -> Secret {
    SecretString::from(text).into()
}

/// Of the kind `google`.
pub(super) fn google(at: &At<raw::Credentials>, cx: &mut Reading<'_>) -> GoogleCredentials {
    let (json, span) = match (&at.value.file, &at.value.json) {
        (Field::Absent, Field::Absent) | (Field::Bad, _) | (_, Field::Bad) => {
            return GoogleCredentials::Environment;
        }
        (Field::Is(_), Field::Is(json)) => {
            cx.problem(&json.span, "`file` is given as well: one of them");
            return GoogleCredentials::Environment;
        }
        (Field::Is(file), Field::Absent) => {
            let read = cx.sources.read_text(Path::new(&file.value));
            let read = read.map_err(|err| cx.problem(&file.span, format!("cannot be read: {err}")));
            (read.unwrap_or_default(), &file.span)
        }
        (Field::Absent, Field::Is(json)) => (json.value.clone(), &json.span),
    };
    if !json.is_empty()
        && let Err(message) = is_key_file(&json)
    {
        cx.problem(span, message);
    }
    GoogleCredentials::ServiceAccount(SecretString::from(json).into())
}

/// Is it the key file of a service account? No message quotes it.
fn is_key_file(json: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct KeyFile {
        r#type: String,
        private_key: String,
        #[serde(rename = "client_email")]
        _email: String,
    }
    let file: KeyFile = serde_json::from_str(json).map_err(|err| {
        format!("not the key file of a service account (its line {}, column {})", err.line(), err.column())
    })?;
    let pem = SecretString::from(file.private_key);
    if file.r#type != "service_account" {
        return Err("a key file, but not of a service account".to_owned());
    }
    match PrivatePkcs8KeyDer::from_pem_slice(pem.expose_secret().as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err("its `private_key` is not a PEM of PKCS #8".to_owned()),
    }
}

/// Of the kind `entra`.
pub(super) fn entra(at: &At<raw::Credentials>, cx: &mut Reading<'_>) -> EntraCredentials {
    let raw::Credentials { tenant, client, secret, token_file, authority, .. } = &at.value;
    if [tenant, client, secret, token_file, authority].iter().any(|field| field.is_bad()) {
        return EntraCredentials::Environment;
    }
    if let Some(authority) = authority.get().filter(|authority| !is_safe(&authority.value)) {
        cx.problem(&authority.span, "expected a URL that starts with `https://`, without a path");
    }
    let app = |tenant: &String, client: &String| EntraApp {
        authority: authority.value().cloned(),
        tenant: tenant.clone(),
        client: client.clone(),
    };
    match [tenant, client, secret, token_file].map(Field::value) {
        [None, None, None, None] if authority.is_absent() => EntraCredentials::Environment,
        [None, Some(client), None, None] if authority.is_absent() => {
            EntraCredentials::Managed(client.clone())
        }
        [Some(tenant), Some(client), Some(secret), None] => {
            EntraCredentials::Secret(app(tenant, client), hidden(secret))
        }
        [Some(tenant), Some(client), None, Some(file)] => {
            EntraCredentials::Federated(app(tenant, client), file.into())
        }
        _ => {
            cx.problem(
                &at.span,
                "expected `tenant` and `client` with `secret` or `token_file`, `client` alone for the identity of the \
                 machine, or none of them for what the environment has",
            );
            EntraCredentials::Environment
        }
    }
}

/// Secrets go over TLS, or to this machine.
fn is_safe(authority: &str) -> bool {
    let Ok(uri) = authority.parse::<Uri>() else { return false };
    let here = matches!(uri.host(), Some("localhost" | "127.0.0.1"));
    let scheme = uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && here);
    scheme && uri.host().is_some() && uri.path() == "/" && uri.query().is_none() && !authority.contains('@')
}
