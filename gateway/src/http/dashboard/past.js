// What calls came to, second by second, for ten minutes. Replicas tell sums; what was added to them is what has happened.

import { cluster } from './known.js';

const MINUTES = 10;
/** Charts reach back as far as there is something to see, in one of these steps. */
const STEPS = [2, 5, MINUTES];
const opened = performance.now();
export const reach = () => STEPS.find((step) => performance.now() - opened < step * 60e3) ?? MINUTES;
/** How far calls are looked back for what is said of "now", seconds. */
const NOW = 10;
/** All that is kept, seconds. */
export const WHOLE = MINUTES * 60;

const NAMES = ['deployments', 'models'];
export const TIMES = ['whole', 'first'];

export const past = { seconds: [], open: fresh(), told: new Map() };
/** What the last ten seconds and the last minute came to, when it was drawn last. */
export const lately = { ten: fresh(), minute: fresh() };

function fresh() {
  return {
    at: performance.now(), dt: 0, calls: 0, failed: 0, refused: 0, left: 0, input: 0, cached: 0, output: 0, cost: 0, sessions: [0, 0, 0],
    whole: new Map(), first: new Map(), deployments: new Map(), models: new Map(), replicas: new Map(), inHand: 0, waiting: 0,
  };
}

/** Nothing was heard for a while: what came meanwhile is of no second that is known. */
export function interrupted() {
  past.told.clear();
}

/** Takes what was added to the sums since they were told last. */
export function absorb(sums) {
  for (const replica of past.told.keys()) if (!sums?.[replica]) past.told.delete(replica);
  for (const [replica, now] of Object.entries(sums ?? {})) {
    const known = past.told.get(replica);
    past.told.set(replica, structuredClone({ ...now }));
    if (!known) continue; // what was before this page is not its past
    const before = known.since === now.since ? known : {};
    absorbSums(replica, now, before);
    absorbTimes(now.all, before.all);
    for (const kind of NAMES) {
      for (const [name, counts] of Object.entries(now[kind] ?? {})) {
        const old = before[kind]?.[name];
        const added = counts.map((n, at) => n - (old?.[at] ?? 0));
        if (added[0] > 0) addTo(past.open[kind], name, added);
      }
    }
  }
}

function absorbSums(replica, now, before) {
  const open = past.open;
  const more = (name) => (now.all?.[name] ?? 0) - (before.all?.[name] ?? 0);
  for (const name of ['calls', 'failed', 'refused', 'left', 'input', 'output']) open[name] += more(name);
  open.cached += (now.cached ?? 0) - (before.cached ?? 0);
  open.cost += (now.all?.cost?.sum ?? 0) - (before.all?.cost?.sum ?? 0);
  open.replicas.set(replica, (open.replicas.get(replica) ?? 0) + more('calls'));
  now.sessions?.forEach((n, at) => (open.sessions[at] += n - (before.sessions?.[at] ?? 0)));
}

function absorbTimes(now, before) {
  for (const kind of TIMES) {
    const [open, old] = [past.open[kind], before?.[kind]?.buckets];
    for (const [bucket, n] of Object.entries(now?.[kind]?.buckets ?? {})) {
      const added = n - (old?.[bucket] ?? 0);
      if (added > 0) open.set(+bucket, (open.get(+bucket) ?? 0) + added);
    }
  }
}

function addTo(map, name, counts) {
  const sum = map.get(name);
  if (sum) counts.forEach((n, at) => (sum[at] += n));
  else map.set(name, [...counts]);
}

/** Ends a second. */
export function turn() {
  const open = past.open;
  open.dt = (performance.now() - open.at) / 1e3;
  open.inHand = overReplicas('in_hand');
  open.waiting = overReplicas('waiting');
  past.seconds.push(open);
  const oldest = performance.now() - WHOLE * 1e3;
  while (past.seconds.length > 0 && past.seconds[0].at < oldest) past.seconds.shift();
  past.open = fresh();
}

export const overReplicas = (name) => Object.values(cluster.doc?.replicas ?? {}).reduce((sum, replica) => sum + (replica[name] ?? 0), 0);

/** Looks back anew. */
export function look() {
  [lately.ten, lately.minute] = [last(NOW, [...NAMES, ...TIMES]), last(60, [...NAMES, ...TIMES])];
}

/** What the last seconds came to together; by name and bucket as well, of these kinds. */
export function last(seconds, kinds) {
  const from = performance.now() - seconds * 1e3;
  let begin = past.seconds.length;
  while (begin > 0 && past.seconds[begin - 1].at >= from) begin -= 1;
  return together(past.seconds.slice(begin), kinds);
}

export function together(parts, kinds) {
  const all = fresh();
  for (const part of parts) {
    for (const name of ['dt', 'calls', 'failed', 'refused', 'left', 'input', 'cached', 'output', 'cost']) all[name] += part[name];
    part.sessions.forEach((n, at) => (all.sessions[at] += n));
    for (const kind of TIMES) {
      if (kinds.includes(kind)) for (const [bucket, n] of part[kind]) all[kind].set(bucket, (all[kind].get(bucket) ?? 0) + n);
    }
    for (const kind of NAMES) if (kinds.includes(kind)) for (const [name, counts] of part[kind]) addTo(all[kind], name, counts);
    for (const [name, n] of part.replicas) all.replicas.set(name, (all.replicas.get(name) ?? 0) + n);
    all.inHand = Math.max(all.inHand, part.inHand);
    all.waiting = Math.max(all.waiting, part.waiting);
  }
  all.dt = Math.max(all.dt, 1);
  return all;
}

/** The time that a share of calls stays within, milliseconds; the buckets are those of the gateway. */
export function within(buckets, share) {
  let all = 0;
  for (const n of buckets.values()) all += n;
  if (all === 0) return null;
  let before = 0;
  for (const bucket of [...buckets.keys()].sort((a, b) => a - b)) {
    before += buckets.get(bucket);
    if (before >= share * all) return 1e3 * 1e-4 * 1.04 ** (bucket + 0.5);
  }
  return null;
}
