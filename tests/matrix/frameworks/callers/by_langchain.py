"""LangChain: `langchain-openai` on both of OpenAI's APIs, `langchain-anthropic`, `langchain-google-genai`; agents by
`langchain`."""

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI

import story
from told import WITHIN, Person, asked, heard, set_only, tools, usage

THINKING = {
    "chat": {"reasoning_effort": "low"},
    "responses": {"reasoning": {"effort": "low"}},
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    "google": {"thinking_budget": 2000, "include_thoughts": True},
}
METHODS = {"schema": "json_schema", "form": "function_calling"}


def chat_model(endpoint, model, scenario):
    """The chat model of a dialect."""
    dialect, url, key = endpoint
    question, (_, _, temperature) = story.question(scenario), asked(scenario)
    options = {
        "model": model,
        "api_key": key,
        "max_retries": 0,
        "timeout": WITHIN,
        "max_tokens": question["max_tokens"],
    }
    options |= set_only(temperature=temperature) | (THINKING[dialect] if question["reasons"] else {})
    if dialect == "anthropic":
        return ChatAnthropic(base_url=url, **options)
    if dialect == "google":
        return ChatGoogleGenerativeAI(base_url=url, **options)
    return ChatOpenAI(base_url=f"{url}/v1", use_responses_api=dialect == "responses", stream_usage=True, **options)


async def ask(endpoint, model, scenario, stream):
    """Makes the call and tells what the user was handed."""
    made, (text, *_) = chat_model(endpoint, model, scenario), asked(scenario)
    if scenario in METHODS:
        return await structured(made, text, METHODS[scenario], stream)
    if scenario in story.LOOPS:
        return await agent(made, scenario, stream)
    if not stream:
        return answered([await made.ainvoke(text)], [], 0)
    total, pieces = None, 0
    async for chunk in made.astream(text):
        total = chunk if total is None else total + chunk
        pieces += bool(chunk.text)
    return answered([total], [], pieces)


async def agent(made, scenario, stream):
    """An agent's run to its end."""
    calls, pieces, messages, (text, system, _) = [], 0, [], asked(scenario)
    run = create_agent(made, tools=tools(scenario, calls), system_prompt=system or None)
    question = {"messages": [("user", text)]}
    if not stream:
        messages = (await run.ainvoke(question))["messages"]
        return answered(messages, calls, 0)
    async for kind, value in run.astream(question, stream_mode=["messages", "values"]):
        if kind == "values":
            messages = value["messages"]
        elif isinstance(value[0], AIMessageChunk):
            pieces += bool(value[0].text)
    return answered(messages, calls, pieces)


def answered(messages, calls, pieces):
    """The last message's text, and the usage of all."""
    counts = [one.usage_metadata or {} for one in messages if isinstance(one, AIMessage)]
    total = usage(*(sum(one.get(f"{side}_tokens", 0) for one in counts) for side in ("input", "output")))
    return heard(text=messages[-1].text, calls=calls, usage=total, pieces=pieces)


async def structured(made, text, method, stream):
    """A structured answer with the message that it came in; streamed, the dictionary that grows."""
    if stream:
        bound = made.with_structured_output(Person.model_json_schema(), method=method)
        found = [part async for part in bound.astream(text)]
        return heard(output=found[-1], pieces=len(found))
    found = await made.with_structured_output(Person, method=method, include_raw=True).ainvoke(text)
    parsed, error = found["parsed"], found["parsing_error"]
    output = parsed.model_dump() if isinstance(parsed, Person) else None
    return answered([found["raw"]], [], 0) | {"output": output, "error": str(error) if error else None}
