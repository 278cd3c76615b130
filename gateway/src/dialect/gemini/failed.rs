//! Errors in the place of answers.

use serde_json::{Value, json};

/// An error as Google words it, of a kind of its own or of another dialect.
pub(super) fn error(kind: &str, message: &str) -> Value {
    let (code, status) = status(kind);
    json!({"error": {"code": code, "message": message, "status": status}})
}

/// Google's code and status for a kind of error, its own or another dialect's.
fn status(kind: &str) -> (u16, &'static str) {
    match kind {
        "INVALID_ARGUMENT" | "invalid_request_error" | "validationException" => (400, "INVALID_ARGUMENT"),
        "FAILED_PRECONDITION" => (400, "FAILED_PRECONDITION"),
        "UNAUTHENTICATED" | "authentication_error" => (401, "UNAUTHENTICATED"),
        "PERMISSION_DENIED" | "permission_error" => (403, "PERMISSION_DENIED"),
        "NOT_FOUND" | "not_found_error" => (404, "NOT_FOUND"),
        "RESOURCE_EXHAUSTED"
        | "rate_limit_error"
        | "rate_limit_exceeded"
        | "insufficient_quota"
        | "throttlingException" => (429, "RESOURCE_EXHAUSTED"),
        "CANCELLED" => (499, "CANCELLED"),
        "UNAVAILABLE"
        | "overloaded_error"
        | "server_is_overloaded"
        | "service_unavailable_error"
        | "serviceUnavailableException" => (503, "UNAVAILABLE"),
        "DEADLINE_EXCEEDED" | "timeout_error" | "modelTimeoutException" => (504, "DEADLINE_EXCEEDED"),
        _ => (500, "INTERNAL"),
    }
}
