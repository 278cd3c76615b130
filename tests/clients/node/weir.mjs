// What every test needs: clients of the gateway, and the scripted provider's record of what reached it.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';

export const SETTINGS = JSON.parse(process.env.WEIR_CLIENTS);
export const STRANGE = 'Zürich "Altstadt" \\ 日本 🚀'; // what the scripted provider puts into every generated string
export const ASK = [{ role: 'user', content: 'How are you?' }];
export const ANSWER = 'choice 0 echoes: How are you?';
const SEEN_WITHIN = 1000; // ms, for a cancelled call to be cancelled upstream

/** A client with a tenant's key (or any other text as the key); without retries unless the test asks for them. */
export function client(tenant = 'main', more = {}) {
  const apiKey = SETTINGS.keys[tenant] ?? tenant;
  return new OpenAI({ baseURL: `${SETTINGS.gateway}/v1`, apiKey, maxRetries: 0, timeout: 20_000, ...more });
}

/** A fresh value for the `user` field, by which a call is found at the provider. */
export const mark = () => `mark-${randomUUID()}`;

/** The calls that reached the scripted provider with this `user`, oldest first, bodies decoded to text. */
export async function arrivals(user) {
  const calls = await (await fetch(`${SETTINGS.scripted}/_calls?user=${user}`)).json();
  return calls.map((call) => ({ ...call, body: Buffer.from(call.body, 'base64').toString('utf8') }));
}

/** The requests that reached aimock with this text anywhere in their body, oldest first. */
export async function mocked(text) {
  const entries = await (await fetch(`${SETTINGS.aimock}/__aimock/journal`)).json();
  return entries.filter((entry) => JSON.stringify(entry.body).includes(text));
}

/** The gateway's line about one call; it is written just after the call's end. */
export async function logged(requestId) {
  let found = [];
  const look = async () => {
    const lines = (await readFile(SETTINGS.log, 'utf8')).split('\n');
    found = lines.filter((line) => line.includes(requestId) && line.includes('"weir::call"'));
    return found.length > 0;
  };
  await eventually(look, SEEN_WITHIN, `no line about ${requestId} in the gateway's log`);
  assert.equal(found.length, 1, `more than one line about one call: ${found}`);
  return JSON.parse(found[0]);
}

/** The scripted provider's vector of a text. */
export function vector(text, dimensions = 16) {
  const digest = createHash('sha256').update(text).digest();
  return Array.from(digest.subarray(0, dimensions), (byte) => (byte - 128) / 64);
}

/** The one call that reached the provider with this `user`. */
export async function onlyArrival(user) {
  const calls = await arrivals(user);
  assert.equal(calls.length, 1, `expected one arrival at the provider, saw ${JSON.stringify(calls)}`);
  return calls[0];
}

/** Waits until the provider has seen the caller of its one call leave; `since` is when the client left (Date.now()). */
export async function waitAborted(user, since) {
  const ended = async () => (await onlyArrival(user)).outcome !== 'running';
  await eventually(ended, SEEN_WITHIN, 'the provider still answers');
  const call = await onlyArrival(user);
  assert.equal(call.outcome, 'aborted', "the provider's record does not say that the caller left");
  const late = call.ended * 1000 - since;
  assert.ok(late <= SEEN_WITHIN, `the provider saw the abort ${late} ms after the client left`);
}

/** Every call that reached the strict provider, from arrival on. */
export async function strictLog() {
  const lines = (await (await fetch(`${SETTINGS.strict}/_log`)).text()).split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}

/** Polls until `holds()`; fails with `otherwise` after `within` ms. */
export async function eventually(holds, within, otherwise) {
  const deadline = Date.now() + within;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `${otherwise} after ${within} ms`);
    await sleep(20);
  }
}

/** All chunks of a stream. */
export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** The text of one choice of a stream. */
export function textOf(chunks, index = 0) {
  const choices = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
  return choices.map((choice) => choice.delta.content ?? '').join('');
}

/** The error of a call that must fail with exactly this class. */
export async function refused(kind, promise) {
  const error = await promise.then(
    (value) => assert.fail(`answered instead of failing: ${JSON.stringify(value)}`),
    (reason) => reason,
  );
  assert.equal(error.constructor, kind, `${error.constructor.name} instead of ${kind.name}: ${error.message}`);
  return error;
}

export { assert, OpenAI, sleep };
