// Models, headers, sessions, and twenty at once.
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { ANSWER, ASK, OpenAI, assert, client, collect, refused, textOf } from './weir.mjs';

const AT_ONCE = Array.from({ length: 20 }, (_, number) => number);
const asked = (number) => [{ role: 'user', content: `question ${number}` }];
const answered = (number) => `choice 0 echoes: question ${number}`;

/** One call's raw response. */
const raw = (model = 'echo', session = undefined, more = {}) => {
  const headers = session ? { 'x-session-id': session } : {};
  return client().chat.completions.create({ model, messages: ASK, ...more }, { headers }).asResponse();
};

test('the list names every model that the key may call', async () => {
  const names = (await collect(client().models.list())).map((model) => model.id);
  for (const name of ['strict', 'echo', 'vendor/echo', 'session']) assert.ok(names.includes(name), `${name}: ${names}`);
  assert.equal(new Set(names).size, names.length, `a name twice: ${names}`);
  const narrow = (await collect(client('narrow').models.list())).map((model) => model.id);
  assert.ok(narrow.includes('vendor/echo') && !narrow.includes('strict'), `${narrow}`);
});

test('a model is found by name, slash and all', async () => {
  for (const name of ['echo', 'vendor/echo']) {
    const model = await client().models.retrieve(name);
    assert.deepEqual([model.id, model.object], [name, 'model']);
  }
  assert.equal((await client().get('/models/vendor/echo')).id, 'vendor/echo');
  const error = await refused(OpenAI.NotFoundError, client().models.retrieve('vendor/nobody'));
  assert.equal(error.code, 'model_not_found');
});

test("an answer carries the gateway's headers", async () => {
  const { data, response, request_id } = await client()
    .chat.completions.create({ model: 'echo', messages: ASK })
    .withResponse();
  assert.equal(data.choices[0].message.content, ANSWER);
  assert.ok(request_id && request_id === response.headers.get('x-request-id'));
  assert.equal(data._request_id, request_id);
  assert.equal(response.headers.get('x-weir-deployment'), 'echo-a');
  assert.equal(response.headers.get('x-weir-attempts'), '1');
  assert.ok(response.headers.get('x-weir-replica'));
});

test('a stream carries them too, and ends with [DONE]', async () => {
  const response = await raw('echo', undefined, { stream: true });
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  for (const name of ['x-request-id', 'x-weir-deployment', 'x-weir-replica', 'x-weir-attempts']) {
    assert.ok(response.headers.get(name), `${name} is missing`);
  }
  const lines = (await response.text()).split('\n').filter(Boolean);
  assert.equal(lines.at(-1), 'data: [DONE]');
});

test('a session sticks to its deployment', async () => {
  const session = `session-${randomUUID()}`;
  const turns = [];
  for (let turn = 0; turn < 10; turn += 1) {
    const response = await raw('session', session, { stream: turn % 2 === 1 });
    turns.push([response.headers.get('x-weir-session'), response.headers.get('x-weir-deployment')]);
    await response.text();
  }
  assert.deepEqual(turns.map(([outcome]) => outcome), ['new', ...Array(9).fill('hit')]);
  assert.equal(new Set(turns.map(([, deployment]) => deployment)).size, 1, JSON.stringify(turns));
});

test('sessions spread over the deployments', async () => {
  const used = new Set();
  for (let number = 0; number < 8; number += 1) {
    used.add((await raw('session', `session-${randomUUID()}`)).headers.get('x-weir-deployment'));
  }
  assert.deepEqual([...used].sort(), ['echo-a', 'echo-b']);
});

test('twenty calls at once', async () => {
  const shared = client();
  const call = async (number) => {
    const answer = await shared.chat.completions.create({ model: 'echo', messages: asked(number) });
    return answer.choices[0].message.content;
  };
  assert.deepEqual(await Promise.all(AT_ONCE.map(call)), AT_ONCE.map(answered));
});

test('twenty streams at once', async () => {
  const shared = client();
  const call = async (number) => {
    const body = { model: 'echo', messages: asked(number), stream: true };
    return textOf(await collect(await shared.chat.completions.create(body)));
  };
  assert.deepEqual(await Promise.all(AT_ONCE.map(call)), AT_ONCE.map(answered));
});

test('twenty calls and streams at once at a strict provider', async () => {
  const shared = client();
  const call = async (number) => {
    const body = { model: 'strict', messages: asked(number), max_tokens: 64 };
    if (number % 2) return (await shared.chat.completions.create(body)).choices[0].message.content;
    return textOf(await collect(await shared.chat.completions.create({ ...body, stream: true })));
  };
  for (const text of await Promise.all(AT_ONCE.map(call))) assert.ok(text.trim());
});
