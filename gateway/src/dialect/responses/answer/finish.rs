//! Why an answer ended: `status` and `incomplete_details.reason`.

use crate::dialect::talk::{Dialect, Finish, Part};

/// What an answer says about its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::dialect::responses) struct Status {
    /// `status`.
    pub(in crate::dialect::responses) word: String,
    /// `incomplete_details.reason`.
    pub(in crate::dialect::responses) reason: Option<String>,
}

/// All the reasons that the SDKs know.
const REASONS: [(&str, Finish); 2] =
    [("max_output_tokens", Finish::Length), ("content_filter", Finish::Filtered)];

/// Reads it. The dialect has no words for calls and refusals: those are seen in the output.
pub(in crate::dialect::responses) fn finish_of(
    status: &Status,
    calls: bool,
    refusal: bool,
) -> Option<Finish> {
    match (status.word.as_str(), status.reason.as_deref()) {
        ("queued" | "in_progress", _) => None,
        ("cancelled", _) => Some(Finish::other(Dialect::Responses, "cancelled")),
        ("incomplete", reason) => {
            let reason = reason.unwrap_or("incomplete");
            let known = REASONS.iter().find(|(word, _)| *word == reason);
            Some(known.map_or_else(|| Finish::other(Dialect::Responses, reason), |of| of.1.clone()))
        }
        _ if calls => Some(Finish::Calls),
        _ if refusal => Some(Finish::Refused),
        _ => Some(Finish::Stop),
    }
}

/// Writes it; `refusal`: the output says that the model declines.
pub(in crate::dialect::responses) fn status_of(finish: Option<&Finish>, refusal: bool) -> Status {
    let incomplete = |reason: &str| Status { word: "incomplete".to_owned(), reason: Some(reason.to_owned()) };
    match finish {
        Some(Finish::Context) => incomplete("max_output_tokens"),
        // Declined without a word.
        Some(Finish::Refused) if !refusal => incomplete("content_filter"),
        // Not complete, for a reason that this dialect has no word for.
        Some(Finish::Paused | Finish::Malformed) => Status { word: "incomplete".to_owned(), reason: None },
        Some(Finish::Other(own)) => match own.value.as_str() {
            _ if own.dialect != Dialect::Responses => Status { word: "completed".to_owned(), reason: None },
            "cancelled" | "incomplete" => Status { word: own.value.clone(), reason: None },
            reason => incomplete(reason),
        },
        Some(finish) => match REASONS.iter().find(|of| of.1 == *finish) {
            Some((reason, _)) => incomplete(reason),
            None => Status { word: "completed".to_owned(), reason: None },
        },
        None => Status { word: "completed".to_owned(), reason: None },
    }
}

/// Are there calls, and does the model decline?
pub(super) fn signs<'a>(parts: impl Iterator<Item = &'a Part>) -> (bool, bool) {
    parts.fold((false, false), |(calls, refusal), part| {
        (calls || matches!(part, Part::Call(_)), refusal || matches!(part, Part::Refusal(_)))
    })
}
