// Embeddings, legacy completions, and Azure's paths to everything.
import { test } from 'node:test';
import { AzureOpenAI } from 'openai';
import { ANSWER, ASK, OpenAI, SETTINGS, STRANGE, assert, client, collect, logged, mark, onlyArrival, refused, textOf, vector } from './weir.mjs';

const azure = (more = {}) =>
  new AzureOpenAI({ endpoint: SETTINGS.gateway, apiKey: SETTINGS.keys.main, apiVersion: '2024-10-21', maxRetries: 0, ...more });

test("embeddings in the SDK's default form are the right floats", async () => {
  const user = mark();
  const { data, request_id } = await client().embeddings.create({ model: 'echo', input: ['one two', STRANGE], user }).withResponse();
  assert.equal(JSON.parse((await onlyArrival(user)).body).encoding_format, 'base64', "the SDK's default changed");
  assert.deepEqual(data.data.map((entry) => entry.embedding), [vector('one two'), vector(STRANGE)]);
  const line = await logged(request_id);
  assert.deepEqual([line.api, line.input_tokens, line.output_tokens], ['embeddings', data.usage.prompt_tokens, 0]);
});

test('embeddings as floats, with fewer dimensions', async () => {
  const ask = { model: 'echo', input: 'text', encoding_format: 'float', dimensions: 4 };
  assert.deepEqual((await client().embeddings.create(ask)).data[0].embedding, vector('text', 4));
});

test('embeddings behind a failing provider', async () => {
  const { data, response } = await client().embeddings.create({ model: 'failover', input: 'text' }).withResponse();
  assert.deepEqual(data.data[0].embedding, vector('text'));
  assert.equal(response.headers.get('x-weir-attempts'), '2');
});

test('a legacy completion, plain and streamed', async () => {
  const ask = { model: 'echo', prompt: 'How are you?' };
  const { data, request_id } = await client().completions.create(ask).withResponse();
  assert.equal(data.choices[0].text, ANSWER);
  const line = await logged(request_id);
  assert.deepEqual([line.api, line.input_tokens, line.output_tokens], ['completions', 17, 6]);
  const chunks = await collect(await client().completions.create({ ...ask, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), ANSWER);
  assert.ok(chunks.every((chunk) => !chunk.usage), 'usage that nobody asked for');
});

test("Azure's client, by its paths and with its header", async () => {
  const user = mark();
  const answer = await azure().chat.completions.create({ model: 'echo', messages: ASK, user });
  assert.equal(answer.choices[0].message.content, ANSWER);
  const { path, headers } = await onlyArrival(user);
  assert.deepEqual([path, headers.authorization, headers['api-key']], ['/v1/chat/completions', 'Bearer sk-scripted', undefined]);
  const chunks = await collect(await azure().chat.completions.create({ model: 'vendor/echo', messages: ASK, stream: true }));
  assert.equal(textOf(chunks), ANSWER);
  assert.deepEqual((await azure().embeddings.create({ model: 'echo', input: 'text' })).data[0].embedding, vector('text'));
  assert.equal((await azure({ deployment: 'echo' }).completions.create({ model: '', prompt: 'How are you?' })).choices[0].text, ANSWER);
});

test("Azure's newer path", async () => {
  const sdk = client('main', { baseURL: `${SETTINGS.gateway}/openai/v1` });
  assert.equal((await sdk.chat.completions.create({ model: 'echo', messages: ASK })).choices[0].message.content, ANSWER);
  assert.equal((await sdk.responses.create({ model: 'echo', input: 'x' })).output_text, 'echoes: x');
});

test("errors have Azure's client's classes", async () => {
  const wrongKey = await refused(OpenAI.AuthenticationError, azure({ apiKey: 'sk-nobody' }).chat.completions.create({ model: 'echo', messages: ASK }));
  assert.equal(wrongKey.code, 'invalid_api_key');
  const unknown = await refused(OpenAI.NotFoundError, azure().chat.completions.create({ model: 'gpt-nobody', messages: ASK }));
  assert.equal(unknown.code, 'model_not_found');
});
