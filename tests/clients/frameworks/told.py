"""What the frameworks' suites share: what aimock says, and on which models.

Chats go to aimock, through one deployment or past two that fail. Responses and embeddings go to the scripted provider:
aimock numbers no events, keeps no response and ignores `encoding_format: base64`, which is what SDKs ask for.
"""
import base64
import hashlib

import pydantic
import pytest

from weir import SETTINGS

URL = SETTINGS["gateway"] + "/v1"
KEY = SETTINGS["keys"]["main"]
CHATS = pytest.mark.parametrize("model", ["mock", "mock-failover"])
RESPONSES = pytest.mark.parametrize("model", ["echo", "failover", "failover-stream"])
HELLO = "Hello from Zürich ☀, in words enough for a stream."
CITIES = [{"city": "Zürich", "days": 3}, {"city": '日本 "☀"', "days": 5}]
SUNNY = "Sunny in both cities."
PICTURE = base64.b64encode(bytes(range(256)) * 64).decode()  # 16 KB that must arrive untouched


class Place(pydantic.BaseModel):
    """Part of a structured answer."""

    name: str
    kind: str


class Trip(pydantic.BaseModel):
    """A structured answer."""

    title: str
    days: int
    places: list[Place]


TRIP = Trip(
    title='Zürich "Altstadt" ☀', days=7, places=[Place(name="Bern", kind="city"), Place(name="Wengen", kind="village")]
)


def vector(text, dimensions=16):
    """The scripted provider's vector of a text."""
    return [(byte - 128) / 64 for byte in hashlib.sha256(text.encode()).digest()[:dimensions]]
