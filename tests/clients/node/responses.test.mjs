// Responses: numbered streams, and what a provider keeps of them stays within reach.
import { test } from 'node:test';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { OpenAI, STRANGE, arrivals, assert, client, collect, logged, mark, onlyArrival, refused, waitAborted } from './weir.mjs';

const ASK = { model: 'echo', input: 'How are you?' };
const SAID = 'echoes: How are you?';
const parameters = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const TOOLS = ['get_weather', 'get_tides'].map((name) => ({ type: 'function', name, strict: true, parameters }));
const WANTED = TOOLS.map(({ name }, n) => [name, { city: `${STRANGE} ${n}`, days: 7 }]);
const called = (output) => output.map((call) => [call.name, JSON.parse(call.arguments)]);
const deltas = (events) =>
  events.filter((event) => event.type === 'response.output_text.delta').map((event) => event.delta).join('');

test('a response arrives whole, and the log counts what the provider counted', async () => {
  const { data, request_id } = await client().responses.create({ ...ASK, metadata: { a: 'b' } }).withResponse();
  assert.deepEqual([data.output_text, data.status, data.metadata], [SAID, 'completed', { a: 'b' }]);
  assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [13, 4]);
  const line = await logged(request_id);
  assert.deepEqual([line.api, line.input_tokens, line.cached_tokens, line.output_tokens], ['responses', 13, 5, 4]);
});

test("a stream's events are numbered without a gap", async () => {
  const { data, request_id } = await client().responses.create({ ...ASK, stream: true }).withResponse();
  const events = await collect(data);
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.equal(events[0].type, 'response.created');
  assert.equal(events.at(-1).type, 'response.completed');
  assert.equal(deltas(events), SAID);
  assert.equal((await logged(request_id)).output_tokens, 4);
});

test('the stream helper adds a stream up', async () => {
  const final = await client().responses.stream(ASK).finalResponse();
  assert.equal(final.output_text, SAID);
});

test('a structured response is parsed', async () => {
  const format = zodTextFormat(z.object({ title: z.string(), days: z.number().int() }), 'trip');
  const answer = await client().responses.parse({ ...ASK, text: { format } });
  assert.deepEqual(answer.output_parsed, { title: 'value', days: 7 });
});

test('parallel tools, plain and streamed', async () => {
  assert.deepEqual(called((await client().responses.create({ ...ASK, tools: TOOLS })).output), WANTED);
  const events = await collect(await client().responses.create({ ...ASK, tools: TOOLS, stream: true }));
  assert.ok(events.filter((event) => event.type === 'response.function_call_arguments.delta').length > 10);
  assert.deepEqual(called(events.at(-1).response.output), WANTED);
});

test('a conversation stays with the account that keeps it', async () => {
  // Two accounts take turns, and each refuses what the other keeps.
  const create = (input, more) => client().responses.create({ model: 'kept', input, ...more }).withResponse();
  const begun = [];
  for (let turn = 0; turn < 10; turn += 1) begun.push(await create(`turn ${turn}`));
  const used = new Set(begun.map(({ response }) => response.headers.get('x-weir-deployment')));
  assert.deepEqual([...used].sort(), ['echo-a', 'echo-other']);
  for (const [turn, { data }] of begun.entries()) {
    const then = await create('and then?', { previous_response_id: data.id });
    assert.equal(then.data.output_text, `echoes: and then? after: turn ${turn}`);
  }
});

test('a response is retrieved, its input listed, and deleted', async () => {
  for (let turn = 0; turn < 4; turn += 1) {
    const stream = client().responses.stream({ model: 'kept', input: `turn ${turn}` });
    const { id } = await stream.finalResponse();
    assert.equal((await client().responses.retrieve(id)).output_text, `echoes: turn ${turn}`);
    const items = await collect(client().responses.inputItems.list(id));
    assert.equal(items[0].content[0].text, `turn ${turn}`);
    await client().responses.delete(id);
    await refused(OpenAI.NotFoundError, client().responses.retrieve(id));
  }
});

test('an unknown response cannot be gone on with', async () => {
  const error = await refused(OpenAI.BadRequestError, client().responses.create({ ...ASK, previous_response_id: 'resp_no' }));
  assert.deepEqual([error.code, error.param], ['previous_response_not_found', 'previous_response_id']);
});

for (const model of ['cut', 'error-event']) {
  test(`a stream that breaks midway says so: ${model}`, async () => {
    const seen = [];
    let error;
    try {
      for await (const event of await client().responses.create({ ...ASK, model, stream: true })) seen.push(event);
    } catch (reason) {
      error = reason;
    }
    assert.equal(deltas(seen), 'word0 word1 word2');
    assert.ok(error instanceof OpenAI.APIError || ['error', 'response.failed'].includes(seen.at(-1).type), `${seen.at(-1).type}`);
    assert.ok(!seen.some((event) => event.type === 'response.completed'));
  });
}

test('a stream that breaks before its first word moves on unseen', async () => {
  const user = mark();
  const events = await collect(await client().responses.create({ ...ASK, model: 'failover-stream', user, stream: true }));
  assert.deepEqual((await arrivals(user)).map((call) => call.model), ['cut-early', 'echo']);
  assert.equal(events.filter((event) => event.type === 'response.created').length, 1);
  assert.equal(deltas(events), SAID);
});

test('leaving a stream reaches the provider', async () => {
  const user = mark();
  const stream = await client().responses.create({ ...ASK, model: 'drip', user, stream: true });
  for await (const event of stream) if (event.type === 'response.output_text.delta') break;
  const left = Date.now();
  await waitAborted(user, left);
  assert.equal((await onlyArrival(user)).path, '/v1/responses');
});
