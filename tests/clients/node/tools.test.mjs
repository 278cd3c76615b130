// Tools and structured output, plain and streamed in fragments.
import { test } from 'node:test';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { ASK, STRANGE, assert, client } from './weir.mjs';

const tool = (name) => {
  const properties = { city: { type: 'string' }, days: { type: 'integer' }, unit: { enum: ['C', 'F'] } };
  const parameters = { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
  return { type: 'function', function: { name, strict: true, parameters } };
};
const tools = [tool('get_weather'), tool('get_tides')];
const wanted = [
  ['get_weather', { city: `${STRANGE} 0`, days: 7, unit: 'C' }],
  ['get_tides', { city: `${STRANGE} 1`, days: 7, unit: 'C' }],
];
const Trip = z.object({
  title: z.string(),
  days: z.number().int(),
  cost: z.number(),
  open: z.boolean(),
  places: z.array(z.object({ name: z.string(), kind: z.enum(['city', 'village']) })),
});
const place = { name: 'value', kind: 'city' };
const trip = { title: 'value', days: 7, cost: 2.5, open: true, places: [place, place] };
const parsed = (calls) => calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]);

test('one tool call arrives', async () => {
  const body = { model: 'echo', messages: ASK, tools, parallel_tool_calls: false };
  const { choices } = await client().chat.completions.create(body);
  assert.equal(choices[0].finish_reason, 'tool_calls');
  assert.equal(choices[0].message.content, null);
  assert.deepEqual(parsed(choices[0].message.tool_calls), wanted.slice(0, 1));
});

test('parallel tool calls arrive', async () => {
  const { choices } = await client().chat.completions.create({ model: 'echo', messages: ASK, tools });
  assert.deepEqual(parsed(choices[0].message.tool_calls), wanted);
});

test('parallel tool calls streamed in fragments add up', async () => {
  const calls = [];
  let fragments = 0;
  const stream = await client().chat.completions.create({ model: 'echo', messages: ASK, tools, stream: true });
  for await (const chunk of stream) {
    for (const part of chunk.choices[0].delta.tool_calls ?? []) {
      calls[part.index] ??= { function: { name: part.function.name, arguments: '' } };
      calls[part.index].function.arguments += part.function.arguments;
      fragments += 1;
    }
  }
  assert.ok(fragments > 10, 'the arguments did not arrive in fragments');
  assert.deepEqual(parsed(calls), wanted);
});

test('the stream helper accumulates parallel tool calls', async () => {
  const message = await client().chat.completions.stream({ model: 'echo', messages: ASK, tools }).finalMessage();
  assert.deepEqual(parsed(message.tool_calls), wanted);
});

test('a tool result can be sent back', async () => {
  const first = await client().chat.completions.create({ model: 'echo', messages: ASK, tools });
  const said = first.choices[0].message;
  const results = said.tool_calls.map((c) => ({ role: 'tool', tool_call_id: c.id, content: `done ${c.id}` }));
  const answer = await client().chat.completions.create({ model: 'echo', messages: [...ASK, said, ...results] });
  assert.equal(answer.choices[0].message.content, 'choice 0 echoes: done call_1');
});

test("a strict provider's tools and structured output are usable", async () => {
  const body = { model: 'strict', messages: ASK };
  const message = await client().chat.completions.stream({ ...body, tools }).finalMessage();
  const calls = parsed(message.tool_calls);
  assert.deepEqual(calls.map(([name]) => name), ['get_weather', 'get_tides']);
  for (const [, given] of calls) assert.deepEqual(Object.keys(given).sort(), ['city', 'days', 'unit']);
  const answer = await client().chat.completions.parse({ ...body, response_format: zodResponseFormat(Trip, 'trip') });
  assert.ok(Trip.safeParse(answer.choices[0].message.parsed).success);
});

test('structured output is parsed, plain and streamed', async () => {
  const body = { model: 'echo', messages: ASK, response_format: zodResponseFormat(Trip, 'trip') };
  const answer = await client().chat.completions.parse(body);
  assert.deepEqual(answer.choices[0].message.parsed, trip);
  const final = await client().chat.completions.stream(body).finalChatCompletion();
  assert.deepEqual(final.choices[0].message.parsed, trip);
});
