"""Azure's ways to the same: its paths, its client, and every header that may carry a key."""
import functools

import openai
import pytest

from test_embeddings import wanted
from weir import ASK, SETTINGS, STRANGE, client, mark, only_arrival, text_of

SAID = "choice 0 echoes: How are you?"


@functools.cache
def azure(key="main", **more):
    """Azure's client: `/openai/deployments/{model}/...?api-version=...`, the key in `api-key`."""
    settings = {"azure_endpoint": SETTINGS["gateway"], "api_version": "2024-10-21", "max_retries": 0, "timeout": 20.0}
    return openai.AzureOpenAI(api_key=SETTINGS["keys"].get(key, key), **(settings | more))


def test_a_chat_by_the_deployments_path():
    user = mark()
    assert azure().chat.completions.create(model="echo", messages=ASK, user=user).choices[0].message.content == SAID
    arrival = only_arrival(user)
    assert arrival["path"] == "/v1/chat/completions", "the client's version of Azure's API is not the provider's"
    assert (arrival["model"], arrival["headers"]["authorization"]) == ("echo", "Bearer sk-scripted")
    assert "api-key" not in arrival["headers"]


def test_a_stream_by_the_deployments_path():
    with azure().chat.completions.create(model="echo", messages=ASK, stream=True) as stream:
        assert text_of(list(stream)) == SAID


def test_a_model_with_a_slash_by_the_deployments_path():
    assert azure().chat.completions.create(model="vendor/echo", messages=ASK).choices[0].message.content == SAID


def test_the_path_names_the_model_whatever_the_body_says():
    user = mark()
    fixed = azure(azure_deployment="echo-alias")
    assert fixed.chat.completions.create(model="gpt-nobody", messages=ASK, user=user).choices[0].message.content == SAID
    assert only_arrival(user)["model"] == "echo"


def test_embeddings_and_completions_by_the_deployments_path():
    assert azure().embeddings.create(model="echo", input=STRANGE).data[0].embedding == wanted(STRANGE)
    assert azure().completions.create(model="echo", prompt="How are you?").choices[0].text == SAID


def test_the_newer_path_without_a_version():
    sdk = client(base_url=SETTINGS["gateway"] + "/openai/v1")
    assert sdk.chat.completions.create(model="echo", messages=ASK).choices[0].message.content == SAID
    made = sdk.responses.create(model="kept", input="How are you?")
    assert made.output_text == "echoes: How are you?"
    assert sdk.responses.retrieve(made.id).id == made.id
    assert "echo" in {model.id for model in sdk.models.list()}


def test_azures_client_makes_responses():
    sdk = azure(api_version="preview", base_url=SETTINGS["gateway"] + "/openai/v1", azure_endpoint=None)
    assert sdk.responses.create(model="echo", input="How are you?").output_text == "echoes: How are you?"


@pytest.mark.parametrize("header", ["api-key", "x-api-key", "x-goog-api-key", "Authorization"])
def test_each_header_may_carry_the_key(header):
    prefix = "Bearer " if header == "Authorization" else ""
    headers = {"Authorization": openai.Omit(), header: prefix + SETTINGS["keys"]["main"]}
    assert client().chat.completions.create(model="echo", messages=ASK, extra_headers=headers).choices
    headers[header] = prefix + "sk-nobody"
    with pytest.raises(openai.AuthenticationError):
        client().chat.completions.create(model="echo", messages=ASK, extra_headers=headers)


def test_the_query_may_carry_the_key():
    headers, query = {"Authorization": openai.Omit()}, {"key": SETTINGS["keys"]["main"]}
    user = mark()
    client().chat.completions.create(model="echo", messages=ASK, user=user, extra_headers=headers, extra_query=query)
    assert "sk-weir" not in only_arrival(user)["path"], "the provider was shown the client's key"


def test_errors_have_azures_clients_classes():
    with pytest.raises(openai.AuthenticationError) as wrong_key:
        azure("sk-nobody").chat.completions.create(model="echo", messages=ASK)
    with pytest.raises(openai.NotFoundError) as unknown:
        azure().chat.completions.create(model="gpt-nobody", messages=ASK)
    assert (wrong_key.value.code, unknown.value.code) == ("invalid_api_key", "model_not_found")
    assert wrong_key.value.request_id and unknown.value.request_id
