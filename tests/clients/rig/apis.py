"""The calls that the scripted provider knows: what each needs, what it answers and how it streams."""
from collections.abc import Callable
from typing import NamedTuple

from . import answers, prompts, responses, vectors


class Api(NamedTuple):
    """One of them."""

    name: str
    check: Callable  # request -> raises ValueError when OpenAI would refuse it
    plain: Callable  # request, previous -> body
    events: Callable | None  # request, body -> events of the same answer, streamed; None: it never streams
    beginning: Callable | None  # request, words -> events up to there
    done: bool  # does [DONE] end its streams?


def check_chat(request):
    """Messages, each with a role."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages must be a non-empty array")
    if not all(isinstance(m, dict) and "role" in m for m in messages):
        raise ValueError("every message must be an object with a role")
    check_common(request)


def needs(*names):
    """A check for members that are text or an array, and not empty."""

    def check(request):
        for name in names:
            if not isinstance(request.get(name), (str, list)) or not request[name]:
                raise ValueError(f"{name} must be text or an array")
        check_common(request)

    return check


def check_common(request):
    """What all of them may have."""
    if not isinstance(request.get("stream") or False, bool):
        raise ValueError("stream must be true or false")
    if not isinstance(request.get("temperature", 1), (int, float)):
        raise ValueError("temperature must be a number")


APIS = {
    "/v1/chat/completions": Api(
        "chat",
        check_chat,
        lambda request, _: answers.completion(request),
        lambda request, _: answers.chunks(request),
        answers.beginning,
        True,
    ),
    "/v1/completions": Api(
        "completions",
        needs("prompt"),
        lambda request, _: prompts.completion(request),
        lambda request, _: prompts.chunks(request),
        prompts.beginning,
        True,
    ),
    "/v1/responses": Api(
        "responses",
        needs("input"),
        responses.answer,
        lambda _, response: responses.events(response),
        responses.beginning,
        False,
    ),
    "/v1/embeddings": Api("embeddings", needs("input"), lambda request, _: vectors.embeddings(request), None, None, False),
    "/v1/rerank": Api(
        "rerank", needs("query", "documents"), lambda request, _: vectors.rerank(request), None, None, False
    ),
}
