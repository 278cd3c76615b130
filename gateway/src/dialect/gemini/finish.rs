//! Why an answer ended.

use serde_json::Value;

use crate::dialect::talk::{Dialect, Finish};

/// Reads a `finishReason`; none if it says nothing. Calls do not show in it: see [`with_calls`].
///
/// Vertex sends numbers to clients that ask for them (its old Python library does).
pub(super) fn read(reason: &Value) -> Option<Finish> {
    let word = match (reason.as_str(), reason.as_u64()) {
        (Some(word), _) => word,
        (None, Some(number)) => {
            const WORDS: [&str; 10] = [
                "FINISH_REASON_UNSPECIFIED",
                "STOP",
                "MAX_TOKENS",
                "SAFETY",
                "RECITATION",
                "OTHER",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "MALFORMED_FUNCTION_CALL",
            ];
            let known = usize::try_from(number).ok().and_then(|number| WORDS.get(number));
            known.copied().unwrap_or("OTHER")
        }
        _ => return None,
    };
    Some(match word {
        "" | "FINISH_REASON_UNSPECIFIED" => return None,
        "STOP" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Finish::Filtered,
        "MALFORMED_FUNCTION_CALL" => Finish::Malformed,
        other => Finish::other(Dialect::Gemini, other),
    })
}

/// An answer that calls tools stops like any other here.
pub(super) fn with_calls(finish: Finish, calls: bool) -> Finish {
    if calls && finish == Finish::Stop { Finish::Calls } else { finish }
}

/// The `finishReason`. A word of another dialect would be no value of the enumeration.
pub(super) fn write(finish: &Finish) -> &str {
    match finish {
        Finish::Other(own) if own.dialect == Dialect::Gemini => &own.value,
        Finish::Stop | Finish::StopText(_) | Finish::Calls | Finish::Other(_) => "STOP",
        Finish::Length | Finish::Context => "MAX_TOKENS",
        Finish::Filtered | Finish::Refused => "SAFETY",
        Finish::Malformed => "MALFORMED_FUNCTION_CALL",
        Finish::Paused => "OTHER",
    }
}
