//! What accounts become: their presets, addresses, credentials, and pools of their tiers.

use std::fs;
use std::path::Path;

use secrecy::SecretString;

use super::*;

fn read(text: &str) -> (Result<Config, Report>, Sources) {
    let mut sources = Sources::default();
    let text = format!("version = 1\n{text}");
    let config = check::check_from(Path::new("weir.toml"), &text, &|_| None, &mut sources);
    (config, sources)
}

fn loaded(text: &str) -> Config {
    read(text).0.unwrap_or_else(|report| panic!("{report}"))
}

fn account(keys: &str) -> Arc<Account> {
    loaded(&format!("[[accounts]]\nname = \"a\"\n{keys}\n")).accounts[0].clone()
}

fn hidden(text: &str) -> Secret {
    SecretString::from(text).into()
}

fn credentials(keys: &str) -> Access {
    account(keys).access.clone()
}

#[test]
fn addresses_are_those_of_the_preset_with_the_accounts_values() {
    let azure = account("provider = \"azure\"\nresource = \"acme\"\napi_key = \"k\"");
    assert_eq!(azure.base_url, "https://acme.openai.azure.com");
    let chat = azure.path(Call::Chat, "my gpt", "").unwrap();
    assert_eq!(chat, "/openai/deployments/my%20gpt/chat/completions?api-version=2024-12-01-preview");
    let vertex = account("provider = \"vertex\"\nregion = \"global\"\nproject = \"p\"\napi_version = \"v1\"");
    assert_eq!(vertex.base_url, "https://aiplatform.googleapis.com");
    assert_eq!(
        vertex.path(Call::GenerateContent, "gemini-2.5-pro", "").unwrap(),
        "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-pro:generateContent"
    );
    let kept = account("provider = \"openai\"\napi_key = \"k\"").path(Call::Response, "", "resp_1");
    assert_eq!(kept.unwrap(), "/responses/resp_1");
}

/// Broken on purpose: `resource` asked for though no address needs it any more.
#[test]
fn a_base_url_of_its_own_goes_before_the_presets() {
    let azure = account("provider = \"azure\"\nbase_url = \"http://127.0.0.1:9000/proxy/\"\napi_key = \"k\"");
    assert_eq!(azure.base_url, "http://127.0.0.1:9000/proxy");
    let vertex = account("provider = \"vertex\"\nbase_url = \"http://h\"\nproject = \"p\"\nregion = \"r\"");
    assert_eq!(vertex.base_url, "http://h/");
    // An account of OpenAI behind an address of its own has needed no key before.
    let own = account("provider = \"openai\"\nbase_url = \"http://127.0.0.1:9000/v1\"");
    assert_eq!((own.access.clone(), &*own.preset.name), (Access::Open, "openai"));
}

#[test]
fn a_key_is_shown_as_the_provider_expects_it() {
    let key = |keys: &str| account(&format!("{keys}\napi_key = \"k\"")).access.clone();
    let header = |name: &'static str| Access::Header(http::HeaderName::from_static(name), hidden("k"));
    assert_eq!(key("provider = \"openai\""), Access::Bearer(hidden("k")));
    assert_eq!(key("provider = \"anthropic\""), header("x-api-key"));
    assert_eq!(key("provider = \"gemini\""), header("x-goog-api-key"));
    assert_eq!(key("provider = \"azure\"\nresource = \"acme\""), header("api-key"));
    assert_eq!(key("provider = \"bedrock\"\nregion = \"us-east-1\""), Access::Bearer(hidden("k")));
    assert_eq!(key("provider = \"ollama\""), Access::Bearer(hidden("k")));
}

