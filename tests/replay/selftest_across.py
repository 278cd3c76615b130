"""Tests of what is played across dialects, on recordings written by hand: `selftest.py` runs them."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from across import frames, impossible, judge, pieces, refusals, streams
from across.readers import READERS
from across.served import served

DIALECTS_PAGE = Path(__file__).resolve().parents[2] / "gateway" / "DIALECTS.md"
HERE = Path(__file__).resolve().parent
ARGUMENTS = '{\\"city\\":\\"York\\"}'
# The same answer in each dialect: "one fine day", a call of `weather`, 9 tokens in of which 4 cached, 3 out.
CHAT = (
    '{"id":"c","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"logprobs":null,"message":'
    '{"role":"assistant","refusal":null,"content":"one fine day","tool_calls":[{"id":"t_1","type":"function","function":'
    f'{{"name":"weather","arguments":"{ARGUMENTS}"}}}}]}},"finish_reason":"tool_calls"}}],'
    '"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}'
)
RESPONSES = (
    '{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m-1","output":['
    '{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text",'
    '"text":"one fine day","annotations":[]}]},{"type":"function_call","id":"fc_1","call_id":"t_1","name":"weather",'
    f'"arguments":"{ARGUMENTS}","status":"completed"}}],"usage":{{"input_tokens":9,"output_tokens":3,"total_tokens":12,'
    '"input_tokens_details":{"cached_tokens":4},"output_tokens_details":{"reasoning_tokens":0}}}'
)
MESSAGES = (
    '{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"one fine day"},'
    '{"type":"tool_use","id":"t_1","name":"weather","input":{"city":"York"}}],"stop_reason":"tool_use",'
    '"stop_sequence":null,"usage":{"input_tokens":5,"cache_read_input_tokens":4,"output_tokens":3}}'
)
GEMINI = (
    '{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"one fine day"},{"functionCall":'
    '{"name":"weather","args":{"city":"York"}}}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,'
    '"cachedContentTokenCount":4,"candidatesTokenCount":3,"totalTokenCount":12}}'
)
CONVERSE = (
    '{"output":{"message":{"role":"assistant","content":[{"text":"one fine day"},{"toolUse":{"toolUseId":"t_1",'
    '"name":"weather","input":{"city":"York"}}}]}},"stopReason":"tool_use","usage":{"inputTokens":5,'
    '"cacheReadInputTokens":4,"outputTokens":3,"totalTokens":12}}'
)
WHOLE = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES, "gemini": GEMINI, "converse": CONVERSE}
ENDPOINTS = {"chat": "chat_completions", "gemini": "generateContent"}
PROVIDERS = {"chat": "openai", "responses": "openai", "messages": "anthropic", "gemini": "google_ai"}
EVENTS = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "one fine day"}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}}},
]
TEXT = 'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"one fine day"},"finish_reason":null}]}\n\n'
FAILED = f'{TEXT}data: {{"error":{{"message":"It broke.","type":"server_error"}}}}\n\n'
GONE = '{"error":{"message":"Model m-1 not found","type":"invalid_request_error","code":"model_not_found"}}'


def raw(name, dialect, body, status=200, stream=False, **more):
    """A line of a file of recordings."""
    kind = "text/event-stream" if stream else "application/json"
    endpoint = more.get("endpoint", ENDPOINTS.get(dialect, dialect))
    return {
        "id": name, "provider": PROVIDERS.get(dialect, "bedrock"), "endpoint": endpoint,
        "model": "m-1", "stream": stream,
        "fidelity": "response-only",
        "request": {"method": "POST", "path": "/", "query": [], "headers": {}, "body": None, "body_encoding": None},
        "response": {"status": status, "headers": {"content-type": [kind]}, "body": body, "body_encoding": "utf8"},
    }  # fmt: skip


def recordings():
    """One of each kind."""
    lines = "\n".join(json.dumps(event) for event in EVENTS)
    return [
        *(raw(dialect, dialect, body) for dialect, body in WHOLE.items()),
        raw("frames", "converse", lines, stream=True, endpoint="converse_stream"),
        raw("failed", "chat", FAILED, stream=True),
        raw("gone", "chat", GONE, 404),
    ]


def one(name):
    """That recording as it is served."""
    return next(iter(served(next(line for line in recordings() if line["id"] == name))))


class Across(unittest.TestCase):
    """An answer that means the same has no fault; each change has exactly the fault that it is."""

    def test_the_same_answer_means_the_same_in_every_dialect(self):
        for name in WHOLE:
            meaning = one(name).means
            told = (meaning.text, meaning.calls, meaning.finish, tuple(vars(meaning.usage).values()))
            self.assertEqual(told, ("one fine day", [("weather", {"city": "York"})], "calls", (9, 4, 3)), name)

    def test_each_change_is_noticed_for_every_client(self):
        changes = {"text": ("one fine", "one find"), "calls": ("York", "Cork"), "usage": (":3", ":4")}
        for client, body in WHOLE.items():
            if client == "converse":
                continue
            of = one("converse")
            self.assertEqual([*judge.faults(of, client, json.loads(body))], [], client)
            for fault, (before, after) in changes.items():
                changed = json.loads(body.replace(before, after))
                self.assertEqual([name for name, _ in judge.faults(of, client, changed)], [fault], client)
        incomplete = '"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"model'
        cut = {"chat": ('tool_calls"}', 'length"}'), "gemini": ("STOP", "MAX_TOKENS")}
        cut |= {"messages": ('"tool_use","stop_s', '"max_tokens","stop_s')}
        cut |= {"responses": ('"status":"completed","model', incomplete)}
        for client, (before, after) in cut.items():
            changed = json.loads(WHOLE[client].replace(before, after))
            self.assertEqual([name for name, _ in judge.faults(one("converse"), client, changed)], ["finish"], client)

    def test_a_failed_stream_must_not_end_as_if_whole(self):
        self.assertTrue(one("failed").fails)
        self.assertEqual([name for name, _ in judge.faults(one("failed"), "chat", json.loads(CHAT))], ["failure"])
        failed = {"status": "failed", "output": []}
        self.assertEqual([*judge.faults(one("failed"), "responses", failed)], [])

    def test_ends_without_a_word(self):
        of = one("gemini")
        of.body = of.body.replace(b"STOP", b"FAKE").replace(b"functionCall", b"else")
        answer = MESSAGES.replace('"type":"tool_use"', '"type":"else"')
        for word, found in {"end_turn": [], "refusal": [], "max_tokens": ["finish"]}.items():
            changed = json.loads(answer.replace('"stop_reason":"tool_use"', f'"stop_reason":"{word}"'))
            self.assertEqual([name for name, _ in judge.faults(of, "messages", changed)], found, word)

    def test_thoughts_that_nobody_had(self):
        thinking = '"content":[{"type":"thinking","thinking":"Hm."},'
        changed = json.loads(MESSAGES.replace('"content":[', thinking, 1))
        self.assertEqual([name for name, _ in judge.faults(one("gemini"), "messages", changed)], ["thought"])

    def test_events_that_do_not_go_together(self):
        start = {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}
        self.assertRaises(streams.Torn, streams.messages, [start])
        told = {"type": "response.output_text.delta", "delta": "two"}
        last = {"type": "response.completed", "response": json.loads(RESPONSES)}
        self.assertRaises(streams.Torn, streams.responses, [told, last])
        self.assertRaises(streams.Torn, streams.responses, [told])

    def test_calls_in_pieces(self):
        def piece(path, value, **more):
            partial = {"jsonPath": path, "stringValue": value}
            return {"functionCall": {"partialArgs": [partial], "willContinue": True, **more}}

        parts = [piece("$.a.b[1].c", "x", name="f"), piece("$.a.b[1].c", "y"), {"functionCall": {}}, {"text": "t"}]
        call = {"name": "f", "args": {"a": {"b": [{}, {"c": "xy"}]}}}
        self.assertEqual(pieces.joined(parts), [{"functionCall": call}, {"text": "t"}])

    def test_what_is_impossible_stands_in_the_page_on_dialects(self):
        page = DIALECTS_PAGE.read_text(encoding="utf-8")
        for what, words in impossible.SAID.items():
            self.assertIn(words, page, what)
        queued = one("responses")
        queued.body = queued.body.replace(b'"completed","model', b'"queued","model')
        self.assertIn("background", impossible.unfit(queued))
        queued.body = CHAT.encode()
        self.assertIn("no answer of Responses", impossible.unfit(queued))
        self.assertEqual([impossible.unfit(one(name)) for name in (*WHOLE, "frames", "failed")], [None] * 7)

    def test_frames_are_read_as_they_are_written(self):
        self.assertEqual(frames.events(b"".join(map(frames.write, EVENTS))), EVENTS)
        self.assertEqual(READERS["converse"](streams.converse(EVENTS)).text, "one fine day")


class Refused:
    """An exception as the SDKs have them."""

    def __init__(self, status, body):
        self.status_code, self.body = status, body


class Refusals(unittest.TestCase):
    """A refusal told as the contract says has no fault; each change has."""

    def faults(self, client, status, body):
        return [name for name, _ in refusals.faults(one("gone"), client, Refused(status, body))]

    def test_each_voice(self):
        error = {"type": "not_found_error", "message": "Model m-1 not found"}
        self.assertEqual(self.faults("messages", 404, {"error": error}), [])
        self.assertEqual(self.faults("messages", 502, {"error": error}), ["status"])
        self.assertEqual(self.faults("messages", 404, {"error": {**error, "type": "api_error"}}), ["type"])
        self.assertEqual(self.faults("messages", 404, {"error": {**error, "message": "No."}}), ["message"])
        self.assertEqual(self.faults("messages", 404, {"error": error, "of": "sk-of-the-account"}), ["leak"])
        google = {"code": 404, "status": "NOT_FOUND", "message": "Model m-1 not found"}
        self.assertEqual(self.faults("gemini", 404, {"error": google}), [])
        self.assertEqual(self.faults("gemini", 404, {"error": {**google, "code": 400}}), ["code"])
        self.assertEqual(self.faults("chat", 404, {**json.loads(GONE)["error"], "code": "other"}), ["code"])


class AcrossRun(unittest.TestCase):
    """The whole, by the SDKs and against a gateway."""

    def run_it(self, *flags):
        with tempfile.TemporaryDirectory() as folder:
            text = "".join(json.dumps(line) + "\n" for line in recordings())
            Path(folder, "all.jsonl").write_text(text, encoding="utf-8")
            command = [sys.executable, HERE / "run", "--part", "across", "--full", *flags]
            environment = {**os.environ, "WEIR_TRAFFIC": folder}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        failed = set(re.findall(r"^FAILED (\S+) for \w+: (\w+):", done.stdout, re.M))
        return done.returncode, failed, done.stdout + done.stderr

    def test_it_passes(self):
        code, failed, said = self.run_it()
        self.assertEqual((code, failed), (0, set()), said)
        self.assertIn("across: 27 calls, passed = 27, impossible = 0, failed = 0", said)

    def test_it_fails_when_the_provider_plays_something_else(self):
        spoils = {"letter": ("chat", "text"), "argument": ("responses", "calls"), "count": ("messages", "usage")}
        spoils |= {"end": ("gemini", "finish"), "class": ("gone", "status")}
        for spoil, (name, fault) in spoils.items():
            code, failed, said = self.run_it("--only", name, "--spoil", spoil)
            self.assertEqual((code, failed), (1, {(name, fault)}), said)

    def test_it_fails_with_nothing_to_ask(self):
        self.assertEqual(self.run_it("--only", "no such recording")[0], 1)
