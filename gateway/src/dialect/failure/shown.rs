//! What a client may read of an upstream's failure. The provider's own words help whoever wrote the request; the
//! provider's account is none of theirs.

use super::Class;
use super::said::Said;
use crate::dialect::openai::answer::UpstreamError;

/// No message is longer, in bytes.
const LONGEST: usize = 4000;
/// No name of an error is longer.
const LONGEST_NAME: usize = 64;
const MASK: &str = "***";

/// What may be told to a client; see [`super::Failure::shown`].
pub(super) fn shown(class: Class, error: Option<&UpstreamError>) -> UpstreamError {
    let ours = UpstreamError { message: sentence(class).to_owned(), ..UpstreamError::default() };
    match error {
        Some(said) if !class.tells_of_account() && !said.message.is_empty() => said.clone(),
        _ => ours,
    }
}

fn sentence(class: Class) -> &'static str {
    match class {
        Class::RateLimited { .. } => "The upstream is at its limit.",
        Class::SlowDown { .. } | Class::Overloaded { .. } => "The upstream is overloaded.",
        Class::QuotaExhausted { .. } => "The upstream's quota is used up.",
        Class::TooBigForPool => "This request asks for more than a whole limit of the provider.",
        Class::ContextTooLong => "This request is longer than the model's context.",
        Class::ContentFiltered => "The provider's content policy refused this request.",
        Class::Auth => "The upstream refused the gateway's credentials.",
        Class::NotFound => "The upstream does not have this model.",
        Class::NotKept => "The upstream does not keep what this request refers to.",
        Class::BadRequest => "The upstream refused this request.",
        Class::TimedOut => "The upstream did not answer in time.",
        Class::Transient => "The upstream failed to answer.",
    }
}

/// The error without identifiers of accounts, keys and people.
pub(super) fn masked_error(said: &Said) -> UpstreamError {
    // A name is a word of the protocol; anything else in its place is not for telling.
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.[]#:".contains(&byte);
    let name = |name: &Option<String>| {
        let name = name.clone().filter(|name| name.len() <= LONGEST_NAME && name.bytes().all(named));
        name.filter(|name| !is_secret(name))
    };
    UpstreamError {
        message: masked(&said.message),
        kind: name(&said.kind),
        code: name(&said.code),
        param: name(&said.param),
    }
}

/// Masks every word that identifies an account, a key or a person, and cuts what is too long.
pub(super) fn masked(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    mask(text.get(..end).unwrap_or_default())
}

/// Is there nothing in it to be masked, as it is written or as a JSON parser reads it? Then a client of the upstream's
/// dialect may have it as it is.
pub(super) fn is_clean(body: &[u8]) -> bool {
    let clean = |text: &str| mask(text) == text;
    std::str::from_utf8(body)
        .is_ok_and(|text| clean(text) && (!text.contains('\\') || clean(&unescaped(text))))
}

/// The text with the escapes of JSON's strings read, wherever they stand: behind `\n` a word begins, and `\u0073k-` is a
/// key's beginning.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let code = behind.strip_prefix('u').and_then(|digits| digits.get(..4));
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (read, length) = match (code, behind.chars().next()) {
            (Some(code), _) => (char::from_u32(code).unwrap_or(' '), 5),
            (None, Some(c @ ('"' | '\\' | '/'))) => (c, 1),
            (None, Some(c)) => (' ', c.len_utf8()),
            (None, None) => (' ', 0),
        };
        out.push(read);
        rest = behind.get(length..).unwrap_or_default();
    }
    out + rest
}

fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.find(stands_between).unwrap_or(rest.len());
        let (before, after) = rest.split_at(word);
        out.push_str(if is_secret(before) || is_account_number(before, &out) { MASK } else { before });
        let next = after.find(|c| !stands_between(c)).unwrap_or(after.len());
        let (between, after) = after.split_at(next);
        out.push_str(between);
        rest = after;
    }
    out
}

fn stands_between(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`()[]{}<>,;|".contains(c)
}

/// Beginnings of identifiers and keys, in lower case: OpenAI, Anthropic, Groq, OpenRouter, xAI, Google, AWS, Hugging Face.
const BEGINNINGS: [&str; 29] = [
    "org-",
    "org_",
    "org:",
    "proj_",
    "project_number:",
    "projects/",
    "user-",
    "user_",
    "acct_",
    "acct-",
    "sk-",
    "sk_",
    "sess-",
    "gsk_",
    "xai-",
    "aiza",
    "ya29.",
    "akia",
    "asia",
    "hf_",
    "pplx-",
    "csk-",
    "key-",
    "arn:",
    "eyj",
    "team-",
    "team_",
    "wrkspc_",
    "workspace-",
];

/// Is a word an identifier of an account, a key or a person? (`organization=org-1234`, `https://x.openai.azure.com/`)
fn is_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let word = word.trim_matches(['.', ':', '?', '!', '*']);
    let parts = word.split(['=', '&', '?', ':', '/']).chain([word]);
    let identifies = |part: &str| {
        BEGINNINGS.iter().any(|beginning| part.strip_prefix(beginning).is_some_and(|id| is_id(beginning, id)))
    };
    let hosted =
        [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com", ".azure-api.net"];
    parts.clone().any(identifies)
        || hosted.iter().any(|host| word.contains(host))
        || word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
        || ["projects/", "project_number:", "arn:aws", "project=", "bearer=", "key="]
            .iter()
            .any(|part| word.contains(part))
}

/// `sk-learn` is no key: an identifier is long, or its beginning leaves no doubt.
fn is_id(beginning: &str, id: &str) -> bool {
    match beginning {
        "arn:" | "projects/" | "project_number:" | "org-" | "org_" | "proj_" | "acct_" | "wrkspc_"
        | "gsk_" => !id.is_empty(),
        "user-" | "user_" | "team-" | "team_" | "key-" | "workspace-" | "org:" => {
            id.len() >= 8 && id.bytes().any(|byte| byte.is_ascii_digit())
        }
        "sk-" | "sk_" => id.len() >= 8 || id.contains('*') || id.is_empty(),
        // Not the regions of a cloud (`asia-northeast1-a`).
        "akia" | "asia" => id.len() >= 12 && !id.contains('-'),
        _ => id.len() >= 12,
    }
}

/// A word behind one of these is a name of an account.
const BEFORE_ACCOUNTS: [&str; 10] = [
    "organization ",
    "organisation ",
    "project ",
    "account ",
    "workspace ",
    "team ",
    "key: ",
    "provided: ",
    "consumer '",
    "subscription ",
];

/// AWS and Google number accounts and projects; others call them by name.
fn is_account_number(word: &str, before: &str) -> bool {
    let digits = |word: &str| word.len() >= 5 && word.bytes().filter(u8::is_ascii_digit).count() >= 5;
    let mut tail = before.len().saturating_sub(24);
    while !before.is_char_boundary(tail) {
        tail += 1;
    }
    let tail = before.get(tail..).unwrap_or_default().to_ascii_lowercase();
    let tail = tail.trim_end_matches(['`', '"']);
    let named = BEFORE_ACCOUNTS.iter().any(|lead| tail.ends_with(lead));
    let keyed = ["key: ", "provided: ", "consumer '"].iter().any(|lead| tail.ends_with(lead));
    named && (keyed || digits(word) || word.contains('-') || word.contains('_') || word.contains('*'))
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
