"""Streams: every event once, in order, and nothing that the client did not ask for."""
import json

from weir import ASK, client, mark, only_arrival, text_of


def stream(model="echo", **more):
    """All chunks of one stream."""
    with client().chat.completions.create(model=model, messages=ASK, stream=True, **more) as events:
        return list(events)


def test_a_stream_adds_up_to_the_answer():
    chunks = stream()
    assert text_of(chunks) == "choice 0 echoes: How are you?"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert len(chunks) == 8, "a role, six words and the end are eight events"


def test_without_include_usage_no_usage_event_leaks():
    for model in ("echo", "strict"):
        chunks = stream(model)
        assert text_of(chunks).strip(), model
        assert all(chunk.choices for chunk in chunks), f"{model}: an event without choices leaked"
        assert all(chunk.usage is None for chunk in chunks), f"{model}: usage leaked"


def test_include_usage_false_leaks_none_either():
    chunks = stream(stream_options={"include_usage": False})
    assert all(chunk.choices for chunk in chunks)


def test_with_include_usage_the_usage_event_comes_last():
    for model in ("echo", "strict"):
        chunks = stream(model, stream_options={"include_usage": True})
        assert chunks[-1].choices == [] and chunks[-1].usage.total_tokens > 0, model
        assert all(chunk.choices for chunk in chunks[:-1]), model
        assert text_of(chunks).strip(), model


def test_the_usage_event_says_what_the_provider_said():
    usage = stream(stream_options={"include_usage": True})[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 6, 17)


def test_other_stream_options_survive():
    for usage in ({"include_usage": True}, {"include_usage": False}, {}):
        user = mark()
        stream(stream_options={**usage, "include_obfuscation": False}, user=user)
        reached = json.loads(only_arrival(user)["body"])["stream_options"]
        assert reached == {"include_usage": True, "include_obfuscation": False}, "usage is always asked for upstream"


def test_n_choices_are_streamed():
    chunks = stream(n=2)
    assert [text_of(chunks, n) for n in (0, 1)] == [f"choice {n} echoes: How are you?" for n in (0, 1)]


def test_the_sdks_stream_helper_accumulates_the_answer():
    with client().chat.completions.stream(model="echo", messages=ASK) as events:
        kinds = [event.type for event in events]
        final = events.get_final_completion()
    assert final.choices[0].message.content == "choice 0 echoes: How are you?"
    assert "content.delta" in kinds and "content.done" in kinds


def test_fields_that_no_sdk_declares_survive_in_events():
    assert all("x_undeclared" in chunk.model_extra for chunk in stream())
