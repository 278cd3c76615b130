// What is known of the cluster: its document as this page has it, and what follows from that.

import { left } from './base.js';

/** The document, when this page got what it says of the time, when anything was heard last, and who draws. */
export const cluster = {
  doc: null,
  got: 0,
  heard: 0,
  /** Something has changed since it was drawn. */
  changed: false,
  /** Draws all of it; the start says how. */
  draw() {},
};

/** The time of the state's own clock. */
export const stateNow = () => (cluster.doc?.now_ms ?? 0) + (performance.now() - cluster.got);

/** RFC 7396. Objects have no prototype: any name may stand in them. */
export function merge(into, patch) {
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete into[name];
    else if (typeof value !== 'object' || Array.isArray(value)) into[name] = value;
    else {
      const old = into[name];
      const is = typeof old === 'object' && old !== null && !Array.isArray(old);
      into[name] = merge(is ? old : Object.create(null), value);
    }
  }
  return into;
}

/** Why a deployment serves or does not: how bad, a word, and more of it. */
export function standing(deployment, use = fullest(meters(deployment))) {
  const now = stateNow();
  const until = (time) => left(time - now);
  const next = (time) => (time > now ? `next try in ${until(time)}` : 'being tried');
  if (deployment.drained) return { tone: 'calm', word: 'Drained', more: 'no new calls', up: false };
  // The state is away, and was when this page was opened.
  if (!deployment.circuit) return { tone: 'warn', word: 'Not known', more: 'the shared state is away', up: false };
  const account = deployment.account_state;
  if (account) {
    const word = { auth: 'Key refused', quota: 'Credit spent' }[account.state] ?? 'Account refused';
    return { tone: 'bad', word, more: next(account.until), up: false };
  }
  if (deployment.circuit.state === 'open') return { tone: 'bad', word: 'Circuit open', more: next(deployment.circuit.until), up: false };
  if (deployment.rests_until > now) return { tone: 'warn', word: 'Resting', more: `${until(deployment.rests_until)} left`, up: false };
  if (deployment.circuit.state === 'recovering' && deployment.circuit.until > now) {
    return { tone: 'warn', word: 'Recovering', more: `all calls back in ${until(deployment.circuit.until)}`, up: true };
  }
  if (use >= 0.95) return { tone: 'warn', word: 'At its limit', more: 'calls go elsewhere or wait', up: true };
  return { tone: 'good', word: 'Serving', more: '', up: true };
}

/** How full a limit is; of what a provider leaves, if that is less. */
export const share = (meter) => (meter.cap > 0 ? (meter.used + meter.held) / Math.min(meter.cap, meter.learned || meter.cap) : 0);
export const fullest = (limits) => limits.reduce((most, meter) => Math.max(most, share(meter)), 0);

/** The limits of a deployment: its own and its account's. */
export function meters(deployment) {
  const all = [];
  for (const pool of deployment.pools ?? []) {
    for (const meter of cluster.doc.pools?.[pool]?.meters ?? []) all.push({ pool, ...meter });
  }
  return all;
}

export const modelsOf = (name) => Object.entries(cluster.doc.models ?? {}).filter(([, model]) => model.targets.some((target) => target.deployment === name));

/** Since when replicas live that tell nothing of themselves. */
const silent = new Map();
/** One that has just begun, or was not heard for a moment, is given so long. */
const PATIENCE = 5e3;

/** Replicas of a version that knows nothing of drains: they tell nothing to who watches. */
export function older() {
  const { replicas, away } = cluster.doc;
  const is = (replica) => replica.alive && replica.version === undefined && !away;
  for (const name of silent.keys()) if (!replicas?.[name] || !is(replicas[name])) silent.delete(name);
  for (const [name, replica] of Object.entries(replicas ?? {})) {
    if (is(replica) && !silent.has(name)) silent.set(name, performance.now());
  }
  return [...silent].filter(([, since]) => performance.now() - since > PATIENCE).map(([name]) => name);
}
