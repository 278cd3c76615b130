use std::sync::Arc;

use super::super::kept::Kept;
use super::super::scripted::{Asked, Script, after, status};
use super::super::token::TokenSource;
use super::*;

fn found(variables: &[(&str, &str)]) -> anyhow::Result<Entra> {
    let variable =
        |name: &str| variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned());
    let resource = "https://cognitiveservices.azure.com".to_owned();
    Ok(Entra { resource, by: EntraIdentity::from_env(&variable)? })
}

async fn asked(source: Entra, script: &Arc<Script>) -> Result<Asked, Denied> {
    let kept = Kept::new(TokenSource::Entra(source), script.outside());
    let (token, _) = kept.get().await?;
    assert_eq!(token.expose_secret(), "t0ken");
    let shown = format!("{kept:?}");
    assert!(!shown.contains("s3cret") && !shown.contains("t0ken"));
    Ok(script.asked().remove(0))
}

const TOKEN: &str =
    r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"t0ken"}"#;
const APP: [(&str, &str); 2] = [("AZURE_TENANT_ID", "tenant-1"), ("AZURE_CLIENT_ID", "client-1")];

#[tokio::test(start_paused = true)]
async fn an_application_is_known_by_its_secret() {
    let source = found(&[APP[0], APP[1], ("AZURE_CLIENT_SECRET", "s3cret~&")]).unwrap();
    let asked = asked(source, &Script::of([after(0, TOKEN)])).await.unwrap();
    assert_eq!(asked.method, "POST");
    assert_eq!(asked.uri, "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token");
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(
        asked.body,
        "grant_type=client_credentials&client_id=client-1\
         &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default&client_secret=s3cret~%26"
    );
}

#[tokio::test(start_paused = true)]
async fn workload_identity_sends_the_platforms_token() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "eyJ.s3cret\n").unwrap();
    let authority = ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/");
    let federated = ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap());
    let source = found(&[APP[0], APP[1], federated, authority]).unwrap();
    let asked = asked(source, &Script::of([after(0, TOKEN)])).await.unwrap();
    assert_eq!(asked.uri, "https://login.microsoftonline.us/tenant-1/oauth2/v2.0/token");
    assert!(asked.body.ends_with(
        "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion=eyJ.s3cret"
    ));
}

/// The file is gone: the error names what file it is, and neither path nor content.
#[tokio::test(start_paused = true)]
async fn a_missing_token_file_is_an_error() {
    let source = found(&[APP[0], APP[1], ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/s3cret")]).unwrap();
    let error = asked(source, &Script::of([])).await.unwrap_err();
    assert_eq!(error.to_string(), "the Azure federated token file: cannot be read as text");
}

/// Broken on purpose: with numbers only for `expires_in`, the answer as Azure writes it is refused.
#[tokio::test(start_paused = true)]
async fn a_managed_identity_asks_the_machine() {
    let answer = r#"{"access_token":"t0ken","expires_in":"86399","expires_on":"1796040000",
        "resource":"https://cognitiveservices.azure.com","token_type":"Bearer"}"#;
    let asked = asked(found(&[APP[1]]).unwrap(), &Script::of([after(0, answer)])).await.unwrap();
    assert_eq!(asked.method, "GET");
    assert_eq!(
        asked.uri,
        "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01\
         &resource=https%3A%2F%2Fcognitiveservices.azure.com&client_id=client-1"
    );
    assert_eq!(asked.headers["metadata"], "true");
}

/// Broken on purpose: with the description shown too, the secret is.
#[tokio::test(start_paused = true)]
async fn a_refusal_names_its_code_alone() {
    let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: s3cret is wrong","error_codes":[7000215]}"#;
    let source = || found(&[APP[0], APP[1], ("AZURE_CLIENT_SECRET", "s3cret")]).unwrap();
    let error = asked(source(), &Script::of([status(401, body)])).await.unwrap_err();
    assert_eq!(error.to_string(), "Microsoft Entra answered 401 (invalid_client)");
    let error =
        asked(source(), &Script::of([status(401, r#"{"error":"s3cret with spaces"}"#)])).await.unwrap_err();
    assert_eq!(error.to_string(), "Microsoft Entra answered 401");
    let error = asked(source(), &Script::of([after(0, r#"{"access_token":7}"#)])).await.unwrap_err();
    assert_eq!(error.to_string(), "Microsoft Entra: its answer holds no token");
}

#[test]
fn an_application_needs_a_tenant() {
    assert!(found(&[("AZURE_CLIENT_SECRET", "s3cret"), APP[1]]).is_err());
    assert!(matches!(found(&[]).unwrap().by, EntraIdentity::Managed { client: None }));
}
