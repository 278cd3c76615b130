// A tenant's limits: refused as the SDK expects it, with a wait that is exact.
import { test } from 'node:test';
import { ASK, OpenAI, assert, client, eventually, mark, refused, sleep, waitAborted } from './weir.mjs';

const WINDOW = 3000; // ms; the tenant's meter allows 2 requests per window
const call = (tenant, options) => client(tenant, options).chat.completions.create({ model: 'echo', messages: ASK });

/** Did a call pass the limits? */
const admitted = (tenant) =>
  call(tenant).then(
    () => true,
    (error) => {
      if (error instanceof OpenAI.RateLimitError) return false;
      throw error;
    },
  );

/** Calls until the limit refuses; the third call of a window must be refused. */
async function refusal(tenant) {
  for (let turn = 0; turn < 3; turn += 1) {
    try {
      await call(tenant);
    } catch (error) {
      assert.equal(error.constructor, OpenAI.RateLimitError, error.message);
      return error;
    }
  }
  return assert.fail('three calls in a row passed a limit of two');
}

/** The refusal's wait in ms, from its exact header. */
function waitOf(error) {
  const whole = Number(error.headers.get('retry-after')) * 1000;
  const exact = Number(error.headers.get('retry-after-ms'));
  assert.ok(exact > 0 && exact <= WINDOW + 1000, `retry-after-ms ${exact}`);
  assert.ok(exact <= whole && whole <= exact + 1000, `retry-after ${whole} ms, exact ${exact} ms`);
  return exact;
}

test('a spent limit is a rate limit error with an honest wait', async () => {
  const error = await refusal('limited-node');
  assert.deepEqual([error.status, error.code], [429, 'rate_limit_exceeded']);
  await sleep(waitOf(error));
  assert.ok(await admitted('limited-node'), 'refused although the wait was kept');
});

test("the SDK's own retry waits long enough", async () => {
  await refusal('patient-node');
  assert.ok((await call('patient-node', { maxRetries: 1 })).choices, 'one retry after the stated wait must do');
});

test("an aborted stream frees the tenant's concurrency", async () => {
  const user = mark();
  const body = { model: 'drip', messages: ASK, user, stream: true };
  const stream = await client('single-node').chat.completions.create(body);
  const words = stream[Symbol.asyncIterator]();
  await words.next();
  await words.next();
  await refused(OpenAI.RateLimitError, call('single-node'));
  const left = Date.now();
  stream.controller.abort();
  await waitAborted(user, left);
  await eventually(() => admitted('single-node'), 1000, "the tenant's one place is still taken");
});
