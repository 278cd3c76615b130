// Plain answers and streams: what the provider said is what the SDK returns, and nothing that was not asked for.
import { test } from 'node:test';
import { ANSWER, ASK, STRANGE, assert, client, collect, mark, onlyArrival, textOf } from './weir.mjs';

const create = (more) => client().chat.completions.create({ model: 'echo', messages: ASK, ...more });
const stream = async (more) => collect(await create({ stream: true, ...more }));

test('a plain answer arrives whole', async () => {
  const answer = await create();
  assert.equal(answer.choices[0].message.content, ANSWER);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details } = answer.usage;
  assert.deepEqual([prompt_tokens, completion_tokens, total_tokens], [11, 6, 17]);
  assert.equal(prompt_tokens_details.cached_tokens, 3);
});

test('a strict provider answers too', async () => {
  const answer = await create({ model: 'strict', max_tokens: 64 });
  assert.ok(answer.choices[0].message.content.trim());
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test('an alias and a name with a slash answer', async () => {
  for (const model of ['echo-alias', 'vendor/echo']) {
    assert.equal((await create({ model })).choices[0].message.content, ANSWER, model);
  }
});

test('n choices arrive, plain and streamed', async () => {
  const wanted = [0, 1].map((n) => `choice ${n} echoes: How are you?`);
  assert.deepEqual((await create({ n: 2 })).choices.map((c) => c.message.content), wanted);
  const chunks = await stream({ n: 2 });
  assert.deepEqual([0, 1].map((n) => textOf(chunks, n)), wanted);
});

test('fields that no SDK declares survive in the answer', async () => {
  assert.deepEqual((await create()).x_undeclared, { kept: [1, 2.5, STRANGE] });
  for (const chunk of await stream()) assert.ok(chunk.x_undeclared, JSON.stringify(chunk));
});

test('unknown request fields reach the provider byte for byte', async () => {
  const user = mark();
  let sent;
  const recording = (url, init) => {
    sent = init.body;
    return fetch(url, init);
  };
  const unknown = { x_unknown: { z: 1, a: [1.5, null, true], text: STRANGE, deep: { er: {} } }, user };
  const messages = [{ role: 'user', content: STRANGE }];
  await client('main', { fetch: recording }).chat.completions.create({ model: 'vendor/echo', messages, ...unknown });
  const reached = (await onlyArrival(user)).body;
  assert.equal(reached, String(sent).replace('"vendor/echo"', '"echo"'), "more than the model's name was changed");
});

test('a stream adds up to the answer', async () => {
  const chunks = await stream();
  assert.equal(textOf(chunks), ANSWER);
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  assert.deepEqual(chunks.map((c) => c.choices[0].finish_reason).filter(Boolean), ['stop']);
  assert.equal(chunks.length, 8, 'a role, six words and the end are eight events');
});

test('without include_usage no usage event leaks', async () => {
  for (const model of ['echo', 'strict']) {
    for (const more of [{}, { stream_options: { include_usage: false } }]) {
      const chunks = await stream({ model, ...more });
      assert.ok(textOf(chunks).trim(), model);
      assert.ok(chunks.every((chunk) => chunk.choices.length), `${model}: an event without choices leaked`);
      assert.ok(chunks.every((chunk) => !chunk.usage), `${model}: usage leaked`);
    }
  }
});

test('with include_usage the usage event comes last', async () => {
  for (const model of ['echo', 'strict']) {
    const chunks = await stream({ model, stream_options: { include_usage: true } });
    const last = chunks.pop();
    assert.deepEqual(last.choices, [], model);
    assert.ok(last.usage.total_tokens > 0, model);
    assert.ok(chunks.every((chunk) => chunk.choices.length), model);
  }
});

test("the SDK's stream helper accumulates the answer and its usage", async () => {
  const body = { model: 'echo', messages: ASK, stream_options: { include_usage: true } };
  const runner = client().chat.completions.stream(body);
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.content, ANSWER);
  assert.equal((await runner.totalUsage()).total_tokens, 17);
});
