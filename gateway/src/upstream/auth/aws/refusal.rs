//! Does AWS refuse a request because of its keys?

use http::HeaderMap;
use serde::Deserialize;

/// The beginnings of the codes of keys and tokens that are old or unknown. Source: AWS API Reference, "Common error types".
const OF_KEYS: &[&str] = &["ExpiredToken", "UnrecognizedClient", "InvalidClientTokenId"];

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "__type")]
    kind: Option<String>,
}

/// Of an answer with status 403. The code stands in a header, before a colon and a URL, or behind `#` in the body.
pub(in super::super) fn is_of_keys(headers: &HeaderMap, body: &[u8]) -> bool {
    let in_header = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let in_body = || serde_json::from_slice::<Body>(body).ok().and_then(|body| body.kind);
    let Some(code) = in_header.map(str::to_owned).or_else(in_body) else { return false };
    let code = code.rsplit_once('#').map_or(code.as_str(), |(_, code)| code);
    OF_KEYS.iter().any(|begin| code.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose: only the header looked at.
    #[test]
    fn old_and_unknown_keys_are_told_from_missing_rights() {
        let header = |code: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amzn-errortype", code.parse().unwrap());
            is_of_keys(&headers, b"{\"message\":\"ExpiredTokenException\"}")
        };
        assert!(header("ExpiredTokenException:http://internal.amazon.com/coral/com.amazon.coral.service/"));
        assert!(header("UnrecognizedClientException"));
        assert!(!header("AccessDeniedException:http://internal.amazon.com/coral/"));
        let body = |text: &str| is_of_keys(&HeaderMap::new(), text.as_bytes());
        assert!(body(r#"{"__type":"com.amazon.coral.service#InvalidClientTokenId","message":"m"}"#));
        assert!(!body(r#"{"__type":"com.amazon.coral.service#AccessDeniedException"}"#));
        assert!(!body(r#"{"message":"ExpiredTokenException"}"#) && !body("<html>") && !body(""));
    }
}
