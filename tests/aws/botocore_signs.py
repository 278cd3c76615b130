#!/usr/bin/env python3
"""Compares the signatures that Weir makes for Bedrock with those that botocore makes.

    botocore_signs.py COMMAND...    runs COMMAND, which signs a table, and compares
    botocore_signs.py --selftest    shows that a wrong answer is noticed, without COMMAND

botocore signs a table of requests: some made by its own Bedrock client, whose sending is stopped, some by hand. The table goes
to the file $WEIR_SIGN_TABLE without what the signature added, but with the time that botocore took. COMMAND writes the headers
of each request to $WEIR_SIGN_ANSWERS; `cargo test ... -- --ignored --exact
upstream::auth::aws::signature::tests::signs_a_table` does so. Needs the packages in `requirements`, no network and no account.
"""

import copy
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

REGION = "eu-central-1"
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE/+="
TOKEN = "IQoJb3JpZ2luX2VjE//wEaCXVzLWVhc3QtMSJHMEUCIQ+/=="
ADDED = ("authorization", "x-amz-date", "x-amz-security-token")
LATER = ("amz-sdk-invocation-id", "amz-sdk-request", "content-length")  # what its client adds after it has signed
HOST = f"https://bedrock-runtime.{REGION}.amazonaws.com"

MODELS = [
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "openai.gpt-oss-120b-1:0",
    "meta.llama3-1-8b-instruct-v1:0:128k",
    "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0",
    "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123def456",
    "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/an-endpoint",
]
MESSAGES = [{"role": "user", "content": [{"text": "Größe? 日本 \u0000 \" \\ 😀"}]}]

# Method, URL, headers in order, body: what the client above does not produce.
BY_HAND = [
    ("POST", f"{HOST}/model/a.b-v1:0/converse", [], b"{}"),
    ("POST", f"{HOST}/model/a.b-v1%3A0/converse", [], b"{}"),
    ("POST", f"{HOST}/model/arn%3Aaws%3Abedrock%3A%3A%3Aa%2Fb/invoke", [("content-type", "application/json")], b"[]"),
    ("POST", f"{HOST}/model/with%20space%25percent~tilde*star(paren)!'/invoke", [], b"x"),
    ("GET", f"{HOST}", [], b""),
    ("GET", f"{HOST}/", [], b""),
    ("GET", f"{HOST}//a/./b/../c//", [], b""),
    ("GET", f"{HOST}/a/..", [], b""),
    ("GET", f"{HOST}/foundation-models?byProvider=x&byOutputModality=TEXT", [], b""),
    ("GET", f"{HOST}/p?b=2&a=1&a=0&A=3&a-b=4&a%2Fb=5&empty=&c%20d=%C3%A9~", [], b""),
    ("GET", f"{HOST}:8443/p", [], b""),
    ("GET", "http://127.0.0.1:8080/p", [], b""),
    ("GET", "http://127.0.0.1:80/p", [], b""),
    ("POST", f"{HOST}/p", [("x-many", "b"), ("x-many", "a"), ("x-many", "b")], b"body"),
    ("POST", f"{HOST}/p", [("x-space", "  a   b \t c  "), ("x-quoted", '"a   b"'), ("x-empty", "")], b"body"),
    ("POST", f"{HOST}/p", [("X-MiXed-Case", "Value"), ("x_under.score", "1"), ("a", "1"), ("z", "2")], b"body"),
    (
        "POST",
        f"{HOST}/p",
        [("user-agent", "weir"), ("traceparent", "00-1"), ("tracestate", "a=b"), ("connection", "close"), ("te", "x"),
         ("expect", "100-continue"), ("x-amzn-trace-id", "Root=1"), ("accept-encoding", "gzip"), ("accept", "*/*")],
        b"body",
    ),
    ("POST", f"{HOST}/p", [("host", "another.example:1")], b"body"),
    ("POST", f"{HOST}/p", [("x-amzn-bedrock-guardrailidentifier", "g"), ("x-amzn-bedrock-trace", "ENABLED")], b"{}"),
    ("PUT", f"{HOST}/p", [], bytes(range(256)) * 300),
    ("DELETE", f"{HOST}/p", [], b""),
]


class Stopped(Exception):
    """Instead of sending."""


