//! Sources: `groundingMetadata` and `citationMetadata` as citations, and citations as `groundingMetadata`.
//!
//! Google counts bytes of UTF-8 in a part's text, citations count characters in a piece's.

use serde_json::{Map, Value, json};

use crate::dialect::talk::{Citation, Dialect};

/// More sources than an answer has.
const MOST: usize = 1024;

/// A citation and where it belongs, in bytes.
pub(super) struct Found {
    pub(super) citation: Citation,
    part: Option<usize>,
    from: usize,
    to: usize,
    said: Option<String>,
}

/// The citations in what a candidate has beside its content.
pub(super) fn read(candidate: &Map<String, Value>) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(grounding) = candidate.get("groundingMetadata") {
        read_grounding(grounding, &mut found);
    }
    // The Gemini API says `citationSources`, Vertex `citations`.
    let cited = candidate.get("citationMetadata");
    for source in
        cited.into_iter().flat_map(|of| list(of, "citationSources").iter().chain(list(of, "citations")))
    {
        if found.len() < MOST {
            found.push(read_source(source));
        }
    }
    found
}

fn read_grounding(grounding: &Value, found: &mut Vec<Found>) {
    let chunks = list(grounding, "groundingChunks");
    for support in list(grounding, "groundingSupports") {
        let indices = list(support, "groundingChunkIndices").iter().filter_map(Value::as_u64);
        let of = indices.filter_map(|index| chunks.get(usize::try_from(index).ok()?));
        for chunk in of.take(MOST.saturating_sub(found.len())) {
            found.push(read_support(support, chunk));
        }
    }
}

fn read_support(support: &Value, chunk: &Value) -> Found {
    let segment = support.get("segment").unwrap_or(&Value::Null);
    let mut support = support.clone();
    if let Some(map) = support.as_object_mut() {
        map.remove("groundingChunkIndices");
    }
    let retrieved = chunk.get("retrievedContext");
    let source = chunk.get("web").or(retrieved).or_else(|| chunk.get("maps")).unwrap_or(&Value::Null);
    let citation = Citation {
        url: text(source, "uri"),
        title: text(source, "title"),
        text: text(source, "text"),
        range: None,
        original: Some((Dialect::Gemini, json!({"groundingChunk": chunk, "groundingSupport": support}))),
    };
    let part = segment.get("partIndex").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    Found {
        citation,
        part,
        from: at(segment, "startIndex"),
        to: at(segment, "endIndex"),
        said: text(segment, "text"),
    }
}

fn read_source(source: &Value) -> Found {
    let citation = Citation {
        url: text(source, "uri"),
        title: text(source, "title"),
        text: None,
        range: None,
        original: Some((Dialect::Gemini, source.clone())),
    };
    Found { citation, part: None, from: at(source, "startIndex"), to: at(source, "endIndex"), said: None }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn at(value: &Value, name: &str) -> usize {
    value.get(name).and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok()).unwrap_or(0)
}

impl Found {
    /// Finds its place in the texts of an answer, given with the numbers of their pieces: the piece, and the citation
    /// with its range. Google's numbers mean the part, or all parts that came in a stream together; the words tell.
    pub(super) fn place(mut self, texts: &[(usize, &str)]) -> Option<(usize, Citation)> {
        let spot = self.spot(texts);
        let piece = spot.map(|spot| spot.0).or(texts.last().map(|last| last.0))?;
        self.citation.range = spot.map(|spot| spot.1);
        Some((piece, self.citation))
    }

    fn spot(&self, texts: &[(usize, &str)]) -> Option<(usize, (u64, u64))> {
        let fits = |text: &str, from: usize, to: usize| match (text.get(from..to), &self.said) {
            (Some(there), Some(said)) => there == said && from < to,
            (there, None) => there.is_some() && from < to,
            (None, _) => false,
        };
        let named = texts.iter().filter(|text| Some(text.0) == self.part);
        if let Some((piece, text)) = named.chain(texts).find(|text| fits(text.1, self.from, self.to)) {
            return Some((*piece, characters(text, self.from, self.to)));
        }
        let mut before = 0;
        for (piece, text) in texts {
            if let (Some(from), Some(to)) = (self.from.checked_sub(before), self.to.checked_sub(before))
                && fits(text, from, to)
            {
                return Some((*piece, characters(text, from, to)));
            }
            before += text.len();
        }
        None
    }
}

fn characters(text: &str, from: usize, to: usize) -> (u64, u64) {
    let count = |to: usize| text.get(..to).map_or(0, |text| text.chars().count() as u64);
    (count(from), count(to))
}

/// A text that is cited for.
#[derive(Clone, Copy)]
pub(super) struct Cited<'a> {
    /// Its part's number.
    pub(super) part: usize,
    pub(super) text: &'a str,
    /// Bytes that are counted before it.
    pub(super) before: usize,
}

/// Writes citations of texts as `groundingMetadata`; none if there are none.
pub(super) fn write<'a>(cited: impl Iterator<Item = (Cited<'a>, &'a Citation)>) -> Option<Value> {
    let mut chunks: Vec<Value> = Vec::new();
    let mut supports = Vec::new();
    for (of, citation) in cited {
        let (chunk, mut support) = written(of, citation);
        let index = chunks.iter().position(|known| *known == chunk).unwrap_or(chunks.len());
        if index == chunks.len() {
            chunks.push(chunk);
        }
        if let Some(map) = support.as_object_mut() {
            map.insert("groundingChunkIndices".into(), json!([index]));
        }
        supports.push(support);
    }
    (!chunks.is_empty()).then(|| json!({"groundingChunks": chunks, "groundingSupports": supports}))
}

fn written(of: Cited, citation: &Citation) -> (Value, Value) {
    if let Some((Dialect::Gemini, own)) = &citation.original
        && let (Some(chunk), Some(support)) = (own.get("groundingChunk"), own.get("groundingSupport"))
    {
        return (chunk.clone(), support.clone());
    }
    let mut source = Map::new();
    let web = citation.url.is_some();
    let words = citation.text.as_ref().filter(|_| !web);
    for (name, value) in [("uri", citation.url.as_ref()), ("title", citation.title.as_ref()), ("text", words)]
    {
        if let Some(value) = value {
            source.insert(name.into(), value.as_str().into());
        }
    }
    let kind = if web { "web" } else { "retrievedContext" };
    (json!({kind: source}), json!({"segment": segment(of, citation.range)}))
}

fn segment(of: Cited, range: Option<(u64, u64)>) -> Value {
    let Cited { part, text, before } = of;
    let mut segment = Map::new();
    if part > 0 {
        segment.insert("partIndex".into(), part.into());
    }
    // Without a range the citation is of the whole text.
    let (from, to) = range.unwrap_or((0, u64::MAX));
    let byte = |character: u64| {
        let character = usize::try_from(character).unwrap_or(usize::MAX);
        text.char_indices().nth(character).map_or(text.len(), |found| found.0)
    };
    let (from, to) = (byte(from), byte(to));
    if before + from > 0 {
        segment.insert("startIndex".into(), (before + from).into());
    }
    segment.insert("endIndex".into(), (before + to).into());
    segment.insert("text".into(), text.get(from..to).unwrap_or_default().into());
    segment.into()
}
