"""OpenAI's Agents SDK, on Chat Completions and on Responses."""

import functools

import agents
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from openai import AsyncOpenAI
from openai.types.shared import Reasoning

import story
from told import WITHIN, Person, asked, heard, tools, usage

agents.set_tracing_disabled(True)
MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


@functools.cache
def client(url, key):
    """One client for all runs."""
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=WITHIN)


def settings(dialect, question, temperature):
    """The run's settings. On Chat, models that reason take their limit by another name, unknown to the SDK."""
    limit = {"max_tokens": question["max_tokens"]}
    if not question["reasons"]:
        return ModelSettings(**limit, temperature=temperature, include_usage=True)
    if dialect == "chat":
        limit = {"extra_args": {"max_completion_tokens": question["max_tokens"]}}
    return ModelSettings(**limit, reasoning=Reasoning(effort="low"), include_usage=True)


async def ask(endpoint, model, scenario, stream):
    """Makes the run and tells what the user was handed."""
    dialect, url, key = endpoint
    calls, (text, system, temperature) = [], asked(scenario)
    question = story.question(scenario)
    made = Agent(
        name="keeper",
        instructions=system or None,
        model=MODELS[dialect](model=model, openai_client=client(url, key)),
        model_settings=settings(dialect, question, temperature),
        tools=[function_tool(one) for one in tools(scenario, calls)],
        output_type=Person if scenario == "schema" else None,
    )
    pieces = 0
    if stream:
        result = Runner.run_streamed(made, text)
        async for event in result.stream_events():
            pieces += event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    else:
        result = await Runner.run(made, text)
    counts, final = result.context_wrapper.usage, result.final_output
    structured = isinstance(final, Person)
    return heard(
        text="" if structured else final,
        output=final.model_dump() if structured else None,
        calls=calls,
        pieces=pieces,
        usage=usage(counts.input_tokens, counts.output_tokens),
    )
