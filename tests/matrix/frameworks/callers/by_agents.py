"""OpenAI's Agents SDK, on Chat Completions and on Responses."""

import functools

import agents
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from openai import AsyncOpenAI

import story
from told import WITHIN, Person, asked, heard, tools, usage

agents.set_tracing_disabled(True)
MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


@functools.cache
def client(url, key):
    """One client for all runs."""
    return AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=WITHIN)


async def ask(endpoint, model, scenario, stream):
    """Makes the run and tells what the user was handed."""
    dialect, url, key = endpoint
    calls, (text, system, temperature) = [], asked(scenario)
    limit = story.question(scenario)["max_tokens"]
    made = Agent(
        name="keeper",
        instructions=system or None,
        model=MODELS[dialect](model=model, openai_client=client(url, key)),
        model_settings=ModelSettings(max_tokens=limit, temperature=temperature, include_usage=True),
        tools=[function_tool(one) for one in tools(calls)] if scenario in story.LOOPS else [],
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
