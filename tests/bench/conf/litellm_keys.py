"""LiteLLM's keys and their limits from a file that the environment names, instead of from its database."""
import json
import os

from fastapi import HTTPException
from litellm.proxy._types import UserAPIKeyAuth

with open(os.environ["BENCH_KEYS"]) as f:
    LIMITS = json.load(f)


async def known(request, api_key):
    """What LiteLLM knows of a key; an unknown one is refused."""
    if api_key not in LIMITS:
        raise HTTPException(401, "unknown key")
    return UserAPIKeyAuth(api_key=api_key, **LIMITS[api_key])
