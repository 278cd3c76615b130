"""Pydantic AI, with its models for OpenAI's two APIs, Anthropic and Google."""

import functools

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles.anthropic import anthropic_model_profile
from pydantic_ai.profiles.openai import openai_model_profile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

import story
from told import WITHIN, Person, asked, heard, set_only, tools, usage

MODELS = {
    "chat": OpenAIChatModel,
    "responses": OpenAIResponsesModel,
    "anthropic": AnthropicModel,
    "google": GoogleModel,
}
# What a model can do is looked up by its name; the gateway's names are its user's own, so they say it.
PROFILES = {"anthropic": anthropic_model_profile("claude-sonnet-4-5")}
REASONING_PROFILES = {**PROFILES, **dict.fromkeys(("chat", "responses"), openai_model_profile("gpt-5.2"))}
THINKING = {
    "chat": {"openai_reasoning_effort": "low"},
    "responses": {"openai_reasoning_effort": "low"},
    "anthropic": {"anthropic_thinking": {"type": "enabled", "budget_tokens": 2000}},
    "google": {"google_thinking_config": {"thinking_budget": 2000, "include_thoughts": True}},
}
OUTPUTS = {"schema": NativeOutput(Person), "form": ToolOutput(Person)}


@functools.cache
def provider(dialect, url, key):
    """One provider, with its client, for all runs."""
    options = {"api_key": key, "max_retries": 0, "timeout": WITHIN}
    if dialect == "anthropic":
        return AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=url, **options))
    if dialect == "google":
        return GoogleProvider(api_key=key, base_url=url)
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{url}/v1", **options))


async def ask(endpoint, model, scenario, stream):
    """Makes the run and tells what the user was handed."""
    calls, (text, system, temperature) = [], asked(scenario)
    question = story.question(scenario)
    profiles = REASONING_PROFILES if question["reasons"] else PROFILES
    settings = set_only(max_tokens=question["max_tokens"], temperature=temperature)
    made = Agent(
        MODELS[endpoint[0]](model, provider=provider(*endpoint), profile=profiles.get(endpoint[0])),
        instructions=system or None,
        model_settings=settings | (THINKING[endpoint[0]] if question["reasons"] else {}),
        tools=tools(scenario, calls),
        output_type=OUTPUTS.get(scenario, str),
        retries=0,
    )
    if not stream:
        result = await made.run(text)
        return handed(result.output, result.usage, calls, 0)
    async with made.run_stream(text) as result:
        if scenario in OUTPUTS:
            found = [part async for part in result.stream_output(debounce_by=None)]
            return handed(found[-1], result.usage, calls, len(found))
        found = [part async for part in result.stream_text(delta=True, debounce_by=None)]
        return handed("".join(found), result.usage, calls, len(found))


def handed(output, counts, calls, pieces):
    """What the user was handed."""
    counts = counts() if callable(counts) else counts
    structured = isinstance(output, Person)
    return heard(
        text="" if structured else output,
        output=output.model_dump() if structured else None,
        calls=calls,
        pieces=pieces,
        usage=usage(counts.input_tokens, counts.output_tokens),
    )
