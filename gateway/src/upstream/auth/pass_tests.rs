use super::super::scripted::Script;
use super::*;
use crate::config::Secret;

fn pass(access: &Access, variables: &[(&str, &str)]) -> anyhow::Result<Pass> {
    let variable =
        |name: &str| variables.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned());
    // The clock of a script needs a runtime, what is made here none.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _entered = runtime.enter();
    Pass::of(access, &|| Script::of([]).outside(), &variable)
}

fn hidden(text: &str) -> Secret {
    SecretString::from(text).into()
}

fn bedrock(by: AwsCredentials) -> Access {
    Access::Aws { service: "bedrock".into(), region: "us-east-1".into(), by }
}

/// Broken on purpose: with `value` not made sensitive, `Debug` shows the key.
#[test]
fn keys_stand_in_their_headers_and_are_not_shown() {
    let api_key = HeaderName::from_static("api-key");
    let cases = [
        (Access::Bearer(hidden("k3y")), "authorization", "Bearer k3y"),
        (Access::Header(api_key, hidden("k3y")), "api-key", "k3y"),
    ];
    for (access, name, value) in cases {
        let made = pass(&access, &[]).unwrap();
        assert!(!format!("{made:?} {access:?}").contains("k3y"));
        let Pass::Standing(Some(header)) = made else { panic!() };
        assert_eq!((header.0.as_str(), header.1.to_str().unwrap()), (name, value));
    }
    assert!(matches!(pass(&Access::Open, &[]).unwrap(), Pass::Standing(None)));
    let error = pass(&Access::Bearer(hidden("k3y\n")), &[]).unwrap_err();
    assert!(!format!("{error:#}").contains("k3y"));
}

#[test]
fn bedrock_is_paid_by_what_the_environment_has() {
    let environment = bedrock(AwsCredentials::Environment);
    let Pass::Standing(Some((name, value))) =
        pass(&environment, &[("AWS_BEARER_TOKEN_BEDROCK", "k")]).unwrap()
    else {
        panic!()
    };
    assert_eq!((name, value.to_str().unwrap()), (header::AUTHORIZATION, "Bearer k"));
    assert!(matches!(pass(&environment, &[]).unwrap(), Pass::Made(_)));
    let half = pass(&environment, &[("AWS_ACCESS_KEY_ID", "AKIA1")]).unwrap_err();
    assert!(half.to_string().contains("AWS_SECRET_ACCESS_KEY"), "{half:#}");
}

/// What the configuration says is used, whatever the environment has. Broken on purpose: the environment looked at in any case.
#[test]
fn credentials_of_the_file_go_before_the_environment() {
    let around = [("AWS_BEARER_TOKEN_BEDROCK", "k"), ("AZURE_CLIENT_SECRET", "half of it")];
    let keys = AwsCredentials::Keys { id: "AKIA1".into(), secret: hidden("s3cret"), session: None };
    let role = AwsCredentials::WebIdentity { role: "arn".into(), file: "/token".into() };
    for by in [keys, role] {
        let made = pass(&bedrock(by), &around).unwrap();
        assert!(matches!(made, Pass::Made(_)) && !format!("{made:?}").contains("s3cret"));
    }
    let entra = |by| Access::Entra { scope: "https://r/.default".into(), by };
    let made = pass(&entra(EntraCredentials::Managed("c".into())), &around).unwrap();
    let shown = format!("{made:?}");
    assert!(shown.contains("resource: \"https://r\"") && shown.contains("Managed"), "{shown}");
    assert!(pass(&entra(EntraCredentials::Environment), &around).is_err());
}
