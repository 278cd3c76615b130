//! Why keys that nobody asked for are not translated, by their names.

const LOGS: &str = "Weir has its own log (a line of JSON per call, RUST_LOG), metrics (/metrics for Prometheus) and OpenTelemetry ([telemetry])";
const KEYS: &str = "there are no users and teams in a database: who calls is a [[tenants]] of Weir's file, with the hashes of its keys; keys that \
                    come and go are made at run time (`/admin/v1/keys`)";
const MONEY: &str = "what may be spent is `budgets` of a tenant, an account or some of its models, per day or month; what was is at `/admin/v1/costs`";
const DATABASE: &str = "Weir has no database";
const ANSWERS: &str = "Weir keeps no answers: there is no response cache";
const GUARD: &str = "Weir does not look into what is said: no guardrails, prompts, tools or agents";
const ALERTS: &str =
    "alerts are rules on Weir's metrics (deploy/prometheus), or posted to a webhook (`[alerts]`)";
const PARAMS: &str = "what is sent to a provider with every call is not available yet: clients say it";
const CHECKS: &str = "how deployments are looked after is `health_check`";
const PRICES: &str =
    "prices are per token and per request here (`price`; else by a table: `weir prices show`)";
const WHO_PAYS: &str = "`credentials` of an account have no key for it";
const ONCE: &str = "a call tries a deployment once, then another one: there are no retries below that";

/// Keys that are known, wherever they stand.
const BY_NAME: &[(&str, &str)] = &[
    ("include", "other files are not read: import each of them"),
    (
        "environment_variables",
        "these are variables of LiteLLM's process: set those that Weir's file names in the environment of `weir serve`",
    ),
    (
        "drop_params",
        "unknown fields pass, and what a provider is known not to take is said in its words or left out",
    ),
    ("modify_params", "a request is changed where its provider is known not to take it"),
    (
        "additional_drop_params",
        "unknown fields pass, and what a provider is known not to take is said in its words or left out",
    ),
    ("cache", ANSWERS),
    ("cache_params", ANSWERS),
    ("cache_responses", ANSWERS),
    ("caching_groups", ANSWERS),
    ("cache_kwargs", ANSWERS),
    ("max_retries", ONCE),
    ("num_retries", ONCE),
    ("max_fallbacks", "all fallbacks of a model are tried, in their order"),
    (
        "base_model",
        "prices and sizes are written at the deployment here (`price`, `context_window`, `max_output`); a price that is not is \
                    the table's for the provider's name of the model",
    ),
    (
        "access_groups",
        "which models a tenant may call is its list `models`, with a `*` at the end for all that begin so",
    ),
    (
        "api_version",
        "this provider's addresses have no version that an account may choose, or it means another one",
    ),
    ("organization", "a header of OpenAI's accounts only: `headers` of the account"),
    ("api_key", "this provider takes no key here, or credentials go before it"),
    (
        "max_parallel_requests",
        "how many calls a caller may have at once is its tenant's `limits = { concurrency }`",
    ),
    ("credential_info", "about a credential, without effect"),
    ("db_model", "where LiteLLM keeps the model"),
    ("mode", "which calls a model takes follows from its provider's preset"),
    ("configurable_clientside_auth_params", "clients cannot choose addresses or keys of providers"),
    ("allow_client_side_credentials", "clients cannot choose addresses or keys of providers"),
    ("completion_model", "a call names its model"),
    ("embedding_model", "a call names its model"),
    ("image_generation_model", "a call names its model"),
    ("moderation_model", "a call names its model"),
    ("infer_model_from_keys", "a call names its model"),
    ("pass_through_endpoints", "Weir serves the calls that it knows, no others"),
    ("forward_client_headers_to_llm_api", "of a client's headers none is sent on"),
    ("forward_openai_org_id", "of a client's headers none is sent on"),
    ("proxy_batch_write_at", DATABASE),
    ("proxy_batch_polling_interval", DATABASE),
    ("json_logs", LOGS),
    ("set_verbose", LOGS),
    ("debug_level", LOGS),
    (
        "max_response_size_mb",
        "answers are not bounded by one; `max_buffered` bounds all bodies of a replica together",
    ),
    ("use_x_forwarded_for", "who connects is told by the PROXY protocol (`proxy_protocol`)"),
    ("allowed_ips", "whom to let in is the balancer's or the firewall's to say"),
    ("default_litellm_params", PARAMS),
    ("redis_startup_nodes", "another Redis was taken"),
    ("namespace", "Weir's keys have a name of their own in Redis (`namespace` in [state])"),
    ("ssl_verify", "certificates of providers are always verified"),
    ("force_ipv4", "addresses are tried as the system's resolver gives them"),
    ("enable_pre_call_checks", "always so here: a call goes only where it fits"),
    ("polling_interval", "who waits for room is told when there is some (`queue`)"),
    ("default_priority", "how urgent calls are is their tenant's `priority`"),
    ("weight", "LiteLLM heeds it with `simple-shuffle` only"),
    ("use_in_pass_through", "Weir serves the calls that it knows, no others"),
    (
        "tag_filtering_match_any",
        "a call goes to deployments that have all of its tags which some deployment has",
    ),
    ("routing_groups", "each model says its own `strategy`"),
    ("litellm_key_header_name", "keys are read from the headers of each API's own SDKs"),
    ("client_ttl", "connections to providers are kept while they are used"),
    ("stream", "clients say it"),
];

