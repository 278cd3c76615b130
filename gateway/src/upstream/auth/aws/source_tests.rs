use secrecy::ExposeSecret;

use super::super::super::kept::Kept;
use super::super::super::scripted::{Asked, Script, after, status};
use super::*;

const ANSWER: &str = r#"{"Code":"Success","LastUpdated":"2026-11-29T11:00:00Z","Type":"AWS-HMAC",
    "AccessKeyId":"ASIA1","SecretAccessKey":"s3cret","Token":"t0ken","Expiration":"2026-11-29T18:00:00Z"}"#;

fn found(variables: &[(&str, &str)]) -> anyhow::Result<AwsSource> {
    let variable =
        |name: &str| variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned());
    AwsSource::from_env(&variable, "eu-central-1")
}

async fn fetched(source: AwsSource, script: &std::sync::Arc<Script>) -> Result<Vec<Asked>, Denied> {
    let kept = Kept::new(source, script.outside());
    let (keys, _) = kept.get().await?;
    assert_eq!(keys.access_key_id, "ASIA1");
    assert_eq!(keys.secret_access_key.expose_secret(), "s3cret");
    assert_eq!(keys.session_token.as_ref().unwrap().expose_secret(), "t0ken");
    assert!(!format!("{kept:?} {keys:?}").contains("s3cret"));
    assert!(!format!("{kept:?} {keys:?}").contains("t0ken"));
    Ok(script.asked())
}

/// Each step names everything that stands behind it too. Broken on purpose: with the container looked for before web identity,
/// the third line finds it.
#[test]
fn the_environment_is_searched_in_the_documented_order() {
    let all = [
        ("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key"),
        ("AWS_ACCESS_KEY_ID", "AKIA1"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/weir"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"),
        ("AWS_REGION", "us-west-2"),
    ];
    assert!(matches!(found(&all).unwrap(), AwsSource::ApiKey(_)));
    assert!(matches!(found(&all[1..]).unwrap(), AwsSource::Fixed(_)));
    match found(&all[3..]).unwrap() {
        AwsSource::WebIdentity(identity) => {
            assert_eq!(identity.endpoint, "https://sts.us-west-2.amazonaws.com/")
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(found(&all[5..]).unwrap(), AwsSource::Container(_)));
    assert!(matches!(found(&all[6..]).unwrap(), AwsSource::Imds(_)));
    assert!(found(&[("AWS_EC2_METADATA_DISABLED", "TRUE")]).is_err());
    assert!(found(&[("AWS_ACCESS_KEY_ID", "AKIA1"), ("AWS_SECRET_ACCESS_KEY", "")]).is_err());
    assert!(found(&[("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")]).is_err());
}

/// Broken on purpose: with every http host allowed, the first of these is accepted.
#[test]
fn only_local_endpoints_are_asked_without_tls() {
    let uri = |uri: &str| found(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]);
    for refused in ["http://169.254.170.24/", "http://example.com/", "ftp://localhost/", "no url"] {
        assert!(uri(refused).is_err(), "{refused}");
    }
    let allowed = [
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://127.0.0.2:9/",
        "http://[::1]:9/",
        "http://localhost:9/",
        "https://example.com/",
    ];
    for allowed in allowed {
        assert!(uri(allowed).is_ok(), "{allowed}");
    }
}

/// EKS pod identity: the token file is read anew at every fetch.
#[tokio::test(start_paused = true)]
async fn a_container_is_asked_with_its_token_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "p0d-token\n").unwrap();
    let source = found(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one"),
    ]);
    let asked = fetched(source.unwrap(), &Script::of([after(0, ANSWER)])).await.unwrap();
    assert_eq!(asked[0].method, "GET");
    assert_eq!(asked[0].uri, "http://169.254.170.23/v1/credentials");
    assert_eq!(asked[0].headers["authorization"], "p0d-token");
}

