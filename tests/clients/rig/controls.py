"""Which tests must notice which fault of `faults.py`: each test that a row chooses has to fail, or it shows nothing.

A row is the fault, the suite, and a choice of its tests as pytest's `-k` takes it.
"""

CONTROLS = (
    ("all-500", "python", "test_every_api and (wrong_key or not_allowed or unknown_model or too_large or refusals or spent or busy)"),
    ("other-code", "python", "test_every_api and (wrong_key or not_allowed or unknown_model or too_large or refusals or spent or busy)"),
    ("no-request-id", "python", "test_every_api and (wrong_key or unknown_model or malformed)"),
    ("no-wait", "python", "test_every_api and (spent or busy)"),
    ("wait-for-nothing", "python", "test_every_api and (spent or busy)"),
    ("retry-anyway", "python", "test_every_api and (no_sdk_retries or whose_time)"),
    ("asks-twice", "python", "test_every_api and (refusals or not_seen or fail_are or wildcard)"),
    ("stays", "python", "leaving or closing or does_not_wait"),
    ("stays", "frameworks", "leaving or cancelling"),
    ("floats", "python", "default_form"),
    ("order-lost", "python", "stay_in_order"),
    ("number-lost", "python", "are_numbered"),
    ("other-account", "python", "account_that_keeps or streamed_response_can_be"),
    ("other-account", "frameworks", "kept"),
    ("always-stored", "python", "not_to_be_stored"),
    ("other-usage", "python", "usage_reaches or test_a_completion or test_a_response_arrives"),
    ("word-lost", "python", "test_aimock and stream and not tools or test_completions and shows_usage"),
    ("word-lost", "frameworks", "test_a_run or plain_and_streamed or test_a_chat_and"),
    ("fragment-lost", "python", "streamed_in_fragments or parallel_tools_plain"),
    ("fragment-lost", "frameworks", "streamed_tools or pieces"),
    ("break-hidden", "python", "breaks_midway"),
    ("other-picture", "python", "vision or picture"),
    ("other-picture", "frameworks", "vision"),
    ("no-attempts", "python", "test_a_chat and (failover or garbled)"),
    ("stays", "llama", "leaves or does_not_wait"),
    ("other-usage", "llama", "log_says or tells_its_usage or legacy or embeddings"),
    ("word-lost", "llama", "says_what_a_plain"),
)