#[test]
fn without_a_key_the_environment_pays_where_it_can() {
    assert_eq!(credentials("provider = \"ollama\""), Access::Open);
    let by = AwsCredentials::Environment;
    let aws = |service: &str| Access::Aws { service: service.into(), region: "r".into(), by: by.clone() };
    assert_eq!(credentials("provider = \"bedrock\"\nregion = \"r\""), aws("bedrock"));
    assert_eq!(credentials("provider = \"bedrock-mantle\"\nregion = \"r\""), aws("bedrock-mantle"));
    let scope = "https://www.googleapis.com/auth/cloud-platform".to_owned();
    assert_eq!(
        credentials("provider = \"vertex\"\nregion = \"r\"\nproject = \"p\""),
        Access::Google { scope, by: GoogleCredentials::Environment }
    );
}

#[test]
fn credentials_of_aws() {
    let by = |keys: &str| {
        let text =
            format!("provider = \"bedrock\"\nregion = \"r\"\ncredentials = {{ kind = \"aws\"{keys} }}");
        let Access::Aws { by, .. } = credentials(&text) else { panic!() };
        by
    };
    assert_eq!(by(""), AwsCredentials::Environment);
    let keys = |session| AwsCredentials::Keys { id: "i".into(), secret: hidden("s"), session };
    assert_eq!(by(", access_key_id = \"i\", secret_access_key = \"s\""), keys(None));
    assert_eq!(
        by(", access_key_id = \"i\", secret_access_key = \"s\", session_token = \"t\""),
        keys(Some(hidden("t")))
    );
    assert_eq!(
        by(", role_arn = \"arn:aws:iam::1:role/r\", token_file = \"/token\""),
        AwsCredentials::WebIdentity { role: "arn:aws:iam::1:role/r".into(), file: "/token".into() }
    );
}

#[test]
fn credentials_of_entra() {
    let by = |keys: &str| {
        let text =
            format!("provider = \"azure\"\nresource = \"acme\"\ncredentials = {{ kind = \"entra\"{keys} }}");
        let Access::Entra { scope, by } = credentials(&text) else { panic!() };
        assert_eq!(scope, "https://cognitiveservices.azure.com/.default");
        by
    };
    let app = |authority: Option<&str>| EntraApp {
        authority: authority.map(str::to_owned),
        tenant: "t".into(),
        client: "c".into(),
    };
    assert_eq!(by(""), EntraCredentials::Environment);
    assert_eq!(by(", client = \"c\""), EntraCredentials::Managed("c".into()));
    assert_eq!(
        by(", tenant = \"t\", client = \"c\", secret = \"s\""),
        EntraCredentials::Secret(app(None), hidden("s"))
    );
    let us = "https://login.microsoftonline.us";
    assert_eq!(
        by(&format!(", tenant = \"t\", client = \"c\", token_file = \"/token\", authority = \"{us}\"")),
        EntraCredentials::Federated(app(Some(us)), "/token".into())
    );
}

/// A key file that is exchanged is noticed. Broken on purpose: read past `sources`.
#[test]
fn a_key_file_of_google_is_read_and_watched() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.json");
    let pem = "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n";
    let json =
        serde_json::json!({ "type": "service_account", "client_email": "e", "private_key": pem }).to_string();
    fs::write(&file, &json).unwrap();
    let text = format!(
        "[[accounts]]\nname = \"a\"\nprovider = \"vertex\"\nregion = \"r\"\nproject = \"p\"\n\
         credentials = {{ kind = \"google\", file = \"{}\" }}",
        file.display()
    );
    let (config, sources) = read(&text);
    let config = config.unwrap();
    let Access::Google { by, .. } = &config.accounts[0].access else { panic!() };
    assert_eq!(*by, GoogleCredentials::ServiceAccount(hidden(&json)));
    assert!(!format!("{config:?}").contains("aHVudGVyMg"));
    assert_eq!(sources.again(), sources);
    fs::write(&file, "{}").unwrap();
    assert_ne!(sources.again(), sources);
    assert!(read(&text).0.is_err());
}

