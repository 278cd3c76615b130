"""The async client speaks the same wire."""
import asyncio

import openai
import pytest

from weir import ASK, async_client, text_of


def test_plain_stream_and_models():
    async def all_three():
        async with async_client() as shared:
            plain = await shared.chat.completions.create(model="echo", messages=ASK)
            stream = await shared.chat.completions.create(
                model="echo", messages=ASK, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            names = {model.id async for model in shared.models.list()}
            return plain, chunks, names

    plain, chunks, names = asyncio.run(all_three())
    assert plain.choices[0].message.content == "choice 0 echoes: How are you?"
    assert text_of(chunks) == plain.choices[0].message.content and chunks[-1].usage == plain.usage
    assert "vendor/echo" in names


def test_errors_have_the_same_classes():
    async def fails(kind, tenant, model):
        with pytest.raises(kind):
            await async_client(tenant).chat.completions.create(model=model, messages=ASK)

    async def all_of_them():
        await fails(openai.AuthenticationError, "sk-nobody-has-this", "echo")
        await fails(openai.PermissionDeniedError, "narrow", "strict")
        await fails(openai.NotFoundError, "main", "gpt-nobody")
        await fails(openai.InternalServerError, "main", "broken")

    asyncio.run(all_of_them())
