"""Can the judge fail? Damaged answers, damaged requests, requests that a provider would refuse, a golden file that differs.

No gateway is needed: a row here is what a gateway that does one thing wrong would look like to the judge. Each must be noticed
under the aspect that it names; undamaged, all of these cells pass (`run --direct`).
"""

import copy

import cells
import golden
import impossible
import story
from frameworks import selftest as frameworks
from provider import AWS_KEY, AWS_SECRET, KEY, Provider
from toolchain import REPOSITORY
from wires import WIRES, sigv4


def swap(old, new):
    """An answer in which one text stands for another."""
    return lambda data: data.replace(old, new)


def lose(text):
    """An answer without the events that hold a text."""
    return lambda data: b"" if text in data else data


def drop(*path):
    """A request without the field at this path."""

    def mangle(body):
        """Takes it out."""
        at = body
        for name in path[:-1]:
            at = at[name]
        del at[path[-1]]
        return body

    return mangle


# cell, what becomes of the answer, the aspect that must fail
ANSWERS = (
    (("chat", "chat", "text", False), swap(b"harbour", b"harbor"), "hears.text"),
    (("chat", "chat", "text", True), swap(b'"prompt_tokens":111', b'"prompt_tokens":110'), "hears.usage.input"),
    (("chat", "chat", "parallel", False), swap(b"Lima", b"Oslo"), "hears.calls"),
    (("chat", "chat", "parallel", True), swap(b"0002abcdefgh", b"0001abcdefgh"), "hears.ids"),
    (("chat", "azure", "length", False), swap(b'"length"', b'"stop"'), "hears.finish"),
    (("chat", "chat", "refusal", True), swap(b'"refusal":"', b'"content":"'), "hears.refusal"),
    (("chat", "chat", "text", False), swap(b'"chat.completion"', b'"completion"'), "hears.error"),
    (("responses", "responses", "text", True), lose(b'"type":"response.completed"'), "hears.error"),
    (("responses", "responses", "text", True), swap(b'"sequence_number":3', b'"sequence_number":4'), "hears.error"),
    (("responses", "responses", "reasoning", False), swap(b"Three came", b"Nobody came"), "hears.reasoning"),
    (("responses", "responses", "cache", False), swap(b"1024", b"1023"), "hears.usage.cached"),
    (("messages", "anthropic", "tools", True), lose(b'"type":"content_block_stop"'), "hears.error"),
    (("messages", "anthropic", "reasoning", True), lose(b"signature_delta"), "hears.signature"),
    (("messages", "anthropic", "error", True), swap(b"event: error", b"event: ping"), "hears.error"),
    (("gemini", "gemini", "tools", True), swap(b"get_weather", b"get_whether"), "hears.calls"),
    (("gemini", "gemini", "refusal", False), swap(b"SAFETY", b"STOP"), "hears.finish"),
    (("converse", "bedrock", "text", True), swap(b"Hello", b"Hallo"), "hears.error"),  # the CRC tells
)
# cell, what becomes of the request, the aspect that must fail
REQUESTS = (
    (("chat", "chat", "system", False), drop("messages", 0), "asks.system"),
    (("chat", "chat", "text", False), drop("max_tokens"), "asks.max_tokens"),
    (("responses", "responses", "tools", False), drop("tools", 1), "asks.tools"),
    (("responses", "responses", "schema", True), drop("text"), "asks.schema"),
    (("messages", "anthropic", "image", False), drop("messages", 0, "content", 1), "asks.turns"),
    (("messages", "anthropic", "cache", False), drop("system", 0, "cache_control"), "asks.cached"),
    (("messages", "anthropic", "length", False), drop("max_tokens"), "asks.valid"),
    (("gemini", "gemini", "reasoning", False), drop("generationConfig", "thinkingConfig"), "asks.reasons"),
    (("gemini", "gemini", "results", False), drop("contents", 2, "parts", 0), "asks.valid"),
    (("converse", "bedrock", "parallel", False), drop("toolConfig", "toolChoice"), "asks.choice"),
)
HELLO = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"toolUse": {"toolUseId": "a b", "name": "f", "input": {}}}
# wire, body: each is wrong in one way
REFUSED = (
    ("chat", {"model": "gpt-4.1", "messages": [HELLO], "top_k": 1}),
    ("chat", {"model": "gpt-5.2", "messages": [HELLO], "max_tokens": 1}),
    ("chat", {"model": "gpt-4.1", "messages": [HELLO, {"role": "assistant", "tool_calls": [CALL]}, HELLO]}),
    ("chat", {"model": "gpt-4.1", "messages": [HELLO], "stream_options": {"include_usage": True}}),
    ("responses", {"model": "gpt-4.1", "input": "Hello", "max_output_tokens": 15}),
    ("responses", {"model": "gpt-4.1", "input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}),
    ("messages", {"model": "claude-sonnet-4-5", "messages": [HELLO]}),
    ("messages", {"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": [{**HELLO, "role": "assistant"}]}),
    ("messages", {"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": [{**HELLO, "content": " "}]}),
    ("gemini", {"contents": [{"role": "assistant", "parts": [{"text": "Hello"}]}]}),
    ("gemini", {"contents": [{"role": "user", "parts": [{"text": "Hello", "type": "text"}]}]}),
    ("converse", {"messages": [{"role": "user", "content": [{"text": "Hello", "type": "text"}]}]}),
    ("converse", {"messages": [{"role": "user", "content": [{"text": "Hello"}]}] * 2}),
    ("converse", {"messages": [{"role": "user", "content": [{"text": "f"}]}, {"role": "assistant", "content": [USE]}]}),
)


def main(with_frameworks=False):
    """Every row; 0 when all were noticed."""
    unnoticed = [text for row in ANSWERS for text in damaged(row[0], row[2], damage=row[1])]
    unnoticed += [text for row in REQUESTS for text in damaged(row[0], row[2], mangle=row[1])]
    unnoticed += [f"{wire}: not refused: {body}" for wire, body in REFUSED if not WIRES[wire].check(body, False)]
    signed = {"authorization": f"AWS4-HMAC-SHA256 Credential={AWS_KEY}/20260101/us-east-1/bedrock/aws4_request, "}
    signed["authorization"] += f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    signed |= {"host": "127.0.0.1", "x-amz-date": "20260101T000000Z"}
    if sigv4.problem("POST", "/model/m/converse", signed, b"", AWS_KEY, AWS_SECRET) is None:
        unnoticed.append("a wrong AWS signature was taken")
    old = {"heard": {"text": "a", "raw": [{"x": 1}]}}
    new = copy.deepcopy(old)
    new["heard"]["raw"][0]["x"] = 2
    if golden.differences(old, new, "") != [".heard.raw[0].x: was 1, is 2"]:
        unnoticed.append("a golden file that differs was taken")
    page = (REPOSITORY / "gateway" / "DIALECTS.md").read_text()
    unnoticed += [f"gateway/DIALECTS.md does not say: {line}" for line in impossible.unwritten(page)]
    framework_rows, texts = frameworks.unnoticed() if with_frameworks else (0, [])
    unnoticed += texts
    rows = len(ANSWERS) + len(REQUESTS) + len(REFUSED) + 3 + framework_rows
    for text in unnoticed:
        print(text)
    print(f"matrix selftest: {rows - len(unnoticed)} passed, {len(unnoticed)} failed")
    return 1 if unnoticed else 0


def damaged(cell, aspect, **how):
    """Runs one cell with damage; what was not noticed, if anything."""
    with Provider(**how) as provider:
        call = cells.python_caller(provider.url, KEY)
        outcome = cells.run(cell, provider, call, story.upstream_model(cell[1], cell[2]))
    noticed = [text.partition(":")[0] for text in outcome.failures]
    return [] if aspect in noticed else [f"{outcome.name}: {aspect} held; failed: {outcome.failures}"]
