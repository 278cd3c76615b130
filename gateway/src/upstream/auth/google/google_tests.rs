use std::process::Command;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::super::kept::Kept;
use super::super::scripted::{START, Script, after};
use super::super::token::TokenSource;
use super::*;

/// What Vertex AI asks for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN: &str = r#"{"access_token":"ya29.t0ken","expires_in":3599,"token_type":"Bearer"}"#;

/// Made anew: no key lies in the repository.
fn pem() -> String {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .expect("openssl is there");
    String::from_utf8(made.stdout).unwrap()
}

fn key_file(pem: &str) -> Value {
    json!({
        "type": "service_account", "project_id": "p", "private_key_id": "key-1", "private_key": pem,
        "client_email": "weir@p.iam.gserviceaccount.com", "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
}

/// RFC 4648, section 5, the slow way: an oracle of its own.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => panic!("not base64url"),
    };
    let bits: String = text.bytes().map(|c| format!("{:06b}", digit(c))).collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

/// Broken on purpose: signed with SHA-512 the public key refuses it; with `iat` in milliseconds the claims differ.
#[tokio::test(start_paused = true)]
async fn a_service_account_signs_what_its_public_key_verifies() {
    let pem = pem();
    let source = Google::from_key_file(key_file(&pem).to_string().as_bytes()).unwrap();
    let script = Script::of([after(0, TOKEN)]);
    let kept = Kept::new(TokenSource::Google { from: source, scope: SCOPE.to_owned() }, script.outside());
    let (token, _) = kept.get().await.unwrap();
    assert_eq!(token.expose_secret(), "ya29.t0ken");
    assert!(!format!("{kept:?}").contains("PRIVATE"));

    let asked = &script.asked()[0];
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.uri, "https://oauth2.googleapis.com/token");
    let form = percent_decode_str(&asked.body).decode_utf8().unwrap().into_owned();
    let jwt = form.strip_prefix("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=").unwrap();
    let (text, signature) = jwt.rsplit_once('.').unwrap();
    let (head, claims) = text.split_once('.').unwrap();
    let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)).unwrap();
    assert_eq!(json(head), json!({ "alg": "RS256", "typ": "JWT", "kid": "key-1" }));
    assert_eq!(
        json(claims),
        json!({
            "iss": "weir@p.iam.gserviceaccount.com", "scope": SCOPE,
            "aud": "https://oauth2.googleapis.com/token", "iat": START, "exp": START + 3600,
        })
    );
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    public.verify(text.as_bytes(), &decoded(signature)).unwrap();
    assert!(public.verify(b"another text", &decoded(signature)).is_err());
}

/// Broken on purpose: with serde_json's own message, the value of the wrong type is shown.
#[test]
fn a_bad_key_file_is_refused_without_quoting_it() {
    let refused = |file: &Value| {
        let error = format!("{:#}", Google::from_key_file(file.to_string().as_bytes()).unwrap_err());
        assert!(!error.contains("s3cret"), "{error}");
        error
    };
    let mut file = key_file("s3cret");
    assert!(refused(&file).contains("PEM"));
    file["private_key"] = json!("-----BEGIN PRIVATE KEY-----\nczNjcmV0\n-----END PRIVATE KEY-----\n");
    assert!(refused(&file).contains("RSA"));
    file["token_uri"] = json!("http://example.com/token");
    assert!(refused(&file).contains("https"));
    file["type"] = json!("authorized_user");
    assert!(refused(&file).contains("service_account"));
    assert!(refused(&json!("s3cret")).contains("line 1"));
}

#[tokio::test(start_paused = true)]
async fn the_metadata_server_is_asked_with_its_header() {
    let script = Script::of([after(0, TOKEN)]);
    let source = Google::from_env(&|_| None).unwrap();
    let kept = Kept::new(TokenSource::Google { from: source, scope: SCOPE.to_owned() }, script.outside());
    kept.get().await.unwrap();
    let asked = &script.asked()[0];
    assert_eq!(
        asked.uri,
        "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token\
         ?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"
    );
    assert_eq!(asked.headers["metadata-flavor"], "Google");
    tokio::time::sleep(Duration::from_secs(60)).await;
    kept.get().await.unwrap();
    assert_eq!(script.times(), 1);
}

#[test]
fn the_environment_names_a_key_file_or_a_metadata_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.json");
    std::fs::write(&path, key_file(&pem()).to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let named = |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.clone());
    assert!(matches!(Google::from_env(&named).unwrap(), Google::ServiceAccount(_)));
    let moved = |name: &str| (name == "GCE_METADATA_HOST").then(|| "127.0.0.1:9".to_owned());
    assert!(matches!(Google::from_env(&moved).unwrap(), Google::Metadata { host } if host == "127.0.0.1:9"));
}
