//! Calls to somebody whom the configuration does not name: neither what mallory says nor what a provider answers leads a replica there.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::provider::Upstream;

use super::listeners::{Canary, Keeper, Mood, UPSTREAM_KEY};
use super::wire::{Raw, Said, chat};
use super::{Case, MALLORY, QUICK, at_each, case, start, tenants};
use crate::in_turn;

/// Longer than anything rests here.
const REST: Duration = Duration::from_millis(40);
/// Deployments of other providers' dialects, all at one place; by each a client's words are told otherwise.
const OTHERS: [(&str, &str); 4] = [
    ("chats", "provider = \"openai-compatible\"\nbase_url = \"http://AT/v1\"\napi_key = \"KEY\""),
    ("messages", "provider = \"anthropic\"\nbase_url = \"http://AT/v1\"\napi_key = \"KEY\""),
    ("generates", "provider = \"gemini\"\nbase_url = \"http://AT/v1beta\"\napi_key = \"KEY\""),
    (
        "converses",
        "provider = \"bedrock\"\nregion = \"us-east-1\"\nbase_url = \"http://AT\"\n\
         credentials = { kind = \"aws\", access_key_id = \"AKIDEXAMPLE\", secret_access_key = \"KEY\" }",
    ),
];

fn others(keeper: &Keeper) -> String {
    let at = keeper.addr().to_string();
    let one = |(name, account): &(&str, &str)| {
        let account = account.replace("AT", &at).replace("KEY", UPSTREAM_KEY);
        format!(
            "[[accounts]]\nname = \"{name}\"\n{account}\n[[deployments]]\nname = \"{name}\"\naccount = \"{name}\"\nmodel = \"up\"\n\
             max_output = 64\n[[models]]\nname = \"{name}\"\ndeployments = [\"{name}\"]\n"
        )
    };
    OTHERS.iter().map(one).collect()
}

#[test]
fn nobody_is_called_whom_the_configuration_does_not_name() -> Result<()> {
    in_turn(async {
        let (keeper, canary) = (Keeper::start().await?, Canary::start().await?);
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"a\"]\n";
        let text = format!("{models}{}{}{}", keeper.config(), others(&keeper), tenants("", ""));
        let site = start("hostile-calls-out", vec![Upstream::new("a").behaving(QUICK)], text).await?;
        let elsewhere = canary.addr().to_string();
        for case in said_by_clients(&elsewhere) {
            at_each(&site, &case, |said| {
                ensure!(said.status != 0 || case.name.contains("tunnel"), "no answer");
                canary.must_be_silent(&case.name)
            })
            .await?;
        }
        told_as_they_are(&keeper, &elsewhere)?;
        led_by_providers(&site, &keeper, &canary).await?;
        // Nothing is on its way either.
        tokio::time::sleep(Duration::from_millis(500)).await;
        canary.must_be_silent("all of it, half a second later")
    })
}

/// Requests came to the provider as the configuration has it, and what clients say of where to look was left to the provider.
fn told_as_they_are(keeper: &Keeper, elsewhere: &str) -> Result<()> {
    let log = keeper.log();
    let with_address = log.iter().filter(|arrived| arrived.body.contains(elsewhere)).count();
    ensure!(with_address >= OTHERS.len(), "void: of {} requests {with_address} named the address", log.len());
    let own = keeper.addr().to_string();
    for arrived in &log {
        let all = format!("{} {} {:?}", arrived.method, arrived.target, arrived.headers);
        ensure!(
            !all.contains(MALLORY) && !arrived.body.contains(MALLORY),
            "mallory's key went to a provider: {all}"
        );
        ensure!(!all.contains(elsewhere), "what mallory said of addresses stands in a head: {all}");
        let host = arrived.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        ensure!(host == own, "another host than the configuration's: {all}");
    }
    Ok(())
}

