#!/usr/bin/env python3
"""Tests of the replay itself, on recordings written by hand: the judge finds each fault and nothing else, and a run
against a gateway fails when one byte, one figure or one status differs.

WEIR_BIN names the gateway, as for `run`.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True

import arrival  # noqa: E402
import expected  # noqa: E402
import tokens  # noqa: E402
import verdict  # noqa: E402
from exchange import Arrival, Exchange, Line, Seen, lines  # noqa: E402
from gateway import held  # noqa: E402
from homes import HOMES, shown  # noqa: E402
from members import cuts, value_of, with_value  # noqa: E402
from provider import pieces  # noqa: E402
from recordings import elsewhere, read, recording_of  # noqa: E402
from selftest_across import Across, AcrossRun, Refusals  # noqa: E402, F401: they are run with these

COUNTS = '{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}'
PLAIN = f'{{"id":"c","model":"m-1","choices":[{{"message":{{"content":"one é"}}}}],\n "usage":{COUNTS}}}'
TEXT = 'data: {"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":null}]}\n\n'
LAST = 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
STREAM = f': hello\n\n{TEXT}{LAST}data: {{"choices":[],"usage":{COUNTS}}}\n\ndata: [DONE]\n\n'
SAID = '[ {"role":"user","content":"a"} ]'
ASKED = f'{{"stream_options": {{"include_usage": true, "x": 1}},\n "messages": {SAID}, "stream" : true, "model":"m-1" }}'
UNASKED = '{ "messages":[{"content":"\\u00e9 \\"model\\":\\"m-1\\"","role":"user"}], "model": "m-1", "stream":true}'
STRICT = (
    '{"model":"m-1","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":9,"messages":['
    '{"role":"developer","content":"é"},{"role":"assistant","tool_calls":[{"id":"call_1","type":"function",'
    '"function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"one"}]}'
)
CHAT = '{"model":"m-1","messages":[{"role":"user","content":"é"}]}'
SPENT = '{"error":{"message":"The key of organisation acme is not valid any more","type":"x","code":"y"}}'
WRONG = '{"error": {"message": "No.", "type": "invalid_request_error", "param": "top_k", "code": null}}'
BUSY = '{"error":{"message":"Limit of organisation acme reached: 10 per minute","type":"rate_limit","code":null}}'
MADE = (
    '{"id":"resp_%s","object":"response","output":[{"content":[{"text":"one"}]}],'
    '"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7}}'
)
CLAUDE = '{"max_tokens":9, "messages":[{"role":"user","content":"\u00e9"}],\n "model":"claude-1","stream": true}'
CLAUDE_STREAM = (
    'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":5,'
    '"cache_read_input_tokens":4,"output_tokens":1}}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    '"content_block":{"type":"text","text":""}}\n\n'
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    '"delta":{"type":"text_delta","text":"one"}}\n\n'
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    '"usage":{"output_tokens":3}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
CLAUDE_WRONG = '{"type": "error","error":{"type":"invalid_request_error","message":"No."},"request_id":"req_1"}'
GOOGLE = '{"contents":[{"role":"user", "parts":[{"text":"é"}]}]}'
GOOGLE_PART = '"candidates":[{"content":{"role":"model","parts":[{"text":"one"}]}}]'
GOOGLE_END = '"candidates":[{"content":{"role":"model","parts":[{"text":"."}]},"finishReason":"STOP"}]'
GOOGLE_COUNTS = '"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":1}'
GOOGLE_STREAM = f'data: {{{GOOGLE_PART}}}\r\n\r\ndata: {{{GOOGLE_END},{GOOGLE_COUNTS}}}\r\n\r\n'
GOOGLE_BUSY = '{"error":{"code":429,"message":"Limit of project acme reached: 10","status":"RESOURCE_EXHAUSTED"}}'
ASK_RESPONSE = '{"model":"m-1","input":"one"}'
CONTINUE = '{"previous_response_id":"resp_a","model":"m-1","input":"two"}'


def raw(name, request, body, endpoint="chat_completions", status=200, **more):
    """A line of a file of recordings."""
    stream = body.startswith((":", "data", "event"))
    path = more.pop("path", f"/v1/{endpoint.replace('_', '/')}")
    method, query = more.pop("method", "POST"), more.pop("query", [])
    kind = "text/event-stream" if stream else "application/json"
    return {
        "id": name, "provider": more.pop("provider", "openai"), "endpoint": endpoint,
        "model": more.pop("model", "m-1"), "stream": stream,
        "fidelity": "raw" if request is not None else "response-only",
        "request": {"method": method, "path": path, "query": query, "headers": {}, "body": request,
                    "body_encoding": "utf8"},
        "response": {"status": status, "headers": {"content-type": [kind], "x-secret-of-account": ["acme"], **more},
                     "body": body, "body_encoding": "utf8"},
    }  # fmt: skip


def recordings():
    """One of each kind."""
    again = {"endpoint": "responses_get", "method": "GET", "path": "/v1/responses/resp_b"}
    azure = {"provider": "azure_openai", "path": "//openai/deployments/m-1/chat/completions"}
    claude = {"provider": "anthropic", "endpoint": "messages", "path": "/v1/messages", "model": "claude-1"}
    google = {"provider": "google_ai", "endpoint": "generateContent", "path": "/v1beta/models/m-1:generateContent"}
    events = {**google, "endpoint": "streamGenerateContent", "query": [["alt", "sse"]]}
    return [
        raw("claude", CLAUDE, CLAUDE_STREAM, **claude),
        raw("claude-refused", CLAUDE, CLAUDE_WRONG, status=400, **claude),
        raw("google", GOOGLE, f"{{{GOOGLE_END}, {GOOGLE_COUNTS}}}", **google),
        raw("google-stream", GOOGLE, GOOGLE_STREAM, **events),
        raw("google-busy", GOOGLE, GOOGLE_BUSY, status=429, **google),
        raw("plain", CHAT, PLAIN),
        raw("azure", CHAT, PLAIN, query=[["api-version", "1"]], **azure),
        raw("asked", ASKED, STREAM),
        raw("unasked", UNASKED, STREAM),
        raw("strict", STRICT, STREAM, provider="mistral"),
        raw("crlf", UNASKED, STREAM.replace("\n", "\r\n")),
        raw("only-the-answer", None, STREAM),
        raw("wrong", CHAT, WRONG, status=400),
        raw("spent", CHAT, SPENT, status=401),
        raw("busy", CHAT, BUSY, status=429, **{"retry-after": ["3"]}),
        raw("broken", CHAT, SPENT, status=500),
        raw("text", '{"prompt":"a","model":"m-1","stream":true}', STREAM, "completions"),
        raw("vectors", '{"input":"a","model":"m-1"}', '{"data":[],"usage":{"prompt_tokens":2}}', "embeddings"),
        raw("next", CONTINUE, MADE % "b", "responses"),
        raw("made", ASK_RESPONSE, MADE % "a", "responses"),
        raw("again", "", MADE % "b", **again),
    ]


def played(name):
    """The exchange of a recording as it should be seen."""
    line = Line(7)
    all_of = [guise for one in map(recording_of, recordings()) for guise in [one, *elsewhere(one)]]
    exchange = Exchange(next(one for one in all_of if one.id == name), line)
    line.exchanges.append(exchange)
    recording, wanted = exchange.recording, expected.refusal(exchange.recording)
    sent = exchange.body_for(line.upstream_model)
    if arrival.added_usage(exchange):
        sent = with_value(sent.decode(), "stream_options", '{"include_usage":true}').encode()
    if (fitted := arrival.fitted(exchange)) is not None:
        sent = json.dumps(fitted).replace('"call_1"', '"abcdefgh1"').encode()
    key = HOMES[recording.home].key
    shows = {key.title(): shown(key, line.key)}
    shows |= {"anthropic-version": "2023-06-01"} if recording.home == "anthropic" else {}
    came = Arrival("POST", f"/7{exchange.place}", "", shows, sent)
    used = tokens.used(recording) or tokens.Usage(0, 0, 0)
    served = recording.status == 200
    body = expected.answer(recording, exchange.asks_usage) if served else recording.body
    if not served and wanted.code:
        where = {"messages": "type", "generateContent": "status"}.get(recording.endpoint, "code")
        body = json.dumps({"error": {"message": "Sorry.", where: wanted.code}}).encode()
    log = {"status": recording.status if served else wanted.status, "deployment": line.model}
    log |= {"input_tokens": used.input, "cached_tokens": used.cached, "output_tokens": used.output}
    headers = {"content-type": recording.headers["content-type"][0], "x-request-id": "ours"}
    headers |= {"retry-after": "3"} if wanted.waits else {"x-should-retry": "false"}
    exchange.seen = Seen(log["status"], headers, body, None, [came], [log])
    return exchange


class Judge(unittest.TestCase):
    """What is as it should be has no fault; each change has exactly the fault that it is."""

    def check(self, name, change, *found):
        exchange = played(name)
        self.assertEqual(verdict.faults(exchange), [], name)
        change(exchange.seen)
        self.assertEqual([fault for fault, _ in verdict.faults(exchange)], list(found), name)

    def set(self, name, found, **fields):
        self.check(name, lambda seen: [setattr(seen, field, value) for field, value in fields.items()], *found)

    def test_an_answer_that_differs(self):
        for body in (PLAIN[:-1], PLAIN.replace("one", "two"), PLAIN + " ", PLAIN.replace("\n ", "")):
            self.set("plain", ["answer"], body=body.encode())
        self.set("asked", ["answer"], body=STREAM.replace("\n\ndata: [DONE]\n\n", "").encode())
        self.set("crlf", ["answer"], body=STREAM.encode())
        self.set("plain", ["answer"], broken="it ended early")

    def test_a_usage_chunk_withheld_or_shown_wrongly(self):
        without = expected.answer(recording_of(raw("x", UNASKED, STREAM)), False)
        self.assertEqual(without.decode(), f": hello\n\n{TEXT}{LAST}data: [DONE]\n\n")
        self.set("asked", ["answer"], body=without)
        self.set("unasked", ["answer"], body=STREAM.encode())

    def test_a_request_that_changed(self):
        def becomes(change):
            return lambda seen: setattr(seen.arrivals[0], "body", change(seen.arrivals[0].body))

        for change in (lambda b: b + b" ", lambda b: b.replace(b"m-1", b"replay-7"), lambda b: b.replace(b"\xc3", b"")):
            self.check("plain", becomes(change), "request")
        for change in (
            lambda b: b.replace(b"true", b"false", 1),
            lambda b: b.replace(b" ", b"", 1),
            lambda b: with_value(b.decode(), "stream_options", '{"include_usage":true,"x":2}').encode(),
            lambda b: UNASKED.encode(),
        ):
            self.check("unasked", becomes(change), "request")
        self.check("asked", becomes(lambda b: b.replace(b' "x": 1', b"")), "request")
        self.check("plain", lambda seen: seen.arrivals.append(seen.arrivals[0]), "request")
        self.check("plain", lambda seen: seen.arrivals.clear(), "request")
        self.check("again", lambda seen: setattr(seen.arrivals[0], "query", "a=1"), "request")

    def test_a_request_that_its_provider_does_not_take(self):
        def check(a, b, *found):
            def change(seen):
                self.assertIn(a, seen.arrivals[0].body)
                seen.arrivals[0].body = seen.arrivals[0].body.replace(a, b)

            self.check("strict/own", change, *found)

        check(b'"content": "one"', b'"content" : [{"type": "text", "text": "one"}]')
        check(b'"stream": true', b'"stream": true, "stream_options": {"include_usage": true}', "request", "request")
        check(b'"max_tokens"', b'"max_completion_tokens"', "request", "request")
        check(b'"max_tokens": 9', b'"max_tokens": 8', "request")
        check(b'"system"', b'"developer"', "request", "request")
        check(b'"abcdefgh1"', b'"call_1"', "request")
        check(b'"tool_call_id": "abcdefgh1"', b'"tool_call_id": "abcdefgh2"', "request")

    def test_the_same_of_other_makers(self):
        for name, text in [("claude", CLAUDE_STREAM), ("google-stream", GOOGLE_STREAM)]:
            self.set(name, ["answer"], body=text.replace("one", "two").encode())
            self.check(name, lambda seen: seen.arrivals[0].headers.update(Authorization="Bearer x"), "headers")
            self.check(name, lambda seen: setattr(seen.arrivals[0], "body", seen.arrivals[0].body + b" "), "request")
            self.check(name, lambda seen: seen.log[0].update(output_tokens=2), "usage")
        self.check("claude", lambda seen: seen.arrivals[0].headers.pop("anthropic-version"), "headers")
        self.set("claude-refused", ["answer"], body=WRONG.encode())
        self.set("google-busy", ["refusal"], body=b'{"error":{"status":"INTERNAL"}}')
        self.set("google-busy", ["leak"], body=GOOGLE_BUSY.encode())

    def test_streams_in_another_guise(self):
        def seen_as(found, body, kind="application/json"):
            played_one = played("google-stream")
            played_one.recording.array, played_one.seen.body = True, body.encode()
            played_one.seen.headers["content-type"] = kind
            self.assertEqual([fault for fault, _ in verdict.faults(played_one)], found)

        elements = f"[{{{GOOGLE_PART}}},\n{{{GOOGLE_END},{GOOGLE_COUNTS}}}]"
        seen_as([], elements)
        seen_as(["headers"], elements, "text/event-stream")
        for wrong in (elements[:-1], elements.replace("one", "two"), f"[{{{GOOGLE_PART}}}]"):
            seen_as(["answer"], wrong)

    def test_keys_and_words_that_leak(self):
        self.check("plain", lambda seen: seen.arrivals[0].headers.update(Authorization="Bearer sk-x"), "headers")
        self.check("plain", lambda seen: seen.arrivals[0].headers.update(X="sk-of-the-client"), "headers")
        told = {"x-secret-of-account": "acme", "x-request-id": "upstream-canary", "x": "sk-of-account-7"}
        for name, value in told.items():
            self.check("plain", lambda seen, n=name, v=value: seen.headers.update({n: v}), "leak")
        quote = b'{"error":{"code":"upstream_failed","message":"the KEY of organisation acme"}}'
        self.set("spent", ["leak"], body=quote)

    def test_a_refusal_told_wrongly(self):
        self.set("wrong", ["status", "log"][::-1], status=502)
        self.set("wrong", ["answer"], body=b"{}")
        self.set("spent", ["log", "status"], status=401)
        self.set("broken", ["refusal"], body=b'{"error":{"code":"x"}}')
        self.check("broken", lambda seen: seen.headers.pop("x-should-retry"), "headers")
        self.check("busy", lambda seen: seen.headers.update({"retry-after": "0"}), "headers")
        own = {"type": "invalid_request_error", "param": "top_k"}
        self.set("wrong", [], arrivals=[], body=json.dumps({"error": own}).encode())
        self.set("wrong", ["refusal"], arrivals=[], body=json.dumps({"error": {**own, "param": "n"}}).encode())

    def test_a_log_that_tells_something_else(self):
        for field in ("input_tokens", "cached_tokens", "output_tokens"):
            self.check("unasked", lambda seen, f=field: seen.log[0].update({f: seen.log[0][f] + 1}), "usage")
        self.check("plain", lambda seen: seen.log.append(seen.log[0]), "log")
        self.check("plain", lambda seen: seen.log[0].update(deployment="another"), "log")

    def test_what_was_posted_and_what_is_held(self):
        line = played("plain").line
        right = {("deployment/replay-7", "requests"): 1, ("deployment/replay-7", "tokens"): 12}
        self.assertEqual(list(verdict.settled(line, right)), [])
        for key in right:
            self.assertEqual([fault for fault, _ in verdict.settled(line, {**right, key: 13})], ["settled"])
        meter = {"kind": "tokens", "held": 0, "used": 5}
        state = {"pools": [{"name": "p", "meters": [meter]}], "pending": 0}
        self.assertEqual(held(state), [])
        meter["held"] = 1
        self.assertEqual(held({**state, "pending": 2}), ["p: 1 tokens held", "2 reservations pending"])


class Reading(unittest.TestCase):
    """The small readers."""

    def test_members_are_changed_where_they_stand(self):
        text = ' { "a" : {"model":"x"}, "model" : "m" , "z":[1,"]"] } '
        self.assertEqual(with_value(text, "model", '"n"'), ' { "a" : {"model":"x"}, "model" : "n" , "z":[1,"]"] } ')
        self.assertEqual(value_of(text, "z"), '[1,"]"]')
        self.assertEqual(with_value("{}", "model", "1"), '{"model":1}')
        self.assertIn('{"a":1,"c":3}', cuts('{"a":1,"b":2,"c":3}', "b"))
        self.assertEqual(cuts('{"b":2}', "b"), {"{}"})

    def test_the_total_has_the_last_word(self):
        def check(text, *usage):
            self.assertEqual(tokens.counted(json.loads(text)), tokens.Usage(*usage))

        check(COUNTS, 9, 4, 3)
        check('{"input_tokens":5,"output_tokens":2,"input_tokens_details":{"cached_tokens":1}}', 5, 1, 2)
        reasoning = '"completion_tokens_details":{"reasoning_tokens":7}'
        check(f'{{"prompt_tokens":5,"completion_tokens":2,"total_tokens":14,{reasoning}}}', 5, 0, 9)
        check('{"prompt_tokens":5,"completion_tokens":2,"total_tokens":400}', 398, 0, 2)
        self.assertIsNone(tokens.counted({}))

    def test_what_is_made_comes_before_what_continues_it(self):
        found = lines([recording_of(one) for one in recordings()])
        tied = [[e.recording.id for e in line.exchanges] for line in found if len(line.exchanges) > 1]
        unasked = [[name, f"{name}/unasked"] for name in ("asked", "strict")]
        self.assertEqual(tied, [*unasked, ["made", "next", "again"]])

    def test_pieces_have_their_size(self):
        body = bytes(range(256)) * 40
        for size in (1, 7, 4096):
            wire, at, sizes = b"".join(pieces(body, size, False)), 0, []
            while length := int(wire[at : wire.index(b"\r\n", at)], 16):
                at = wire.index(b"\r\n", at) + 2 + length + 2
                sizes.append(length)
            self.assertEqual((set(sizes[:-1]), sum(sizes)), ({size}, len(body)))
        self.assertEqual(b"".join(pieces(body, 4096, True)), body)


class Run(unittest.TestCase):
    """The whole, against a gateway."""

    def run_it(self, *flags, traffic=True):
        with tempfile.TemporaryDirectory() as folder:
            text = "".join(json.dumps(one) + "\n" for one in recordings())
            Path(folder, "openai.jsonl").write_text(text, encoding="utf-8")
            environment = {name: value for name, value in os.environ.items() if name != "WEIR_TRAFFIC"}
            environment |= {"WEIR_TRAFFIC": folder} if traffic else {}
            command = [sys.executable, Path(__file__).with_name("run"), "--part", "same", *flags]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        failed = re.findall(r"^FAILED (\S+) at (\d+): (\w+):", done.stdout, re.M)
        return done.returncode, failed, done.stdout + done.stderr

    def test_it_passes_and_says_what_it_replayed(self):
        code, failed, said = self.run_it()
        self.assertEqual((code, failed), (0, []), said)
        own = 15 + 5  # at OpenAI's and Mistral's own presets; OpenAI's at Mistral's
        times = 3 * (len(recordings()) + own + 3 + 2 + 1 + 1)  # usage unasked in each guise, Claude on Vertex, an array
        self.assertIn(f"replay: {times} exchanges, passed = {times}, impossible = 0, failed = 0", said)

    def test_it_fails_when_the_provider_plays_something_else(self):
        kinds = {"byte": [("plain", "answer")], "status": [("wrong", "status")]}
        kinds["usage"] = [("plain", "usage"), ("plain", "answer"), ("plain", "settled")]
        rows = [*kinds.items(), ("byte", [("google-stream", "answer")]), ("byte", [("claude", "answer")])]
        for kind, wanted in rows:
            code, failed, said = self.run_it("--only", wanted[0][0], "--size", "7", "--spoil", kind)
            found = {(name.split("/")[0], fault) for name, _, fault in failed}
            self.assertEqual((code, found), (1, set(wanted)), said)

    def test_it_fails_with_nothing_to_replay(self):
        self.assertEqual(self.run_it("--only", "no such recording")[0], 1)

    def test_without_traffic_it_says_so(self):
        code, _, said = self.run_it(traffic=False)
        self.assertEqual((code, said), (0, "replay: skipped: WEIR_TRAFFIC is not set\n"))


if __name__ == "__main__":
    unittest.main()
