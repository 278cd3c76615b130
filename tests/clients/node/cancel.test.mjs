// A client that leaves: the provider stops working for it at once.
import { test } from 'node:test';
import { ASK, OpenAI, arrivals, assert, client, eventually, mark, onlyArrival, refused, strictLog, waitAborted } from './weir.mjs';

test("the SDK's timeout throws and reaches the provider", async () => {
  const user = mark();
  const call = client('main', { timeout: 500 }).chat.completions.create({ model: 'slow', messages: ASK, user });
  await refused(OpenAI.APIConnectionTimeoutError, call);
  await waitAborted(user, Date.now());
});

test('an AbortController reaches the provider before the answer begins', async () => {
  const user = mark();
  const controller = new AbortController();
  const body = { model: 'slow', messages: ASK, user };
  const call = refused(OpenAI.APIUserAbortError, client().chat.completions.create(body, { signal: controller.signal }));
  await eventually(async () => (await arrivals(user)).length > 0, 5000, 'the call did not reach the provider');
  const left = Date.now();
  controller.abort();
  await call;
  await waitAborted(user, left);
});

test('leaving a stream reaches the provider', async () => {
  const user = mark();
  const started = Date.now();
  const stream = await client().chat.completions.create({ model: 'drip', messages: ASK, user, stream: true });
  let words = 0;
  for await (const _ of stream) {
    words += 1;
    if (words === 10) break;
  }
  const left = Date.now();
  assert.ok(left - started < 5000, `ten words at one per 50 ms took ${left - started} ms: the stream is held back`);
  await waitAborted(user, left);
});

test('leaving a stream reaches the strict provider', async () => {
  const stream = await client().chat.completions.create({ model: 'left-node', messages: ASK, stream: true });
  const words = stream[Symbol.asyncIterator]();
  await words.next();
  await words.next();
  stream.controller.abort();
  const left = async () => (await strictLog()).filter((r) => r.model === 'left-node').map((r) => r.aborted);
  await eventually(async () => String(await left()) === 'true', 1000, "the strict provider's log shows no abort");
});

test("aborting a stream's controller reaches the provider", async () => {
  const user = mark();
  const stream = await client().chat.completions.create({ model: 'drip', messages: ASK, user, stream: true });
  const words = stream[Symbol.asyncIterator]();
  await words.next();
  assert.equal((await onlyArrival(user)).outcome, 'running');
  const left = Date.now();
  stream.controller.abort();
  await waitAborted(user, left);
});
