// Vercel's AI SDK (`ai` with `@ai-sdk/openai`).
import { test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, Output, embedMany, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { SETTINGS, STRANGE, arrivals, assert, collect, eventually, mark, mocked, onlyArrival, vector, waitAborted } from './weir.mjs';

const HELLO = 'Hello from Zürich ☀, in words enough for a stream.';
const CITIES = [{ city: 'Zürich', days: 3 }, { city: '日本 "☀"', days: 5 }];
const TRIP = z.object({ title: z.string(), days: z.number(), places: z.array(z.object({ name: z.string(), kind: z.string() })) });
const ONCE = { maxRetries: 0 }; // so that failures are ours

/** OpenAI's provider of the AI SDK, behind the gateway. */
const openai = (apiKey = SETTINGS.keys.main) => createOpenAI({ baseURL: `${SETTINGS.gateway}/v1`, apiKey });
const by = (user) => ({ providerOptions: { openai: { user } } });

/** A tool that notes what it is called with. */
const weather = (calls) =>
  tool({
    description: 'The weather in a city.',
    inputSchema: z.object({ city: z.string(), days: z.number().int() }),
    execute: async (given) => {
      calls.push(given);
      return 'sunny';
    },
  });

/** The error of a call that must fail at the API. */
async function failing(promise) {
  const error = await promise.then(
    (value) => assert.fail(`answered instead of failing: ${value.text}`),
    (reason) => reason,
  );
  assert.ok(APICallError.isInstance(error), `${error}`);
  return error;
}

for (const name of ['mock', 'mock-failover']) {
  const model = openai().chat(name);

  test(`${name}: a chat and a stream`, async () => {
    const { text, usage } = await generateText({ model, prompt: 'hello', ...ONCE });
    assert.deepEqual([text, usage.inputTokens, usage.outputTokens], [HELLO, 12, 11]);
    const stream = streamText({ model, prompt: 'hello', ...ONCE });
    const pieces = await collect(stream.textStream);
    assert.equal(pieces.join(''), HELLO);
    assert.ok(pieces.length > 8);
    assert.deepEqual([(await stream.usage).outputTokens, await stream.finishReason], [11, 'stop']);
  });

  test(`${name}: tools are called, and their results go back, streamed too`, async () => {
    for (const run of [generateText, streamText]) {
      const calls = [];
      const tools = { get_weather: weather(calls) };
      const result = await run({ model, prompt: 'weather', tools, stopWhen: stepCountIs(3), ...ONCE });
      assert.equal(await result.text, 'Sunny in both cities.');
      assert.deepEqual(calls, CITIES);
      assert.equal((await result.steps).length, 2);
    }
  });

  test(`${name}: structured output, streamed too`, async () => {
    const asked = { model, prompt: 'plan a trip', output: Output.object({ schema: TRIP }), ...ONCE };
    const { output } = await generateText(asked);
    assert.deepEqual([output.title, output.places.length], ['Zürich "Altstadt" ☀', 2]);
    const partial = await collect(streamText(asked).partialOutputStream);
    assert.ok(partial.length > 3);
    assert.deepEqual(partial.at(-1), output);
  });

  test(`${name}: vision`, async () => {
    const seen = mark();
    const picture = Buffer.alloc(20_000, 'picture');
    const content = [{ type: 'text', text: `what is in the picture? ${seen}` }, { type: 'image', image: picture, mediaType: 'image/png' }];
    const { text } = await generateText({ model, messages: [{ role: 'user', content }], ...ONCE });
    assert.equal(text, 'A red square.');
    assert.ok(JSON.stringify((await mocked(seen)).at(-1).body).includes(picture.toString('base64')));
  });
}

for (const name of ['echo', 'failover', 'failover-stream']) {
  test(`${name}: Responses, plain and streamed, and with tools`, async () => {
    const model = openai().responses(name);
    assert.equal((await generateText({ model, prompt: 'hello', ...ONCE })).text, 'echoes: hello');
    const stream = streamText({ model, prompt: 'hello', ...ONCE });
    assert.equal((await collect(stream.textStream)).join(''), 'echoes: hello');
    const calls = [];
    const tools = { get_weather: weather(calls) };
    await generateText({ model, prompt: 'weather', tools, stopWhen: stepCountIs(3), ...ONCE });
    assert.deepEqual(calls, [{ city: `${STRANGE} 0`, days: 7 }]);
  });
}

test('a conversation goes on where it is kept', async () => {
  const model = openai().responses('kept');
  for (let turn = 0; turn < 4; turn += 1) {
    const first = await generateText({ model, prompt: `turn ${turn}`, ...ONCE });
    const { responseId } = first.providerMetadata.openai;
    const options = { providerOptions: { openai: { previousResponseId: responseId } } };
    const then = await generateText({ model, prompt: 'and then?', ...options, ...ONCE });
    assert.equal(then.text, `echoes: and then? after: turn ${turn}`);
  }
});

test('embeddings, and a legacy completion', async () => {
  // It asks for floats by itself.
  const { embeddings, usage } = await embedMany({ model: openai().embedding('echo'), values: ['one two', STRANGE], ...ONCE });
  assert.deepEqual(embeddings, [vector('one two'), vector(STRANGE)]);
  assert.ok(usage.tokens > 2);
  const { text } = await generateText({ model: openai().completion('echo'), prompt: 'How are you?', ...ONCE });
  assert.match(text, /^choice 0 echoes: /);
});

for (const kind of ['chat', 'responses']) {
  test(`${kind}: errors carry status, code and headers, and say whether a retry helps`, async () => {
    for (const [name, key, status, code, retryable] of [
      ['echo', 'sk-nobody', 401, 'invalid_api_key', false],
      ['gpt-nobody', undefined, 404, 'model_not_found', false],
      ['refuse', undefined, 400, 'context_length_exceeded', false],
      ['busy', undefined, 429, 'rate_limit_exceeded', true],
      ['broken', undefined, 502, 'upstream_failed', true], // it does not know `x-should-retry`
    ]) {
      const error = await failing(generateText({ model: openai(key)[kind](name), prompt: 'hello', ...ONCE }));
      assert.deepEqual([error.statusCode, error.data.error.code, error.isRetryable], [status, code, retryable]);
      assert.match(error.responseHeaders['x-request-id'], /^req_/);
      if (name === 'busy') assert.ok(Number(error.responseHeaders['retry-after']) > 0);
    }
  });

  test(`${kind}: aborting a stream reaches the provider`, async () => {
    const user = mark();
    const controller = new AbortController();
    const { textStream } = streamText({ model: openai()[kind]('drip'), prompt: 'hello', abortSignal: controller.signal, ...by(user), ...ONCE });
    const words = textStream[Symbol.asyncIterator]();
    await words.next();
    assert.equal((await onlyArrival(user)).outcome, 'running');
    const left = Date.now();
    controller.abort();
    await waitAborted(user, left);
  });
}

test('its own retry waits for as long as it was told', async () => {
  // 2 requests are allowed in 3 s; the SDK's own first pause would be 2 s.
  const model = openai(SETTINGS.keys['limited-ai']).chat('echo');
  const asked = { model, prompt: 'hello' };
  const spent = async () => {
    try {
      await generateText({ ...asked, ...ONCE });
      return false;
    } catch (error) {
      return error.statusCode === 429;
    }
  };
  await eventually(spent, 5000, 'the limit was never reached');
  assert.ok((await generateText({ ...asked, maxRetries: 1 })).text, 'one retry after the stated wait must do');
});