/// A provider says to look elsewhere; who asked hears nothing of where.
async fn led_by_providers(site: &weir_tests::site::Site, keeper: &Keeper, canary: &Canary) -> Result<()> {
    let made = Raw::post("/v1/responses", &json!({ "model": "kept", "input": "mine" })).key(MALLORY);
    let made = made.to(site.replicas[0].addr()).await?;
    let id = made
        .text
        .split("\"id\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
        .to_owned();
    ensure!(id.starts_with("resp_"), "void: {}", made.text);
    let elsewhere = format!("http://{}/latest/meta-data", canary.addr());
    for status in [200, 201, 300, 301, 302, 303, 304, 305, 307, 308, 401, 407, 421, 426] {
        let headers = [
            ("location", elsewhere.clone()),
            ("content-location", elsewhere.clone()),
            ("refresh", format!("0; url={elsewhere}")),
            ("link", format!("<{elsewhere}>; rel=\"next\"")),
            ("alt-svc", format!("h2=\"{}\"; ma=3600", canary.addr())),
            ("www-authenticate", format!("Bearer realm=\"{elsewhere}\"")),
        ];
        keeper.turn(Mood::Says(status, headers.to_vec()));
        for case in led(&id) {
            let (name, arrived) = (format!("{status} to {}", case.name), keeper.log().len());
            tokio::time::sleep(REST).await; // what has just failed rests
            at_each(site, &case, |said| {
                canary.must_be_silent(&name)?;
                let told =
                    |said: &Said| said.text.contains(&elsewhere) || !said.header("location").is_empty();
                ensure!(!told(said), "mallory is told of it: {}", said.text);
                Ok(())
            })
            .await?;
            ensure!(keeper.log().len() > arrived, "void: {name:?} did not come to the provider");
        }
    }
    keeper.turn(Mood::Keeps);
    Ok(())
}

fn led(id: &str) -> Vec<Case> {
    let mut all = vec![
        case(
            "a response",
            Raw::post("/v1/responses", &json!({ "model": "kept", "input": "x" })).key(MALLORY),
        ),
        case("what is kept", Raw::get(&format!("/v1/responses/{id}")).key(MALLORY)),
        case("a cancellation", Raw::post(&format!("/v1/responses/{id}/cancel"), &json!({})).key(MALLORY)),
    ];
    for (model, _) in OTHERS {
        all.push(case(format!("a chat at {model}"), Raw::chat(model).key(MALLORY)));
        let mut body = chat(model);
        body["stream"] = json!(true);
        all.push(case(format!("a stream at {model}"), Raw::post("/v1/chat/completions", &body).key(MALLORY)));
    }
    all
}

fn said_by_clients(elsewhere: &str) -> Vec<Case> {
    let url = format!("http://{elsewhere}/latest/meta-data/iam");
    let mut all = media(&url);
    for member in [
        "base_url",
        "api_base",
        "api_url",
        "endpoint",
        "url",
        "host",
        "proxy",
        "callback_url",
        "webhook",
        "webhook_url",
        "custom_llm_provider",
        "api_key",
        "extra_headers",
        "extra_body",
        "extra_query",
        "web_search_options",
        "metadata",
        "mock_response",
        "fallbacks",
        "user",
    ] {
        for value in [json!(url), json!({ "url": url, "base_url": url, "webhook": url })] {
            let mut body = chat("m");
            body[member] = value;
            all.push(case(
                format!("the member {member}"),
                Raw::post("/v1/chat/completions", &body).key(MALLORY),
            ));
        }
    }
    for name in [
        "x-weir-base-url",
        "x-base-url",
        "x-api-base",
        "api-base",
        "helicone-target-url",
        "x-portkey-custom-host",
        "x-forwarded-host",
        "x-forwarded-server",
        "x-original-host",
        "x-upstream",
        "x-target-url",
        "openai-base-url",
        "anthropic-base-url",
        "x-callback-url",
        "webhook-url",
        "referer",
        "origin",
        "x-http-host-override",
        "proxy-authorization",
        "via",
        "anthropic-beta",
    ] {
        for model in ["m", "messages"] {
            let raw = Raw::chat(model)
                .key(MALLORY)
                .header(name, if name == "x-upstream" { elsewhere } else { url.as_str() });
            all.push(case(format!("the header {name} at {model}"), raw));
        }
    }
    all.push(case("the host", Raw::chat("chats").key(MALLORY).host(elsewhere)));
    let absolute = format!("http://{elsewhere}/v1/chat/completions");
    all.push(case("the absolute form", Raw::post(&absolute, &chat("chats")).key(MALLORY).host(elsewhere)));
    all.push(case("a tunnel", Raw::new("CONNECT", elsewhere).host(elsewhere).key(MALLORY)));
    for model in [
        format!("http://{elsewhere}/v1"),
        format!("../../{elsewhere}"),
        format!("m@{elsewhere}"),
        format!("m\r\nhost: {elsewhere}"),
    ] {
        all.push(case(format!("the model {model:?}"), Raw::chat(&model).key(MALLORY)));
    }
    all.push(case("a kept response's id", Raw::get(&format!("/v1/responses/@{elsewhere}/x")).key(MALLORY)));
    all
}

/// Images and files by their addresses, in each client's dialect, for each provider's.
fn media(url: &str) -> Vec<Case> {
    let mut all = Vec::new();
    for model in OTHERS.iter().map(|(model, _)| *model).chain(["kept", "m"]) {
        let chat = |part: Value| {
            let text = json!({ "type": "text", "text": "what is this" });
            json!({ "model": model, "max_tokens": 4, "messages": [{ "role": "user", "content": [text, part] }] })
        };
        for (what, part) in [
            ("image_url", json!({ "type": "image_url", "image_url": { "url": url, "detail": "high" } })),
            ("file_data", json!({ "type": "file", "file": { "file_data": url, "filename": "a.pdf" } })),
            ("file_id", json!({ "type": "file", "file": { "file_id": url } })),
            ("video_url", json!({ "type": "video_url", "video_url": { "url": url } })),
            (
                "input_audio",
                json!({ "type": "input_audio", "input_audio": { "data": url, "format": "wav" } }),
            ),
        ] {
            let raw = Raw::post("/v1/chat/completions", &chat(part)).key(MALLORY);
            all.push(case(format!("{what} of a chat at {model}"), raw));
        }
        for (what, part) in [
            ("input_image", json!({ "type": "input_image", "image_url": url })),
            ("input_file", json!({ "type": "input_file", "file_url": url })),
        ] {
            let body = json!({ "model": model, "input": [{ "role": "user", "content": [part] }],
                "tools": [{ "type": "mcp", "server_label": "x", "server_url": url, "require_approval": "never" }] });
            all.push(case(
                format!("{what} and a tool of a response at {model}"),
                Raw::post("/v1/responses", &body).key(MALLORY),
            ));
            let mut body = body;
            if let Some(fields) = body.as_object_mut() {
                fields.remove("tools");
            }
            all.push(case(
                format!("{what} of a response at {model}"),
                Raw::post("/v1/responses", &body).key(MALLORY),
            ));
        }
        for (what, kind) in [("image", "image"), ("document", "document")] {
            let part = json!({ "type": kind, "source": { "type": "url", "url": url } });
            let raw = Raw::post("/v1/messages", &chat(part)).header("x-api-key", MALLORY);
            all.push(case(format!("{what} of a message at {model}"), raw));
        }
        for mime in ["image/png", "application/pdf", "video/mp4"] {
            let parts =
                json!([{ "text": "what is this" }, { "fileData": { "fileUri": url, "mimeType": mime } }]);
            let body = json!({ "contents": [{ "role": "user", "parts": parts }] });
            let raw = Raw::post(&format!("/v1beta/models/{model}:generateContent"), &body)
                .header("x-goog-api-key", MALLORY);
            all.push(case(format!("fileData of {mime} at {model}"), raw));
        }
    }
    all
}