def by_client(token):
    """Requests as botocore's own client makes and signs them."""
    session = botocore.session.Session()
    config = Config(retries={"total_max_attempts": 1}, signature_version="v4")
    client = session.create_client("bedrock-runtime", REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                                   aws_session_token=token, config=config)
    taken = []

    def stop(request, **_):
        taken.append(request)
        raise Stopped

    client.meta.events.register("before-send.bedrock-runtime", stop)
    for model in MODELS:
        for call in (
            lambda: client.converse(modelId=model, messages=MESSAGES),
            lambda: client.converse_stream(modelId=model, messages=MESSAGES),
            lambda: client.invoke_model(modelId=model, body=b'{"a":1}', trace="ENABLED"),
            lambda: client.invoke_model_with_response_stream(modelId=model, body=b"{}", accept="*/*"),
        ):
            try:
                call()
            except Stopped:
                pass
    rows = []
    for sent in taken:
        headers = [(name, value) for name, value in sent.headers.items() if name.lower() not in LATER]
        rows.append(row(sent.method, sent.url, headers, sent.body or b"", token))
    return rows


def by_hand(token):
    """Requests that are signed as they stand."""
    rows = []
    for method, url, headers, body in BY_HAND:
        request = AWSRequest(method=method, url=url, data=body)
        for name, value in headers:
            request.headers.add_header(name, value)
        SigV4Auth(Credentials(KEY, SECRET, token), "bedrock", REGION).add_auth(request)
        rows.append(row(method, url, request.headers.items(), body, token))
    return rows


def row(method, url, headers, body, token):
    """What is signed, and what botocore added."""
    text = [(name.lower(), value.decode() if isinstance(value, bytes) else value) for name, value in headers]
    added = {name: value for name, value in text if name in ADDED}
    time = datetime.strptime(added["x-amz-date"], "%Y%m%dT%H%M%SZ").strftime("%Y-%m-%dT%H:%M:%SZ")
    request = {
        "method": method,
        "url": url,
        "headers": [pair for pair in text if pair[0] not in ADDED],
        "body_hex": bytes(body).hex(),
        "region": REGION,
        "service": "bedrock",
        "time": time,
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "session_token": token,
    }
    return request, added


def differences(rows, answers):
    """One line for each answer that is not botocore's."""
    if len(rows) != len(answers):
        return [f"{len(rows)} requests, but {len(answers)} answers"]
    found = []
    for (request, added), headers in zip(rows, answers):
        ours = {name: value for name, value in headers if name in ADDED}
        if ours != added:
            found.append(f"{request['method']} {request['url']}\n  botocore {added}\n  weir     {ours}")
    return found


def compare(rows, command):
    """Runs the command on the table."""
    with tempfile.TemporaryDirectory() as folder:
        table, answers = Path(folder, "table.json"), Path(folder, "answers.json")
        table.write_text(json.dumps([request for request, _ in rows]))
        env = os.environ | {"WEIR_SIGN_TABLE": str(table), "WEIR_SIGN_ANSWERS": str(answers)}
        subprocess.run(command, env=env, check=True)
        if not answers.exists():
            return ["the command ran, but signed no table: is the test's name still right?"]
        return differences(rows, json.loads(answers.read_text()))


def selftest(rows):
    """botocore's own answers pass; each with one character changed, a header short, or one answer short does not."""
    right = [list(added.items()) for _, added in rows]
    assert differences(rows, right) == []
    assert differences(rows, right[:-1])
    for place, headers in enumerate(right):
        for nth, (name, value) in enumerate(headers):
            for wrong in ([(name, value[:-1] + ("0" if value[-1] != "0" else "1"))], []):
                spoilt = copy.deepcopy(right)
                spoilt[place][nth : nth + 1] = wrong
                assert len(differences(rows, spoilt)) == 1, (place, name)


def main(arguments):
    rows = [made for token in (None, TOKEN) for made in by_client(token) + by_hand(token)]
    if len(rows) != 2 * (4 * len(MODELS) + len(BY_HAND)):
        sys.exit(f"botocore made {len(rows)} requests: has its client changed?")
    if arguments == ["--selftest"]:
        selftest(rows)
        print(f"botocore_signs: selftest passed on {len(rows)} requests")
        return
    if not arguments:
        sys.exit(__doc__)
    found = compare(rows, arguments)
    if found:
        sys.exit("\n".join(found[:5]) + f"\n{len(found)} of {len(rows)} differ")
    print(f"botocore_signs: {len(rows)} signatures equal botocore's")


if __name__ == "__main__":
    main(sys.argv[1:])
