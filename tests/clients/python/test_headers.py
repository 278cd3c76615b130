"""What the gateway says about itself, and the session that sticks."""
import uuid

import openai
import pytest

from weir import ASK, SETTINGS, client, mark, only_arrival


def raw(model="echo", session=None, **more):
    """One call's raw answer."""
    headers = {"x-session-id": session} if session else {}
    return client().chat.completions.with_raw_response.create(
        model=model, messages=ASK, extra_headers=headers, **more
    )


def test_a_raw_answer_carries_the_gateways_headers():
    answer = raw()
    assert answer.headers["x-weir-deployment"] == "echo-a"
    assert answer.headers["x-weir-attempts"] == "1"
    assert answer.headers["x-weir-replica"]
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.parse()._request_id == answer.headers["x-request-id"]


def test_the_provider_gets_the_accounts_key_and_never_the_clients():
    user = mark()
    raw(user=user)
    headers = only_arrival(user)["headers"]
    assert headers["authorization"] == "Bearer sk-scripted"
    assert SETTINGS["keys"]["main"] not in str(headers)


def test_every_call_has_its_own_request_id():
    ids = [raw().headers["x-request-id"] for _ in range(5)]
    assert len(set(ids)) == 5 and all(ids), ids


def test_a_stream_carries_them_too():
    with client().chat.completions.with_streaming_response.create(model="echo", messages=ASK, stream=True) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for name in ("x-request-id", "x-weir-deployment", "x-weir-replica", "x-weir-attempts"):
            assert answer.headers.get(name), f"{name} is missing"
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert all(line.startswith("data: ") for line in lines)


def test_an_error_carries_a_request_id():
    with pytest.raises(openai.NotFoundError) as caught:
        raw("gpt-nobody")
    assert caught.value.request_id


def test_a_session_sticks_to_its_deployment():
    session = f"session-{uuid.uuid4()}"
    turns = [raw("session", session).headers for _ in range(10)]
    assert [turn["x-weir-session"] for turn in turns] == ["new"] + ["hit"] * 9
    assert len({turn["x-weir-deployment"] for turn in turns}) == 1


def test_a_streamed_session_sticks_too():
    session = f"session-{uuid.uuid4()}"
    seen = []
    for _ in range(10):
        answer = raw("session", session, stream=True)
        seen.append((answer.headers["x-weir-session"], answer.headers["x-weir-deployment"]))
        list(answer.parse())
    assert [outcome for outcome, _ in seen] == ["new"] + ["hit"] * 9
    assert len({deployment for _, deployment in seen}) == 1


def test_sessions_spread_over_the_deployments():
    used = {raw("session", f"session-{uuid.uuid4()}").headers["x-weir-deployment"] for _ in range(8)}
    assert used == {"echo-a", "echo-b"}


def test_calls_without_a_session_take_turns():
    used = {raw("session").headers["x-weir-deployment"] for _ in range(4)}
    assert used == {"echo-a", "echo-b"}
