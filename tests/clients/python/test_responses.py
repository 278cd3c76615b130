"""Responses: numbered streams, and what a provider keeps of them stays within reach."""
import time

import openai
import pydantic
import pytest

from weir import SETTINGS, STRANGE, arrivals, client, counted, logged, mark, only_arrival, wait_aborted

SAID = "echoes: How are you?"
ASK = {"model": "echo", "input": "How are you?"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "name": name, "strict": True, "parameters": SCHEMA} for name in ("get_weather", "get_tides")]


class Trip(pydantic.BaseModel):
    """A structured answer."""

    title: str
    days: int


def test_a_response_arrives_whole():
    answer = client().responses.create(**ASK, instructions="Be brief.", metadata={"a": "b"})
    assert (answer.output_text, answer.status, answer.model) == (SAID, "completed", "echo")
    assert (answer.instructions, answer.metadata) == ("Be brief.", {"a": "b"})
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (13, 4, 17)
    assert answer.x_undeclared == {"kept": [1, 2.5, STRANGE]}


def test_the_log_counts_what_the_provider_counted():
    raw = client().responses.with_raw_response.create(**ASK)
    line = logged(raw.headers["x-request-id"])
    assert (line["api"], line["stream"], counted(line)) == ("responses", False, (13, 5, 4))
    raw = client().responses.with_raw_response.create(**ASK, stream=True)
    list(raw.parse())
    line = logged(raw.headers["x-request-id"])
    assert (line["api"], line["stream"], counted(line)) == ("responses", True, (13, 5, 4))


