// What holds for every call of the API: errors as the SDK's own classes, failures behind the gateway, leaving.
import { test } from 'node:test';
import { OpenAI, SETTINGS, arrivals, assert, client, mark, onlyArrival, refused, waitAborted } from './weir.mjs';

const text = 'How are you?';
const APIS = {
  chat: (sdk, more) => sdk.chat.completions.create({ model: 'echo', messages: [{ role: 'user', content: text }], ...more }),
  completions: (sdk, more) => sdk.completions.create({ model: 'echo', prompt: text, ...more }),
  embeddings: (sdk, more) => sdk.embeddings.create({ model: 'echo', input: text, ...more }),
  responses: (sdk, more) => sdk.responses.create({ model: 'echo', input: text, ...more }),
};
const TOO_MUCH = {
  chat: { max_tokens: 50_000 },
  completions: { max_tokens: 50_000 },
  embeddings: { input: 'word '.repeat(20_000) },
  responses: { max_output_tokens: 50_000 },
};

/** A client with two retries, and the times at which it sent something. */
function counting(tenant, more = {}) {
  const times = [];
  const counted = (...request) => {
    times.push(performance.now());
    return fetch(...request);
  };
  return { times, sdk: client(tenant, { maxRetries: 2, fetch: counted, ...more }) };
}

/** The error of a call that must fail with exactly this class and status, and names its request. */
async function fails(kind, status, promise) {
  const error = await refused(kind, promise);
  assert.equal(error.status, status);
  assert.match(error.requestID, /^req_/);
  assert.ok(error.message && error.type);
  return error;
}

for (const [name, call] of Object.entries(APIS)) {
  test(`${name}: what the client is to blame for`, async () => {
    for (const [kind, status, code, sdk, more] of [
      [OpenAI.AuthenticationError, 401, 'invalid_api_key', client('sk-nobody'), {}],
      [OpenAI.PermissionDeniedError, 403, 'model_not_allowed', client('narrow'), { model: 'strict' }],
      [OpenAI.NotFoundError, 404, 'model_not_found', client(), { model: 'gpt-nobody' }],
      [OpenAI.APIError, 413, 'request_too_large', client(), { padding: 'x'.repeat(1 << 20) }],
    ]) {
      assert.equal((await fails(kind, status, call(sdk, more))).code, code);
    }
    const wrong = { messages: 5, prompt: {}, input: 5 };
    assert.equal((await fails(OpenAI.BadRequestError, 400, call(client(), wrong))).type, 'invalid_request_error');
  });

  test(`${name}: the provider's own refusals are kept`, async () => {
    for (const [model, kind, status, code] of [
      ['refuse', OpenAI.BadRequestError, 400, 'context_length_exceeded'],
      ['unprocessable', OpenAI.UnprocessableEntityError, 422, 'invalid_value'],
    ]) {
      const user = mark();
      assert.equal((await fails(kind, status, call(client(), { model, user }))).code, code);
      await onlyArrival(user);
    }
  });

  test(`${name}: more than a whole limit is refused for good, a busy provider for a while`, async () => {
    const { times, sdk } = counting('small-node');
    const forGood = await fails(OpenAI.RateLimitError, 429, call(sdk, TOO_MUCH[name]));
    assert.equal(forGood.headers.get('x-should-retry'), 'false');
    assert.equal(times.length, 1);
    const forNow = await fails(OpenAI.RateLimitError, 429, call(client(), { model: 'busy' }));
    assert.equal(forNow.code, 'rate_limit_exceeded');
    assert.ok(Number(forNow.headers.get('retry-after')) > 0);
  });

  test(`${name}: providers that all fail are a server error that no SDK retries`, async () => {
    const user = mark();
    const { times, sdk } = counting('main');
    const error = await fails(OpenAI.InternalServerError, 502, call(sdk, { model: 'broken', user }));
    assert.deepEqual([error.code, error.headers.get('x-should-retry'), times.length], ['upstream_failed', 'false', 1]);
    assert.equal((await arrivals(user)).length, 3);
    assert.equal((await fails(OpenAI.InternalServerError, 502, call(client(), { model: 'broken-mixed' }))).code, 'upstream_failed');
  });

  test(`${name}: state that is away is an unavailable service that the SDK tries again`, async () => {
    const { times, sdk } = counting('small-node', { baseURL: `${SETTINGS.away}/v1`, maxRetries: 1 });
    const error = await fails(OpenAI.InternalServerError, 503, call(sdk, {}));
    assert.equal(error.code, 'state_unavailable');
    assert.equal(times.length, 2);
    assert.ok(times[1] - times[0] >= 900, 'it came back before the time it was told');
  });

  test(`${name}: a failing provider is not seen when another can serve`, async () => {
    const user = mark();
    await call(client(), { model: 'failover', user });
    assert.deepEqual((await arrivals(user)).map((arrival) => arrival.model), ['fail-500', 'echo']);
  });

  test(`${name}: a client that does not wait is gone for the provider too`, async () => {
    const user = mark();
    await refused(OpenAI.APIConnectionTimeoutError, call(client('main', { timeout: 500 }), { model: 'slow', user }));
    await waitAborted(user, Date.now());
  });
}
