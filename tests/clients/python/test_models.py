"""The list of models, and each of them by name."""
import openai
import pytest

from weir import client

ALL = {"strict", "echo", "vendor/echo", "session", "broken", "slow", "drip", "cut", "refuse"}


def test_the_list_names_every_model():
    models = list(client().models.list())
    names = [model.id for model in models]
    assert ALL <= set(names) and len(names) == len(set(names)), names
    assert all(model.object == "model" for model in models)


def test_the_list_shows_a_tenant_only_what_it_may_call():
    names = {model.id for model in client("narrow").models.list()}
    assert {"echo", "vendor/echo"} <= names and not names & {"strict", "session", "broken"}, names


def test_a_model_is_found_by_name():
    model = client().models.retrieve("echo")
    assert (model.id, model.object) == ("echo", "model")
    assert isinstance(model.created, int) and model.owned_by


def test_a_model_with_a_slash_is_found_escaped_and_plain():
    assert client().models.retrieve("vendor/echo").id == "vendor/echo"
    plain = client().get("/models/vendor/echo", cast_to=openai.types.Model)
    assert plain.id == "vendor/echo"


def test_an_unknown_model_is_not_found():
    for name in ("nobody", "vendor/nobody"):
        with pytest.raises(openai.NotFoundError) as caught:
            client().models.retrieve(name)
        assert caught.value.code == "model_not_found"