def test_a_streams_events_are_numbered_without_a_gap():
    with client().responses.create(**ASK, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed" and events[-1].response.output_text == SAID
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == SAID
    assert {event.response.id for event in (events[0], events[-1])} == {events[-1].response.id}


def test_the_stream_helper_adds_a_stream_up():
    with client().responses.stream(**ASK) as stream:
        seen = [event.type for event in stream]
        final = stream.get_final_response()
    assert seen.count("response.output_text.delta") == 4 and final.output_text == SAID


def test_a_structured_response_is_parsed():
    answer = client().responses.parse(**ASK, text_format=Trip)
    assert answer.output_parsed == Trip(title="value", days=7)
    with client().responses.stream(**ASK, text_format=Trip) as stream:
        assert stream.get_final_response().output_parsed == answer.output_parsed


def test_parallel_tools_plain_and_streamed():
    wanted = [(name, {"city": f"{STRANGE} {n}", "days": 7}) for n, name in enumerate(("get_weather", "get_tides"))]
    plain = client().responses.parse(**ASK, tools=TOOLS)
    assert [(call.name, call.parsed_arguments) for call in plain.output] == wanted
    with client().responses.stream(**ASK, tools=TOOLS) as stream:
        fragments = [event for event in stream if event.type == "response.function_call_arguments.delta"]
        final = stream.get_final_response()
    assert [(call.name, call.parsed_arguments) for call in final.output] == wanted
    for place, call in enumerate(final.output):
        mine = [event.delta for event in fragments if event.output_index == place]
        assert len(mine) > 5 and "".join(mine) == call.arguments


def test_a_tools_result_goes_back():
    first = client().responses.create(**ASK, tools=TOOLS)
    results = [{"type": "function_call_output", "call_id": c.call_id, "output": f"done {c.call_id}"} for c in first.output]
    answer = client().responses.create(
        model="echo", input=results, tools=TOOLS, previous_response_id=first.id
    )
    assert answer.output_text == "echoes: done call_1 after: How are you?"


def test_a_conversation_stays_with_the_account_that_keeps_it():
    """Two accounts take turns, and each refuses what the other keeps."""

    def ask(text, **more):
        return client().responses.with_raw_response.create(model="kept", input=text, **more)

    begun = [ask(f"turn {turn}") for turn in range(10)]
    assert {first.headers["x-weir-deployment"] for first in begun} == {"echo-a", "echo-other"}
    for turn, first in enumerate(begun):
        then = ask("and then?", previous_response_id=first.parse().id)
        assert then.headers["x-weir-deployment"] == first.headers["x-weir-deployment"]
        assert then.parse().output_text == f"echoes: and then? after: turn {turn}"


def test_another_replica_knows_which_account_keeps_it():
    """With Redis `beside` is a second replica; what it kept in mind is not what the first did."""
    beside = client(base_url=SETTINGS["beside"] + "/v1")
    for turn in range(6):
        makes, goes_on = (client(), beside) if turn % 2 else (beside, client())
        first = makes.responses.with_raw_response.create(model="kept", input=f"turn {turn}")
        then = goes_on.responses.with_raw_response.create(
            model="kept", input="and then?", previous_response_id=first.parse().id
        )
        assert then.headers["x-weir-deployment"] == first.headers["x-weir-deployment"]
        assert (then.headers["x-weir-replica"] == first.headers["x-weir-replica"]) == (SETTINGS["variant"] == "embedded")
        assert goes_on.responses.retrieve(first.parse().id).output_text == f"echoes: turn {turn}"
        goes_on.responses.delete(first.parse().id)
        with pytest.raises(openai.NotFoundError):
            makes.responses.retrieve(first.parse().id)
    conversation = f"conv_{mark()}"
    ask = {"model": "kept", "input": "go on", "conversation": conversation}
    seen = [who.responses.with_raw_response.create(**ask).headers for who in (client(), beside) * 4]
    assert len({headers["x-weir-deployment"] for headers in seen}) == 1


def test_a_streamed_response_can_be_gone_on_with():
    for turn in range(6):
        with client().responses.stream(model="kept", input=f"turn {turn}") as stream:
            first = stream.get_final_response()
        with client().responses.stream(model="kept", input="and then?", previous_response_id=first.id) as stream:
            assert stream.get_final_response().output_text == f"echoes: and then? after: turn {turn}"


def test_a_conversations_calls_stay_together():
    conversation = f"conv_{mark()}"
    seen = [
        client().responses.with_raw_response.create(model="kept", input="go on", conversation=conversation).headers
        for _ in range(8)
    ]
    assert len({headers["x-weir-deployment"] for headers in seen}) == 1


def test_a_response_is_retrieved_its_input_listed_and_deleted():
    for turn in range(6):
        made = client().responses.create(model="kept", input=f"turn {turn}")
        found = client().responses.retrieve(made.id)
        assert (found.id, found.output_text) == (made.id, f"echoes: turn {turn}")
        (given,) = client().responses.input_items.list(made.id).data
        assert given.content[0].text == f"turn {turn}"
        client().responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            client().responses.retrieve(made.id)


def test_a_response_that_is_not_to_be_stored_is_not():
    made = client().responses.create(**ASK, store=False)
    with pytest.raises(openai.NotFoundError):
        client().responses.retrieve(made.id)


def test_an_unknown_response_is_not_found_and_cannot_be_gone_on_with():
    for attempt in (client().responses.retrieve, client().responses.delete):
        with pytest.raises(openai.NotFoundError):
            attempt("resp_nobody_made_this")
    with pytest.raises(openai.BadRequestError) as caught:
        client().responses.create(**ASK, previous_response_id="resp_nobody_made_this")
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")


def test_another_tenant_sees_nothing_of_it():
    made = client().responses.create(**ASK)
    other = client("counted-python")
    for attempt in (other.responses.retrieve, other.responses.delete):
        with pytest.raises(openai.NotFoundError):
            attempt(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        other.responses.create(**ASK, previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"
    assert client().responses.retrieve(made.id).id == made.id, "the other tenant's delete came through"


@pytest.mark.parametrize("model", ["cut", "error-event"])
def test_a_stream_that_breaks_midway_says_so(model):
    """As OpenAI tells it: an event `error`, or `response.failed`; never as if it were complete."""
    seen, error = [], None
    try:
        with client().responses.create(model=model, input="How are you?", stream=True) as stream:
            for event in stream:
                seen.append(event)
    except openai.APIError as raised:
        error = raised
    assert "".join(e.delta for e in seen if e.type == "response.output_text.delta") == "word0 word1 word2"
    last = seen[-1]
    assert error or last.type in ("error", "response.failed"), f"it ends with {last.type}"
    assert not any(event.type == "response.completed" for event in seen)
    if not error:
        assert [event.sequence_number for event in seen] == list(range(len(seen)))
        assert last.message if last.type == "error" else last.response.error.message


def test_a_stream_that_breaks_before_its_first_word_moves_on_unseen():
    user = mark()
    with client().responses.create(model="failover-stream", input="How are you?", user=user, stream=True) as stream:
        events = list(stream)
    assert [call["model"] for call in arrivals(user)] == ["cut-early", "echo"]
    assert events[-1].response.output_text == SAID
    assert [event.type for event in events].count("response.created") == 1, "the first provider's opening leaked"
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_leaving_a_stream_reaches_the_provider():
    user = mark()
    stream = client().responses.create(model="drip", input="How are you?", user=user, stream=True)
    for event in stream:
        if event.type == "response.output_text.delta":
            break
    assert only_arrival(user)["outcome"] == "running"
    left = time.time()
    stream.close()
    wait_aborted(user, left)


def test_the_provider_gets_the_request_as_it_was_but_for_the_model():
    user = mark()
    client().responses.create(model="echo-alias", input=[{"role": "user", "content": STRANGE}], user=user, store=False)
    call = only_arrival(user)
    assert (call["method"], call["path"], call["model"]) == ("POST", "/v1/responses", "echo")
    assert b'"store":false' in call["body"].replace(b" ", b"")