/// Words in a name that say what it is about; the first that is found counts.
const BY_WORD: &[(&str, &str)] = &[
    ("callback", LOGS),
    ("langfuse", LOGS),
    ("spend", MONEY),
    ("budget", MONEY),
    ("guardrail", GUARD),
    ("polic", GUARD),
    ("mcp", GUARD),
    ("prompt", GUARD),
    ("agent", GUARD),
    ("assistant", GUARD),
    ("vector", GUARD),
    ("search", GUARD),
    ("alert", ALERTS),
    ("health", CHECKS),
    ("cost", PRICES),
    ("log", LOGS),
    ("verbose", LOGS),
    ("database", DATABASE),
    ("_db", DATABASE),
    ("db_", DATABASE),
    ("prisma", DATABASE),
    ("store_", DATABASE),
    ("jwt", KEYS),
    ("oauth", KEYS),
    ("sso", KEYS),
    ("auth", KEYS),
    ("user", KEYS),
    ("team", KEYS),
    ("role", KEYS),
    ("ui_", KEYS),
    ("routes", KEYS),
    ("key", KEYS),
    ("license", KEYS),
];

/// The same of what a deployment is called with; all else is sent to its provider.
const OF_PARAMS: &[(&str, &str)] = &[
    ("cost", PRICES),
    ("budget", MONEY),
    ("guardrail", GUARD),
    ("router", "calls are given to models by `[[rules]]`"),
    ("aws_", WHO_PAYS),
    ("azure_", WHO_PAYS),
    ("vertex_", WHO_PAYS),
    ("s3_", WHO_PAYS),
    ("gcs_", WHO_PAYS),
    ("bucket", WHO_PAYS),
    ("tag_regex", "a call names its tags in `x-weir-tags`"),
    ("keepalive", "signs of life are sent by `stream_keepalive`"),
    ("affinity", "which calls belong together is `affinity` of the model"),
];

/// Sections of LiteLLM's file.
const SECTIONS: [&str; 5] =
    ["model_list[", "litellm_settings", "router_settings", "general_settings", "credential_list"];

/// Why the key at the end of a path is not translated.
pub(super) fn reason(path: &str) -> &'static str {
    let key = path.rsplit('.').next().unwrap_or(path);
    let key = key.split('[').next().unwrap_or(key);
    if let Some((_, reason)) = BY_NAME.iter().find(|(name, _)| *name == key) {
        return reason;
    }
    let is_param = path.contains(".litellm_params.") || path.contains(".credential_values.");
    let (words, otherwise) = match is_param {
        true => (OF_PARAMS, PARAMS),
        false if SECTIONS.iter().any(|section| path.starts_with(section)) => {
            (BY_WORD, "there is nothing like it here")
        }
        false => (
            BY_WORD,
            "no section of LiteLLM's that is known here; what its aliases stand for is translated where they stand",
        ),
    };
    let key = key.to_ascii_lowercase();
    words.iter().find(|(part, _)| key.contains(part)).map_or(otherwise, |(_, reason)| reason)
}
