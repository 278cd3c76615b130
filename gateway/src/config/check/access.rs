//! What an account's calls show: a key, credentials, or nothing where the provider allows that.

use http::{HeaderName, Uri, header};
use secrecy::SecretString;

use super::super::preset::{Auth, Preset};
use super::super::raw::{self, CredentialKind};
use super::super::tree::{At, Field, Reading, Span};
use super::super::{Access, AwsCredentials, GoogleCredentials, suggest};
use super::addresses::{self, Place};
use super::credentials;
use super::server::secret;

/// Resolves what the calls of an account show; `preset` is `None` if the provider is not known.
pub(super) fn access(
    at: &At<raw::Account>,
    preset: Option<&Preset>,
    place: &Place,
    cx: &mut Reading<'_>,
) -> Access {
    let written = &at.value;
    let key = written.api_key.get().map(|key| (secret("api_key", key, cx), &key.span));
    if let (Some(_), Some(credentials)) = (&key, written.credentials.get()) {
        cx.problem(&credentials.span, "`api_key` is given as well: one of them shows who pays");
    }
    let Some(preset) = preset else { return Access::Open };
    match (&written.credentials, key) {
        (Field::Is(credentials), _) => by_credentials(at, credentials, preset, place, cx),
        (_, Some((Some(key), span))) => by_key(key, span, preset, cx),
        (Field::Absent, None) if written.api_key.is_absent() => by_nothing(at, preset, place, cx),
        _ => Access::Open, // what is wrong has been reported
    }
}

/// The headers that carry it: accounts cannot set them besides.
pub(super) fn headers_of(access: &Access) -> Vec<HeaderName> {
    match access {
        Access::Open => Vec::new(),
        Access::Header(name, _) => vec![name.clone()],
        Access::Bearer(_) | Access::Google { .. } | Access::Entra { .. } => vec![header::AUTHORIZATION],
        Access::Aws { .. } => {
            let of_aws = ["x-amz-date", "x-amz-security-token"].map(HeaderName::from_static);
            of_aws.into_iter().chain([header::AUTHORIZATION]).collect()
        }
    }
}

fn by_key(key: SecretString, span: &Span, preset: &Preset, cx: &mut Reading<'_>) -> Access {
    let way = preset.auth.iter().find_map(|way| match way {
        Auth::Bearer => Some(Access::Bearer(key.clone().into())),
        Auth::Header(name) => Some(Access::Header(name.clone(), key.clone().into())),
        Auth::None | Auth::Sigv4 { .. } | Auth::Google { .. } | Auth::Entra { .. } => None,
    });
    way.unwrap_or_else(|| {
        cx.problem(span, format!("the provider `{}` takes no `api_key`{}", preset.name, use_instead(preset)));
        Access::Open
    })
}

/// Without key and credentials: nothing where that is allowed, else what the process finds around it.
fn by_nothing(at: &At<raw::Account>, preset: &Preset, place: &Place, cx: &mut Reading<'_>) -> Access {
    if preset.auth.contains(&Auth::None) {
        return Access::Open;
    }
    for way in &preset.auth {
        match way {
            Auth::Sigv4 { service } => {
                return aws(at, service, AwsCredentials::Environment, preset, place, cx);
            }
            Auth::Google { scope } => {
                return Access::Google { scope: scope.clone(), by: GoogleCredentials::Environment };
            }
            Auth::None | Auth::Bearer | Auth::Header(_) | Auth::Entra { .. } => {}
        }
    }
    // Behind an address of their own accounts may need none.
    if at.value.base_url.is_absent() {
        let whose = host(&place.base_url).unwrap_or_else(|| format!("the provider `{}`", preset.name));
        let or = kinds_of(preset).map_or(String::new(), |kinds| format!(", or {kinds}"));
        cx.problem(&at.span, format!("`api_key` is missing: {whose} needs one{or}"));
    }
    Access::Open
}

fn host(base_url: &Uri) -> Option<String> {
    base_url.host().filter(|_| *base_url != addresses::NOWHERE).map(str::to_owned)
}

/// The credentials that the provider takes, if it takes any.
fn kinds_of(preset: &Preset) -> Option<String> {
    let kinds: Vec<&str> = preset.auth.iter().filter_map(kind_of).map(CredentialKind::word).collect();
    (!kinds.is_empty()).then(|| format!("`credentials` of the kind {}", suggest::either(&kinds)))
}

fn use_instead(preset: &Preset) -> String {
    kinds_of(preset).map_or(String::new(), |kinds| format!(": use {kinds}"))
}

fn kind_of(way: &Auth) -> Option<CredentialKind> {
    match way {
        Auth::Sigv4 { .. } => Some(CredentialKind::Aws),
        Auth::Google { .. } => Some(CredentialKind::Google),
        Auth::Entra { .. } => Some(CredentialKind::Entra),
        Auth::None | Auth::Bearer | Auth::Header(_) => None,
    }
}

fn by_credentials(
    at: &At<raw::Account>,
    written: &At<raw::Credentials>,
    preset: &Preset,
    place: &Place,
    cx: &mut Reading<'_>,
) -> Access {
    let Some(kind) = written.value.kind.get() else { return Access::Open };
    credentials::only_keys_of(kind.value, &written.value, cx);
    let way = preset.auth.iter().find(|way| kind_of(way) == Some(kind.value));
    match way {
        Some(Auth::Sigv4 { service }) => aws(at, service, credentials::aws(written, cx), preset, place, cx),
        Some(Auth::Google { scope }) => {
            Access::Google { scope: scope.clone(), by: credentials::google(written, cx) }
        }
        Some(Auth::Entra { scope }) => {
            Access::Entra { scope: scope.clone(), by: credentials::entra(written, cx) }
        }
        Some(Auth::None | Auth::Bearer | Auth::Header(_)) | None => {
            let taken = kinds_of(preset).unwrap_or_else(|| "an `api_key`".to_owned());
            let message = format!("not for the provider `{}`: it takes {taken}", preset.name);
            cx.problem(&kind.span, message);
            Access::Open
        }
    }
}

fn aws(
    at: &At<raw::Account>,
    service: &str,
    by: AwsCredentials,
    preset: &Preset,
    place: &Place,
    cx: &mut Reading<'_>,
) -> Access {
    let region = place.values.get("region").cloned().unwrap_or_else(|| {
        cx.problem(&at.span, addresses::missing("region", preset));
        String::new()
    });
    Access::Aws { service: service.to_owned(), region, by }
}
