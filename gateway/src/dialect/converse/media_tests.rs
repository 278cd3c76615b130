use super::*;
use crate::dialect::talk::Own;

fn media(kind: MediaKind, mime: &str, source: Source, name: Option<&str>) -> Media {
    Media {
        kind,
        mime: mime.into(),
        source,
        name: name.map(str::to_owned),
        detail: None,
        context: None,
        cited: None,
    }
}

fn bytes(text: &str) -> Source {
    Source::Base64(text.into())
}

fn written(media: &Media) -> Result<Value, Refused> {
    write(media, &Extra::default(), &mut HashSet::new())
}

#[test]
fn every_format_survives() {
    for (kind, format, _) in FORMATS {
        let mut body = json!({ "format": format, "source": { "bytes": "AAAA" } });
        if kind == MediaKind::Document {
            body["name"] = "a b".into();
        }
        let (read, extra) = read(kind, body.clone(), "x").unwrap().unwrap();
        assert_eq!(write(&read, &extra, &mut HashSet::new()), Ok(body), "{format}");
    }
}

#[test]
fn places_in_s3_survive_with_their_owner() {
    let body = json!({
        "format": "png", "source": { "s3Location": { "uri": "s3://bucket/key", "bucketOwner": "111122223333" } },
    });
    let (read, extra) = read(MediaKind::Image, body.clone(), "x").unwrap().unwrap();
    assert_eq!(read.source, Source::Url("s3://bucket/key".into()));
    assert_eq!(write(&read, &extra, &mut HashSet::new()), Ok(body));
}

#[test]
fn formats_are_found_by_type_name_or_first_bytes() {
    let format = |media: Media| written(&media).unwrap()["format"].clone();
    assert_eq!(format(media(MediaKind::Image, "image/jpg", bytes("AAAA"), None)), "jpeg");
    assert_eq!(format(media(MediaKind::Image, "", bytes("iVBORw0KGgoAAA"), None)), "png");
    assert_eq!(
        format(media(MediaKind::Document, "application/octet-stream", bytes("JVBERi0x"), None)),
        "pdf"
    );
    assert_eq!(format(media(MediaKind::Document, "", bytes("AAAA"), Some("a.DOCX"))), "docx");
    assert_eq!(format(media(MediaKind::Document, "text/x-rust; charset=utf-8", bytes("AAAA"), None)), "txt");
    assert_eq!(format(media(MediaKind::Audio, "audio/mpeg", bytes("AAAA"), None)), "mp3");
    let text = written(&media(MediaKind::Document, "", Source::Text("hi".into()), None)).unwrap();
    assert_eq!(text, json!({ "format": "txt", "name": "document", "source": { "bytes": "aGk=" } }));
}

/// Broken once: every address written as a place in S3; the first was not refused.
#[test]
fn what_cannot_be_carried_is_refused() {
    let image = |source| written(&media(MediaKind::Image, "image/png", source, None)).unwrap_err();
    assert!(image(Source::Url("https://example.com/a.png".into())).message.contains("base64"));
    assert!(image(Source::File(Own::new(Dialect::Chat, "file-1"))).message.contains("another provider"));
    let odd = written(&media(MediaKind::Image, "image/tiff", bytes("AAAA"), None)).unwrap_err();
    assert!(odd.message.contains("png, jpeg, gif, webp"), "{odd}");
    assert_eq!(odd.field.as_deref(), Some("messages"));
    assert!(written(&media(MediaKind::Document, "application/zip", bytes("UEsD"), None)).is_err());
}

#[test]
fn names_of_documents_are_clean_and_unique() {
    let mut names = HashSet::new();
    let mut name = |name: Option<&str>| document_name(name, &mut names);
    assert_eq!(name(Some("Q3_report (final).v2.pdf")), "Q3 report (final) v2");
    assert_eq!(name(Some("Q3 report (final) v2")), "Q3 report (final) v2 (2)");
    assert_eq!(name(None), "document");
    assert_eq!(name(Some("\u{fc}\u{fc}.pdf")), "document (2)");
    assert_eq!(name(Some("")), "document (3)");
    assert_eq!(name(Some(&"x".repeat(900))).len(), 180);
}

#[test]
fn odd_formats_and_sources_stay_foreign() {
    let read = |body| read(MediaKind::Document, body, "x").unwrap();
    assert!(read(json!({ "format": "epub", "name": "a", "source": { "bytes": "AAAA" } })).is_none());
    assert!(
        read(json!({ "format": "txt", "name": "a", "source": { "content": [{ "text": "a" }] } })).is_none()
    );
    assert!(read(json!({ "format": "txt", "name": "a" })).is_none());
    assert!(super::read(MediaKind::Image, json!({ "source": { "bytes": 1 } }), "x").is_err());
}
