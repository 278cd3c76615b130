"""Instructor: structured answers by tools, by schema and by Responses, streamed ones too."""
import instructor
import openai
import pydantic
import pytest
from instructor.core.exceptions import InstructorRetryException

from told import CHATS, RESPONSES, TRIP, Trip
from weir import ASK, STRANGE, arrivals, client, mark


class Report(pydantic.BaseModel):
    """What the scripted provider fills in, by its schema."""

    city: str
    days: int


FILLED = {"city": f"{STRANGE} 0", "days": 7}


def ask(text):
    """One user's message."""
    return [{"role": "user", "content": text}]


@CHATS
def test_by_schema(model):
    made = instructor.from_openai(client(), mode=instructor.Mode.JSON_SCHEMA)
    trip = made.chat.completions.create(model=model, messages=ask("plan a trip"), response_model=Trip)
    assert trip.model_dump() == TRIP.model_dump()


@CHATS
def test_a_schema_streamed_piece_by_piece(model):
    made = instructor.from_openai(client(), mode=instructor.Mode.JSON_SCHEMA)
    pieces = list(made.chat.completions.create_partial(model=model, messages=ask("plan a trip"), response_model=Trip))
    assert len(pieces) > 8 and pieces[-1].model_dump() == TRIP.model_dump()


@RESPONSES
def test_by_tools(model):
    made = instructor.from_openai(client(), mode=instructor.Mode.TOOLS)
    report, raw = made.chat.completions.create_with_completion(model=model, messages=ASK, response_model=Report)
    assert report.model_dump() == FILLED and raw.usage.prompt_tokens == 11


@RESPONSES
def test_tools_streamed_piece_by_piece(model):
    made = instructor.from_openai(client(), mode=instructor.Mode.TOOLS)
    pieces = list(made.chat.completions.create_partial(model=model, messages=ASK, response_model=Report))
    assert len(pieces) > 5 and pieces[-1].model_dump() == FILLED


@RESPONSES
def test_by_responses(model):
    made = instructor.from_openai(client(), mode=instructor.Mode.RESPONSES_TOOLS)
    assert made.create(model=model, messages=ASK, response_model=Report).model_dump() == FILLED


def test_errors_are_told_and_not_repeated():
    for model, kind, code in (
        ("gpt-nobody", openai.NotFoundError, "model_not_found"),
        ("refuse", openai.BadRequestError, "context_length_exceeded"),
        ("broken", openai.InternalServerError, "upstream_failed"),
    ):
        user = mark()
        with pytest.raises((openai.APIError, InstructorRetryException)) as caught:
            instructor.from_openai(client()).create(
                model=model, messages=ASK, response_model=Report, user=user, max_retries=0
            )
        error = caught.value
        while not isinstance(error, openai.APIError):
            error = error.__cause__
        assert type(error) is kind and error.code == code
        assert len(arrivals(user)) == {"gpt-nobody": 0, "refuse": 1, "broken": 3}[model]
