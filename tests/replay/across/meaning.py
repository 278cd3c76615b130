"""What an answer means, whatever its dialect: what must survive the way from a provider's dialect into a client's."""
import json
from dataclasses import dataclass, field

import tokens

# What an end may mean here. A word that is none of its dialect's means "other".
MEANT = {None, "stop", "length", "calls", "filtered", "paused", "failed"}
# The words for an end that differ from it.
ENDS = {
    "chat": {"tool_calls": "calls", "function_call": "calls", "content_filter": "filtered"},
    "responses": {"max_output_tokens": "length", "content_filter": "filtered"},
    "messages": {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "calls",
                 "refusal": "filtered", "pause_turn": "paused", "model_context_window_exceeded": "length"},
    "gemini": {"STOP": "stop", "1": "stop", "MAX_TOKENS": "length", "2": "length",
               **dict.fromkeys("SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII 3".split(), "filtered")},
    "converse": {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "calls",
                 "content_filtered": "filtered", "guardrail_intervened": "filtered",
                 "model_context_window_exceeded": "length"},
}  # fmt: skip


@dataclass
class Meaning:
    """Of the first choice."""

    text: str = ""
    thought: str = ""  # as far as it is told
    refusal: str = ""  # words with which the model declines, where a dialect tells them apart
    calls: list = field(default_factory=list)  # (name, arguments)
    finish: str | None = None
    usage: tokens.Usage | None = None

    def end(self, dialect, word):
        """Sets how it ended. Some say that the model stopped although it made calls, or although it declined."""
        meant = ENDS[dialect].get(word, word if word in MEANT else "other")
        meant = "filtered" if self.refusal and meant == "stop" else meant
        self.finish = "calls" if self.calls and meant == "stop" else meant
        return self


def arguments(text):
    """Arguments as JSON; those that are none, as the gateway passes them to dialects that want an object."""
    if isinstance(text, dict):
        return text
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {"_raw": text}
    return value or {} if isinstance(value, dict | type(None)) else {"_raw": text}
