//! Names of errors: codes, types, exceptions, reasons.

use std::time::Duration;

use super::Class;

/// A name as the tables have it: `com.amazon.coral.service#ExpiredTokenException:http://...` is `expiredtokenexception`.
pub(super) fn plain(name: &str) -> String {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

/// What a name means that means one thing at every status; `name` is [`plain`].
pub(super) fn class(name: &str, retry_after: Option<Duration>) -> Option<Class> {
    Some(match name {
        "rate_limit_exceeded" | "rate_limited" | "ratelimitreached" | "request_quota_exceeded"
        | "token_quota_exceeded" => Class::RateLimited { retry_after },
        "slow_down" | "modelnotreadyexception" => Class::SlowDown { retry_after },
        "server_is_overloaded"
        | "overloaded_error"
        | "engine_overloaded_error"
        | "engine_overloaded"
        | "overloaded" // TGI
        | "capacity_exceeded" // Groq, flex
        | "service_tier_capacity_exceeded" // Mistral
        | "model_capacity_exhausted" // Google
        | "queue_exceeded" // Cerebras
        | "modelerrorexception" => Class::Overloaded { retry_after },
        name if is_quota(name) => Class::QuotaExhausted { retry_after },
        "context_length_exceeded" | "string_above_max_length" | "too_many_prompt_tokens" | "too_many_tokens"
        | "exceed_context_size_error" | "request_too_large" => Class::ContextTooLong,
        "content_filter"
        | "content_filter_error"
        | "content_policy_violation"
        | "misalignment_policy_violation"
        | "cyber_policy"
        | "invalid_prompt"
        | "moderation_blocked"
        | "data_inspection_failed" // Qwen
        | "guardrail_intervened"
        | "responsibleaipolicyviolation" => Class::ContentFiltered,
        name if is_auth(name) => Class::Auth,
        "previous_response_not_found" | "conversation_not_found" => Class::NotKept,
        "model_not_found" | "deploymentnotfound" | "invalid_model" | "unknown_model" | "model_not_available" => {
            Class::NotFound
        }
        _ => return None,
    })
}

fn is_quota(name: &str) -> bool {
    matches!(
        name,
        "insufficient_quota"
            | "credit_balance_exhausted"
            | "organization_spend_limit_exceeded"
            | "project_spend_limit_exceeded"
            | "organization_usage_limit_exceeded"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "enforced_spend_limit_reached" // Anthropic
            | "billing_error" // Anthropic
            | "insufficient_balance"
            | "billing_disabled" // Google
            | "quota_exhausted" // Google
            | "servicequotaexceededexception" // AWS
    )
}

/// Is it about money, and so about all that the account pays for?
pub(super) fn is_credit(name: &str) -> bool {
    is_quota(name) && !matches!(name, "quota_exhausted" | "servicequotaexceededexception")
}

/// Is it the key that is refused, whatever is asked with it?
pub(super) fn is_key(name: &str) -> bool {
    matches!(
        name,
        "invalid_api_key"
            | "authentication_error"
            | "api_key_invalid"
            | "api_key_expired"
            | "consumer_invalid"
            | "consumer_suspended"
            | "unauthenticated"
            | "unrecognizedclientexception"
            | "expiredtokenexception"
            | "expiredtoken"
            | "invalidclienttokenid"
            | "invalidsignatureexception"
            | "signaturedoesnotmatch"
    )
}

/// Is it a refusal of what was asked, with a key that is known?
pub(super) fn is_of_one_model(name: &str) -> bool {
    matches!(
        name,
        "permission_denied"
            | "permission_error"
            | "iam_permission_denied"
            | "api_key_service_blocked"
            | "service_disabled"
            | "accessdeniedexception"
            | "optinrequired"
            | "unsupported_country_region_territory"
    )
}

/// Is it a refusal of a model, a region or an operation that we may not use, or of our key?
pub(super) fn is_of_us(name: &str) -> bool {
    is_auth(name) || matches!(name, "accessdeniedexception" | "optinrequired")
}

fn is_auth(name: &str) -> bool {
    matches!(
        name,
        "invalid_api_key"
            | "authentication_error"
            | "unsupported_country_region_territory"
            // Google's ErrorInfo
            | "api_key_invalid"
            | "api_key_expired"
            | "api_key_service_blocked"
            | "access_token_expired"
            | "access_token_type_unsupported"
            | "credentials_missing"
            | "service_disabled"
            | "iam_permission_denied"
            | "consumer_invalid"
            | "consumer_suspended"
            | "unauthenticated"
            // AWS
            | "unrecognizedclientexception"
            | "expiredtokenexception"
            | "expiredtoken"
            | "invalidclienttokenid"
            | "invalidsignatureexception"
            | "signaturedoesnotmatch"
            | "incompletesignature"
            | "incompletesignatureexception"
            | "missingauthenticationtoken"
            | "missingauthenticationtokenexception"
            | "requestexpired"
            | "optinrequired"
            | "accessdeniedexception"
    )
}

/// The status that a name stands for, if it names a whole family of errors.
pub(super) fn status(name: &str) -> Option<u16> {
    Some(match name {
        "permission_error" | "permission_denied" => 403,
        "not_found_error" | "not_found" | "resourcenotfoundexception" => 404,
        "conflict_error" | "conflictexception" | "aborted" => 409,
        "modelstreamerrorexception" => 424,
        "rate_limit_error"
        | "too_many_requests"
        | "too_many_requests_error"
        | "too many requests"
        | "toomanyrequests"
        | "toomanyrequestsexception"
        | "resource_exhausted"
        | "throttlingexception"
        | "throttling"
        | "limitexceededexception" => 429,
        "server_error"
        | "api_error"
        | "internal"
        | "internal_error"
        | "internalserverexception"
        | "internalfailure"
        | "internalservererror"
        | "unknown" => 500,
        "service_unavailable_error"
        | "serviceunavailableexception"
        | "serviceunavailable"
        | "unavailable" => 503,
        "timeout_error" | "deadline_exceeded" | "modeltimeoutexception" | "timeout" => 504,
        _ => return None,
    })
}

/// Names of requests that are wrong. They stand beside other statuses as well (a 401 of OpenAI is an
/// `invalid_request_error`), so they count only where nothing else tells.
pub(super) fn blames_request(name: &str) -> bool {
    matches!(
        name,
        "invalid_request_error"
            | "badrequesterror"
            | "bad_request"
            | "invalid_argument"
            | "invalid-argument"
            | "failed_precondition"
            | "out_of_range"
            | "validationexception"
            | "validation"
    )
}
