//! Lists of models as each API's SDKs read them, page by page where they ask for pages.
//!
//! A configured name has no date, no version and no limits of its own, so what must be there says nothing, and what may be
//! left out is.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::Voice;
use crate::dialect::openai::answer;

/// Models on a page where the client does not say: Anthropic's and Google's documented numbers.
const ANTHROPIC_PAGE: usize = 20;
const GOOGLE_PAGE: usize = 50;
/// The largest page, at both.
const LARGEST: usize = 1000;

/// The answer to a request for the list, of which `query` may ask for a part.
pub fn list(voice: Voice, names: &[&str], query: &str) -> Vec<u8> {
    match voice {
        Voice::OpenAi => answer::models_json(names.iter().copied()),
        Voice::Anthropic => anthropic(names, query).to_string().into_bytes(),
        Voice::Google => google(names, query).to_string().into_bytes(),
    }
}

/// The answer to a request for one of them.
pub fn one(voice: Voice, name: &str) -> Vec<u8> {
    match voice {
        Voice::OpenAi => answer::model_json(name),
        Voice::Anthropic => anthropic_model(name).to_string().into_bytes(),
        Voice::Google => google_model(name).to_string().into_bytes(),
    }
}

/// <https://platform.claude.com/docs/en/api/models-list>: `limit`, and `after_id` or `before_id`.
fn anthropic(names: &[&str], query: &str) -> Value {
    let place = |name| value(query, name).and_then(|id| names.iter().position(|name| *name == id));
    let size = size(query, "limit", ANTHROPIC_PAGE);
    let (page, more) = match (place("after_id"), place("before_id")) {
        (None, Some(before)) => (&names[before.saturating_sub(size)..before], before > size),
        (after, _) => page(names, after.map_or(0, |at| at + 1), size),
    };
    let data: Vec<Value> = page.iter().map(|name| anthropic_model(name)).collect();
    json!({"data": data, "has_more": more, "first_id": page.first(), "last_id": page.last()})
}

fn anthropic_model(name: &str) -> Value {
    // The date is what the API gives where it does not know one.
    json!({
        "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    })
}

/// <https://ai.google.dev/api/models#method:-models.list>: `pageSize`, `pageToken`. Our token is the last name of the page
/// before.
fn google(names: &[&str], query: &str) -> Value {
    let after = value(query, "pageToken").and_then(|token| names.iter().position(|name| *name == token));
    let (page, more) = page(names, after.map_or(0, |at| at + 1), size(query, "pageSize", GOOGLE_PAGE));
    let models: Vec<Value> = page.iter().map(|name| google_model(name)).collect();
    match page.last().filter(|_| more) {
        Some(last) => json!({"models": models, "nextPageToken": last}),
        None => json!({ "models": models }),
    }
}

/// Programs choose from the list by the methods, and which deployments a model has is not theirs to know: it is everything
/// that can be asked here.
fn google_model(name: &str) -> Value {
    json!({
        "name": format!("models/{name}"), "displayName": name, "version": "",
        "supportedGenerationMethods":
            ["generateContent", "countTokens", "embedContent", "batchEmbedContents"],
    })
}

/// `size` names from `start` on, and whether there are more.
fn page<'a, 'b>(names: &'a [&'b str], start: usize, size: usize) -> (&'a [&'b str], bool) {
    let end = names.len().min(start.saturating_add(size));
    (names.get(start..end).unwrap_or_default(), end < names.len())
}

fn size(query: &str, name: &str, usual: usize) -> usize {
    let asked = value(query, name).and_then(|text| text.parse().ok()).filter(|size| *size > 0);
    asked.unwrap_or(usual).min(LARGEST)
}

/// The value of a parameter of the query, unescaped.
fn value(query: &str, name: &str) -> Option<String> {
    let of =
        |pair: &str| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let written = query.split('&').find_map(of)?;
    percent_decode_str(&written).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["a", "org/b", "c d"];

    fn listed(voice: Voice, query: &str) -> Value {
        serde_json::from_slice(&list(voice, &NAMES, query)).unwrap()
    }

    fn ids(page: &Value) -> Vec<&str> {
        page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
    }

    /// Broken on purpose to see it fail: the page begun at the name that it is to come behind.
    #[test]
    fn anthropics_pages_go_on_behind_their_last_and_back_before_their_first() {
        let all = listed(Voice::Anthropic, "");
        assert_eq!((ids(&all), &all["has_more"]), (NAMES.to_vec(), &Value::from(false)));
        assert_eq!((&all["first_id"], &all["last_id"]), (&Value::from("a"), &Value::from("c d")));
        let first = listed(Voice::Anthropic, "limit=2");
        assert_eq!((ids(&first), &first["has_more"]), (vec!["a", "org/b"], &Value::from(true)));
        let second = listed(Voice::Anthropic, "limit=2&after_id=org%2Fb");
        assert_eq!((ids(&second), &second["has_more"]), (vec!["c d"], &Value::from(false)));
        let back = listed(Voice::Anthropic, "before_id=c%20d&limit=1");
        assert_eq!((ids(&back), &back["has_more"]), (vec!["org/b"], &Value::from(true)));
        let empty: Value = serde_json::from_slice(&list(Voice::Anthropic, &[], "")).unwrap();
        assert_eq!((&empty["data"], &empty["first_id"]), (&json!([]), &Value::Null));
    }

    #[test]
    fn googles_pages_end_without_a_token() {
        let first = listed(Voice::Google, "pageSize=2");
        assert_eq!(first["models"][1]["name"], "models/org/b");
        assert_eq!(first["nextPageToken"], "org/b");
        let second = listed(Voice::Google, "pageSize=2&pageToken=org/b");
        assert_eq!((&second["models"][0]["name"], second.get("nextPageToken")), (&"models/c d".into(), None));
    }

    #[test]
    fn one_model_is_what_the_list_has() {
        let one = |voice| serde_json::from_slice::<Value>(&one(voice, "a")).unwrap();
        assert_eq!(one(Voice::OpenAi), listed(Voice::OpenAi, "")["data"][0]);
        assert_eq!(one(Voice::Anthropic), listed(Voice::Anthropic, "")["data"][0]);
        assert_eq!(one(Voice::Google), listed(Voice::Google, "")["models"][0]);
    }

    proptest::proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "(limit|after_id|before_id|pageSize|pageToken|=|&|%|a|0|9){0,12}") {
            for voice in [Voice::OpenAi, Voice::Anthropic, Voice::Google] {
                listed(voice, &query);
            }
        }
    }
}
