"""Plain answers: what the provider said is what the SDK returns."""
import base64
import hashlib
import json

import openai

from weir import ASK, STRANGE, client, mark, only_arrival, strict_log


def recording(sent):
    """An HTTP client for the SDK that keeps the bodies that it sends."""
    return openai.DefaultHttpxClient(event_hooks={"request": [lambda request: sent.append(request.content)]})


def test_a_plain_answer_arrives_whole():
    answer = client().chat.completions.create(model="echo", messages=ASK)
    choice = answer.choices[0]
    assert choice.message.content == "choice 0 echoes: How are you?"
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (11, 6, 17)
    assert answer.usage.prompt_tokens_details.cached_tokens == 3


def test_a_strict_provider_answers_too():
    answer = client().chat.completions.create(model="strict", messages=ASK, max_tokens=64)
    assert answer.choices[0].message.content.strip()
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_an_alias_answers_like_its_model():
    answer = client().chat.completions.create(model="echo-alias", messages=ASK)
    assert answer.choices[0].message.content == "choice 0 echoes: How are you?"


def test_a_model_name_may_contain_a_slash():
    answer = client().chat.completions.create(model="vendor/echo", messages=ASK)
    assert answer.choices[0].message.content == "choice 0 echoes: How are you?"


def test_n_choices_arrive():
    answer = client().chat.completions.create(model="echo", messages=ASK, n=2)
    assert [c.message.content for c in answer.choices] == [f"choice {n} echoes: How are you?" for n in (0, 1)]
    assert [c.index for c in answer.choices] == [0, 1]


def test_message_parts_and_non_ascii_text_survive():
    parts = [{"type": "text", "text": STRANGE}]
    answer = client().chat.completions.create(model="echo", messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == f"choice 0 echoes: {STRANGE}"


def test_a_large_picture_reaches_the_provider_untouched():
    url = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 2000).decode()
    user = mark()
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    client().chat.completions.create(model="echo", messages=[{"role": "user", "content": parts}], user=user)
    assert json.loads(only_arrival(user)["body"])["messages"][0]["content"] == parts
    user = mark()
    parts = [{"type": "input_text", "text": "what is it?"}, {"type": "input_image", "image_url": url, "detail": "auto"}]
    client().responses.create(model="echo", input=[{"role": "user", "content": parts}], user=user)
    assert json.loads(only_arrival(user)["body"])["input"][0]["content"] == parts


def test_fields_that_no_sdk_declares_survive_in_the_answer():
    answer = client().chat.completions.create(model="echo", messages=ASK)
    assert answer.model_extra["x_undeclared"] == {"kept": [1, 2.5, STRANGE]}
    assert (answer.system_fingerprint, answer.service_tier) == ("fp_scripted", "default")


def test_unknown_request_fields_reach_the_provider_byte_for_byte():
    sent, user = [], mark()
    extra = {
        "x_unknown": {"z": 1, "a": [1.50, 12345678901234567890, None, True], "text": STRANGE, "deep": {"er": {}}},
        "reasoning": {"effort": "none", "max_tokens": 9_007_199_254_740_993},
    }
    recorded = client(http_client=recording(sent))
    recorded.chat.completions.create(model="vendor/echo", messages=ASK, user=user, extra_body=extra)
    upstream = only_arrival(user)["body"]
    assert upstream == sent[0].replace(b'"vendor/echo"', b'"echo"'), "more than the model's name was changed"


def test_the_strict_providers_log_has_the_bytes_that_were_sent():
    sent = []
    recorded = client(http_client=recording(sent))
    recorded.chat.completions.create(model="strict", messages=ASK, user=mark(), extra_body={"x_unknown": [STRANGE]})
    digest = hashlib.sha256(sent[0]).hexdigest()
    assert digest in [record["body_sha256"] for record in strict_log()], "the upstream model has the same name"


def test_unknown_request_fields_survive_in_a_stream():
    user, extra = mark(), {"x_unknown": {"z": 12345678901234567890, "a": STRANGE}}
    with client().chat.completions.create(
        model="echo", messages=ASK, user=user, stream=True, extra_body=extra
    ) as stream:
        list(stream)
    body = json.loads(only_arrival(user)["body"])
    assert body["x_unknown"] == extra["x_unknown"]
    assert body["messages"] == ASK
