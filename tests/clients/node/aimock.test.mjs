// The SDK against the gateway in front of aimock. What aimock does wrong itself is shown with the scripted provider:
// its Responses events have no `sequence_number`, and it ignores `encoding_format: base64`.
import { test } from 'node:test';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { assert, client, collect, logged, mark, mocked, textOf } from './weir.mjs';

const HELLO = 'Hello from Zürich ☀, in words enough for a stream.';
const CITIES = [{ city: 'Zürich', days: 3 }, { city: '日本 "☀"', days: 5 }];
const PICTURE = `data:image/png;base64,${Buffer.alloc(30_000, 'picture').toString('base64')}`; // aimock records up to 64 KB
const TOOL = { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } } };
const ask = (content) => [{ role: 'user', content }];

// One deployment; two that fail (500, a dropped connection) before a good one; one that answers garbage before it.
for (const [model, attempts] of [['mock', 1], ['mock-failover', 3], ['mock-garbled', 2]]) {
  test(`${model}: a chat and a stream`, async () => {
    const { data, response, request_id } = await client().chat.completions.create({ model, messages: ask('hello') }).withResponse();
    assert.equal(data.choices[0].message.content, HELLO);
    assert.equal(response.headers.get('x-weir-attempts'), String(attempts));
    const line = await logged(request_id);
    assert.deepEqual([line.input_tokens, line.output_tokens], [12, 11]);
    const chunks = await collect(await client().chat.completions.create({ model, messages: ask('hello'), stream: true }));
    assert.equal(textOf(chunks), HELLO);
    assert.ok(chunks.length > 8);
  });

  test(`${model}: parallel tools, streamed too, and their results`, async () => {
    const body = { model, messages: ask('weather'), tools: [{ type: 'function', function: TOOL }] };
    const { message } = (await client().chat.completions.create(body)).choices[0];
    const called = (calls) => calls.map((call) => JSON.parse(call.function.arguments));
    assert.deepEqual(called(message.tool_calls), CITIES);
    const streamed = await client().chat.completions.stream(body).finalMessage();
    assert.deepEqual(called(streamed.tool_calls), CITIES);
    const results = message.tool_calls.map(({ id }) => ({ role: 'tool', tool_call_id: id, content: 'sunny' }));
    const final = await client().chat.completions.create({ ...body, messages: [...body.messages, message, ...results] });
    assert.equal(final.choices[0].message.content, 'Sunny in both cities.');
  });

  test(`${model}: structured output`, async () => {
    const trip = z.object({ title: z.string(), days: z.number(), places: z.array(z.object({ name: z.string(), kind: z.string() })) });
    const body = { model, messages: ask('plan a trip'), response_format: zodResponseFormat(trip, 'trip') };
    const { parsed } = (await client().chat.completions.parse(body)).choices[0].message;
    assert.deepEqual([parsed.title, parsed.places.map((place) => place.name)], ['Zürich "Altstadt" ☀', ['Bern', 'Wengen']]);
  });

  test(`${model}: vision`, async () => {
    const seen = mark();
    const parts = [{ type: 'text', text: `what is in the picture? ${seen}` }, { type: 'image_url', image_url: { url: PICTURE } }];
    const answer = await client().chat.completions.create({ model, messages: ask(parts) });
    assert.equal(answer.choices[0].message.content, 'A red square.');
    const reached = await mocked(seen);
    assert.equal(reached.length, attempts);
    assert.deepEqual(reached.at(-1).body.messages[0].content, parts);
  });

  test(`${model}: embeddings and Responses`, async () => {
    const made = await client().embeddings.create({ model, input: 'a vector', encoding_format: 'float' });
    assert.deepEqual(made.data[0].embedding, [0.5, -0.25, 1, 0.125]);
    assert.equal((await client().responses.create({ model, input: 'hello' })).output_text, HELLO);
    const events = await collect(await client().responses.create({ model, input: 'weather', tools: [{ type: 'function', strict: false, ...TOOL }], stream: true }));
    const done = events.filter((event) => event.type === 'response.function_call_arguments.done');
    assert.deepEqual(done.map((event) => JSON.parse(event.arguments)), CITIES);
  });
}
