// Every failure as the SDK's own class, with a code that programs can read, and no retry where one is pointless.
import { test } from 'node:test';
import { ANSWER, ASK, OpenAI, SETTINGS, arrivals, assert, client } from './weir.mjs';
import { collect, mark, onlyArrival, refused, textOf, waitAborted } from './weir.mjs';

const NOBODY = 'sk-nobody-has-this';
const create = (more, tenant, options) =>
  client(tenant, options).chat.completions.create({ model: 'echo', messages: ASK, ...more });

test('a wrong key is an authentication error', async () => {
  for (const more of [{}, { stream: true }]) {
    const error = await refused(OpenAI.AuthenticationError, create(more, NOBODY));
    assert.deepEqual([error.status, error.code], [401, 'invalid_api_key']);
    assert.ok(!error.message.includes(NOBODY), 'the answer repeats the key');
  }
  await refused(OpenAI.AuthenticationError, client(NOBODY).models.list());
});

test('a model that is not allowed is a permission error', async () => {
  const error = await refused(OpenAI.PermissionDeniedError, create({ model: 'strict' }, 'narrow'));
  assert.equal(error.status, 403);
  assert.equal((await create({ model: 'vendor/echo' }, 'narrow')).choices[0].message.content, ANSWER);
});

test('an unknown model is not found', async () => {
  const error = await refused(OpenAI.NotFoundError, create({ model: 'gpt-nobody' }));
  assert.deepEqual([error.status, error.code], [404, 'model_not_found']);
  assert.match(error.message, /gpt-nobody/);
});

for (const more of [
  { messages: [] },
  { messages: 'hello' },
  { messages: ['hello'] },
  { model: 7 },
  { model: undefined },
  { temperature: 'hot' },
  { stream: 'yes' },
]) {
  const [[field, value]] = Object.entries(more);
  test(`a malformed request is a bad request: ${field} = ${JSON.stringify(value)}`, async () => {
    const error = await refused(OpenAI.BadRequestError, create(more));
    assert.deepEqual([error.status, error.type], [400, 'invalid_request_error']);
    assert.ok(error.message);
  });
}

test("the provider's own refusal is kept, plain and before a stream", async () => {
  for (const more of [{}, { stream: true }]) {
    const user = mark();
    const error = await refused(OpenAI.BadRequestError, create({ model: 'refuse', user, ...more }));
    assert.equal(error.error.message, 'scripted provider: 9000 tokens are too many');
    assert.deepEqual([error.code, error.param], ['context_length_exceeded', 'messages']);
    await onlyArrival(user);
  }
});

test('providers that all fail are a server error that no SDK retries', async () => {
  const user = mark();
  const error = await refused(OpenAI.InternalServerError, create({ model: 'broken', user }, 'main', { maxRetries: 2 }));
  assert.equal(error.status, 502);
  assert.equal(error.headers.get('x-should-retry'), 'false');
  assert.equal((await arrivals(user)).length, 3, 'three candidates, each tried once');
});

test('a failing provider is not seen when another can serve', async () => {
  const { data, response } = await create({ model: 'failover' }).withResponse();
  assert.equal(data.choices[0].message.content, ANSWER);
  assert.equal(response.headers.get('x-weir-deployment'), 'echo-a');
  assert.equal(response.headers.get('x-weir-attempts'), '2');
  for (let turn = 0; turn < 3; turn += 1) {
    assert.equal((await create({ model: 'failover-busy' })).choices[0].message.content, ANSWER);
  }
});

test('a stream that breaks before its first word moves to another provider unseen', async () => {
  const user = mark();
  const chunks = await collect(await create({ model: 'failover-stream', user, stream: true }));
  assert.equal(textOf(chunks), ANSWER);
  assert.deepEqual((await arrivals(user)).map((call) => call.model), ['cut-early', 'echo']);
  assert.deepEqual(chunks.map((c) => c.choices[0].delta.role).filter(Boolean), ['assistant']);
});

for (const model of ['cut', 'error-event']) {
  test(`a stream that breaks midway throws instead of ending: ${model}`, async () => {
    const stream = await create({ model, stream: true });
    const seen = [];
    const read = (async () => {
      for await (const chunk of stream) seen.push(chunk);
    })();
    const error = await refused(OpenAI.APIError, read);
    assert.equal(textOf(seen), 'word0 word1 word2 ', 'what came before the break must arrive');
    assert.ok(error.error.message, 'the error event has no message');
  });
}

test('a provider that is too slow is a gateway timeout', async () => {
  const user = mark();
  const error = await refused(OpenAI.InternalServerError, create({ model: 'late', user, stream: true }, 'main', { maxRetries: 2 }));
  assert.equal(error.status, 504);
  assert.equal(error.headers.get('x-should-retry'), 'false');
  await waitAborted(user, Date.now());
});

test('no error names an upstream secret', async () => {
  for (const model of ['broken', 'refuse']) {
    const error = await create({ model }).then(() => assert.fail('it answered'), (reason) => reason);
    const all = `${error.message} ${JSON.stringify(error.error)}`;
    assert.ok(!all.includes('sk-scripted') && !all.includes(SETTINGS.scripted), all);
  }
});
