"""Instructor on the SDKs of OpenAI, Anthropic and Google: an answer by a schema, or by a tool that it fills in."""

import functools

import instructor
from anthropic import AsyncAnthropic
from google import genai
from openai import AsyncOpenAI

import story
from told import WITHIN, Person, asked, heard, usage

MODES = {
    ("chat", "schema"): instructor.Mode.JSON_SCHEMA,
    ("chat", "form"): instructor.Mode.TOOLS,
    ("responses", "form"): instructor.Mode.RESPONSES_TOOLS,
    ("anthropic", "form"): instructor.Mode.TOOLS,
    ("google", "schema"): instructor.Mode.JSON,
    ("google", "form"): instructor.Mode.TOOLS,
}


@functools.cache
def client(dialect, url, key, mode):
    """One client for all calls in a mode."""
    options = {"api_key": key, "max_retries": 0, "timeout": WITHIN}
    if dialect == "anthropic":
        return instructor.from_anthropic(AsyncAnthropic(base_url=url, **options), mode=mode)
    if dialect == "google":
        http = genai.types.HttpOptions(base_url=url, timeout=int(WITHIN * 1000))
        return instructor.from_genai(genai.Client(api_key=key, http_options=http), mode=mode, use_async=True)
    return instructor.from_openai(AsyncOpenAI(base_url=f"{url}/v1", **options), mode=mode)


async def ask(endpoint, model, scenario, stream):
    """Makes the call and tells what the user was handed."""
    made = client(*endpoint, MODES[endpoint[0], "form" if scenario == "error" else scenario])
    limit = "max_output_tokens" if endpoint[0] == "responses" else "max_tokens"
    request = {
        "model": model,
        "messages": [{"role": "user", "content": asked(scenario)[0]}],
        "response_model": Person,
        "max_retries": 0,
        limit: story.question(scenario)["max_tokens"],
    }
    if not stream:
        person, raw = await made.create_with_completion(**request)
        return heard(output=person.model_dump(), usage=counted(raw))
    found = [part async for part in made.create_partial(**request)]
    return heard(output=found[-1].model_dump(), pieces=len(found))


def counted(raw):
    """Tokens of an SDK's answer."""
    if counts := getattr(raw, "usage_metadata", None):
        return usage(counts.prompt_token_count, counts.candidates_token_count)
    counts = raw.usage
    if hasattr(counts, "prompt_tokens"):
        return usage(counts.prompt_tokens, counts.completion_tokens)
    return usage(counts.input_tokens, counts.output_tokens)