#[tokio::test(start_paused = true)]
async fn an_ecs_task_is_asked_by_its_relative_uri() {
    let source = found(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1?id=2")]);
    let asked = fetched(source.unwrap(), &Script::of([after(0, ANSWER)])).await.unwrap();
    assert_eq!(asked[0].uri, "http://169.254.170.2/v2/credentials/1?id=2");
    assert!(asked[0].headers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_asked_in_a_session() {
    let script = Script::of([after(0, "sess10n"), after(0, "weir-role\n"), after(0, ANSWER)]);
    let asked = fetched(found(&[]).unwrap(), &script).await.unwrap();
    assert_eq!(asked[0].method, "PUT");
    assert_eq!(asked[0].uri, "http://169.254.169.254/latest/api/token");
    assert_eq!(asked[0].headers["x-aws-ec2-metadata-token-ttl-seconds"], "60");
    let path = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
    assert_eq!(asked[1].uri, path);
    assert_eq!(asked[2].uri, format!("{path}weir-role"));
    assert_eq!(asked[2].headers["x-aws-ec2-metadata-token"], "sess10n");
}

#[tokio::test(start_paused = true)]
async fn an_instance_without_a_usable_role_says_so() {
    let script = Script::of([after(0, "s"), status(404, "<html>Not Found</html>")]);
    let error = fetched(found(&[]).unwrap(), &script).await.unwrap_err();
    assert_eq!(error.to_string(), "the EC2 instance metadata service answered 404");
    let failed = ANSWER.replace("Success", "AssumeRoleUnauthorizedAccess");
    let script = Script::of([after(0, "s"), after(0, "role"), after(0, &failed)]);
    let error = fetched(found(&[]).unwrap(), &script).await.unwrap_err();
    assert_eq!(error.to_string(), "the EC2 instance metadata service: its answer is not a success");
}

fn identity(dir: &tempfile::TempDir) -> AwsSource {
    let file = dir.path().join("token");
    std::fs::write(&file, "eyJ.a+b/c=").unwrap();
    found(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/weir"),
        ("AWS_ROLE_SESSION_NAME", "replica-1"),
    ])
    .unwrap()
}

/// The answer as the STS API Reference shows it, other elements around the keys.
#[tokio::test(start_paused = true)]
async fn a_web_identity_is_exchanged_at_sts() {
    let xml = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:weir:weir</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/weir/replica-1</Arn></AssumedRoleUser>
    <Credentials>
      <SessionToken>t0ken</SessionToken>
      <SecretAccessKey>s3cret</SecretAccessKey>
      <Expiration>2026-11-29T13:00:00Z</Expiration>
      <AccessKeyId>ASIA1</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"#;
    let dir = tempfile::tempdir().unwrap();
    let asked = fetched(identity(&dir), &Script::of([after(0, xml)])).await.unwrap();
    assert_eq!(asked[0].method, "POST");
    assert_eq!(asked[0].uri, "https://sts.eu-central-1.amazonaws.com/");
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(
        asked[0].body,
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15\
         &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fweir&RoleSessionName=replica-1\
         &WebIdentityToken=eyJ.a%2Bb%2Fc%3D"
    );
}

/// Only the code of a refusal is shown. Broken on purpose: with the message shown too, this fails.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_sts_names_its_code_alone() {
    let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code>\
               <Message>Token eyJ.a+b/c= expired</Message></Error></ErrorResponse>";
    let dir = tempfile::tempdir().unwrap();
    let error = fetched(identity(&dir), &Script::of([status(400, xml)])).await.unwrap_err();
    assert_eq!(error.to_string(), "AWS STS answered 400 (ExpiredTokenException)");
    let half = "<Credentials><AccessKeyId>ASIA1</AccessKeyId></Credentials>";
    let error = fetched(identity(&dir), &Script::of([after(0, half)])).await.unwrap_err();
    assert_eq!(error.to_string(), "AWS STS: its answer holds no keys");
}
