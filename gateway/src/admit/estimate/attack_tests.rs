//! What a client writes to be weighed for less than a model reads.

use super::media_tests::{of_parts, of_raw, weight};
use super::*;
use serde_json::json;

/// Words that base64 could be, and tokens that they are at least.
fn joined() -> (String, u64) {
    let text = "The-quota-pool-is-the-unit-of-accounting/".repeat(2000);
    let least = text.len() as u64 / 4;
    (text, least)
}

const PROSE: &str = "The quota pool is the unit of accounting. ";

/// Broken on purpose to see it fail: a data URL in a text taken for what it says.
#[test]
fn text_that_begins_like_an_image_is_text() {
    let text = format!("data:image/png;base64,{}", PROSE.repeat(2000));
    let least = text.len() as u64 / 4;
    for text in [text, format!("data:image/png;base64,{}", joined().0)] {
        assert!(of_parts(&json!(text)) >= least.min(joined().1));
        assert!(of_parts(&json!([{ "type": "text", "text": text }])) >= least.min(joined().1));
        let result = json!([{ "type": "tool_result", "tool_use_id": "a", "content": text }]);
        assert!(of_parts(&result) >= least.min(joined().1));
        let prompts = json!([text]).to_string();
        assert!(input_weight([prompts.as_bytes(), b""], 1, &[]).0.sure >= least.min(joined().1));
    }
}

/// Broken on purpose to see it fail: only the first 256 bytes looked at.
#[test]
fn what_is_not_all_base64_is_text_wherever_it_stands() {
    let text = format!("{}{}", "A".repeat(400), PROSE.repeat(2000));
    let least = text.len() as u64 / 4;
    let url = format!("data:image/png;base64,{text}");
    let escaped = format!("data:image/png;base64,{}", r"The\u0020quota\u0020pool".repeat(2000));
    assert!(of_parts(&json!([{ "type": "image_url", "image_url": { "url": url } }])) >= least);
    assert!(of_parts(&json!([{ "type": "input_image", "image_url": url }])) >= least);
    assert!(of_parts(&json!([{ "inlineData": { "mimeType": "image/png", "data": text } }])) >= least);
    assert!(of_raw(&format!(r#"[{{"type":"input_image","image_url":"{escaped}"}}]"#)).sure >= 6000);
}

/// Broken on purpose to see it fail: only the type that came last kept.
#[test]
fn of_two_types_the_dearer_one_counts_in_any_order() {
    let (text, _) = joined();
    let least = text.len() as u64 / 4 - 1;
    let (image, plain) = (r#""mime_type":"image/png""#, r#""mimeType":"text/plain""#);
    let hidden = r#""mime\u0054ype":"te\u0078t/plain""#;
    let data = format!(r#""data":"{text}""#);
    let far = format!(r#""displayName":"{}","x":{{"y":1}}"#, "a b ".repeat(100));
    for members in [
        [image, &data, plain, ""],
        [plain, &data, image, ""],
        [image, plain, &data, ""],
        [&data, plain, image, ""],
        [image, &data, &far, plain],
        [&data, &far, plain, image],
        [image, &far, &data, plain],
        [image, &data, hidden, ""],
    ] {
        let members: Vec<_> = members.into_iter().filter(|member| !member.is_empty()).collect();
        let sure = of_raw(&format!(r#"[{{"inlineData":{{{}}}}}]"#, members.join(","))).sure;
        assert!(sure >= least, "{sure} for {}", members.join(",").replace(&text, ".."));
    }
}

/// Broken on purpose to see it fail: the `type` `text` not looked at.
#[test]
fn a_source_that_says_text_is_text_even_if_it_could_be_a_file() {
    let (text, least) = joined();
    let digits = "0123456789".repeat(5000);
    for text in [&text, &digits] {
        let least = least.min(of_parts(&json!(text)));
        for source in [
            format!(r#""type":"text","media_type":"image/png","data":"{text}""#),
            format!(r#""data":"{text}","media_type":"image/png","type":"text""#),
            format!(r#""type":"base64","media_type":"image/png","data":"{text}","type":"text""#),
            format!(r#""type":"text","media_type":"image/png","data":"{text}","media_type":"text/plain""#),
        ] {
            let sure = of_raw(&format!(r#"[{{"type":"document","source":{{{source}}}}}]"#)).sure;
            assert!(sure >= least, "{sure} of {least}");
        }
    }
}

/// Broken on purpose to see it fail: unknown types taken for documents.
#[test]
fn a_type_that_is_not_known_to_be_packed_is_text() {
    let (data, least) = ("Zm9v".repeat(10_000), 10_000);
    for media_type in ["application/x-python", "application/json", "image/svg+xml", "TEXT/PLAIN", "", "x"] {
        let part = json!([{ "inlineData": { "mimeType": media_type, "data": data } }]);
        assert!(of_parts(&part) >= least, "{media_type}");
    }
}

/// Broken on purpose to see it fail: `file_url` not among the addresses.
#[test]
fn what_is_known_by_address_is_held_for_by_its_medium() {
    let at = "https://example.com/a";
    let source = json!({"type": "url", "url": at});
    for (part, tokens) in [
        (json!([{ "type": "image", "source": source }]), 1600),
        (json!([{ "type": "document", "source": source }]), 30_000),
        (json!([{ "source": source, "type": "document" }]), 30_000),
        (json!([{ "type": "document", "source": { "type": "file", "file_id": "file_1" } }]), 30_000),
        (json!([{ "type": "input_file", "file_url": at }]), 30_000),
        (json!([{ "type": "input_file", "file_id": "file-1" }]), 30_000),
        (json!([{ "type": "file", "file": { "file_id": "file-1" } }]), 30_000),
        (json!([{ "type": "input_image", "file_id": "file-1" }]), 1600),
        (json!([{ "type": "document_url", "document_url": at }]), 30_000),
        (json!([{ "type": "video_url", "video_url": { "url": at } }]), 180_000),
        (json!([{ "fileData": { "mimeType": "video/mp4", "fileUri": "files/a" } }]), 180_000),
        (json!([{ "fileData": { "mimeType": "audio/mp3", "fileUri": "files/a" } }]), 19_200),
        (json!([{ "fileData": { "fileUri": "https://www.youtube.com/watch?v=a" } }]), 180_000),
        (json!([{ "fileData": { "mimeType": "image/png", "fileUri": "https://youtu.be/a" } }]), 180_000),
    ] {
        let weight = weight(&part);
        assert!(weight.sure <= 1610, "{part}: {}", weight.sure);
        assert!((tokens..tokens + 10).contains(&weight.total()), "{part}: {}", weight.total());
    }
}

/// Broken on purpose to see it fail: ids of any length for nothing.
#[test]
fn what_is_too_long_for_an_id_is_text() {
    let text = PROSE.repeat(100);
    for name in ["id", "filename", "type", "mimeType", "role"] {
        assert!(of_parts(&json!([{ name: text }])) >= text.len() as u64 / 4, "{name}");
    }
}

/// Each is weighed once, when the object ends.
#[test]
fn many_files_in_one_object_take_no_longer_than_their_bytes() {
    let members = vec![r#""data":"QUJD","mimeType":"image/png""#; 200_000].join(",");
    let started = std::time::Instant::now();
    assert!(of_raw(&format!("[{{{members}}}]")).sure >= 200_000 * 1600);
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}