/// Broken on purpose: the directory not listed in `sources`.
#[test]
fn a_directory_of_presets_adds_providers_and_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let groq = include_str!("../../../config/providers/groq.toml");
    let put = |name: &str| {
        let text = groq.replace("name = \"groq\"", &format!("name = \"{name}\""));
        fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
    };
    put("ours");
    let text = format!(
        "providers_dir = \"{}\"\n[[accounts]]\nname = \"a\"\nprovider = \"ours\"\napi_key = \"k\"",
        dir.path().display()
    );
    let (config, sources) = read(&text);
    assert_eq!(config.unwrap().accounts[0].base_url, "https://api.groq.com/openai/v1");
    assert_eq!(sources.again(), sources);
    put("another");
    assert_ne!(sources.again(), sources, "a file that comes is a change");
    fs::remove_file(dir.path().join("another.toml")).unwrap();
    assert_eq!(sources.again(), sources);
    fs::remove_file(dir.path().join("ours.toml")).unwrap();
    assert_ne!(sources.again(), sources, "a file that goes is a change");
}

const TIERS: &str = r#"
[[accounts]]
name = "a"
provider = "openai"
api_key = "k"
limits_preset = "tier-4"
pools = [{ name = "own", models = ["gpt-4o-mini"], limits = { rpm = 7 } }]
[[accounts]]
name = "b"
provider = "openai"
api_key = "k"
limits_preset = "tier-4"
charge = "end-actual"
[[deployments]]
name = "one"
account = "a"
model = "gpt-4o"
[[deployments]]
name = "two"
account = "a"
model = "gpt-4o"
[[deployments]]
name = "mini"
account = "a"
model = "gpt-4o-mini"
[[deployments]]
name = "other"
account = "b"
model = "gpt-4o"
"#;

/// Broken on purpose: a pool made for each deployment (its name is given twice); the account's own pool besides the tier's.
#[test]
fn a_tiers_pools_are_shared_by_the_accounts_deployments() {
    let config = loaded(TIERS);
    let names = |index: usize| {
        let ids = &config.deployments[index].pools;
        ids.iter().map(|id| config.pools[id.0].name.to_string()).collect::<Vec<_>>()
    };
    let preset = &config.accounts[0].preset;
    let known = preset.limits("tier-4", "gpt-4o").unwrap();
    let of_tier = format!("account/a/{}", known.name);
    assert_eq!(names(0), [of_tier.as_str(), "deployment/one"]);
    assert_eq!(config.deployments[0].pools[0], config.deployments[1].pools[0]);
    assert_eq!(config.deployments[0].rests, [config.deployments[0].pools[0]]);
    assert_eq!(names(2), ["account/a/own", "deployment/mini"]);
    assert_eq!(names(3)[0], format!("account/b/{}", known.name));
    let pool = |index: usize| &config.pools[config.deployments[index].pools[0].0];
    assert_eq!((&pool(0).meters, pool(0).side), (&known.meters, Side::Provider(known.charge)));
    assert_eq!(pool(3).side, Side::Provider(Charge::EndActual));
}

/// Broken on purpose once: meters in the order in which they are written.
#[test]
fn in_whichever_order_its_limits_are_written_it_is_the_same_pool() {
    let keys = |tenant: &str| {
        let config = loaded(&format!("[[tenants]]\nname = \"t\"\nkeys = []\n{tenant}"));
        crate::state::pools::table(&config, 0).iter().map(|pool| pool.decl.key.clone()).collect::<Vec<_>>()
    };
    let tokens = "{ kind = \"tokens\", limit = 5, per = \"1h\" }";
    let requests = "{ kind = \"requests\", limit = 5, per = \"1m\" }";
    let one = keys(&format!("meters = [{tokens}, {requests}]\n"));
    assert_eq!(one, keys(&format!("meters = [{requests}, {tokens}]\n")));
    assert_eq!(one, keys(&format!("limits = {{ rpm = 7 }}\nmeters = [{tokens}]\n")));
    assert_ne!(one, keys("limits = { rpm = 7 }\n"));
}
