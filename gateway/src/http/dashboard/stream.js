// The stream of events. A page that nobody sees holds no connection: browsers have six for each host, for all their tabs together.

import { authorised, link, newToken, reason, used } from './access.js';
import { ended } from './calls.js';
import { cluster, merge } from './known.js';
import { absorb, interrupted } from './past.js';

/** The longest silence: something comes twice a second, and every five seconds where looks take long. */
const SILENCE = 15e3;
/** After such a gap it is not known when what came meanwhile has come. */
const GAP = 12e3;
/** Who looks elsewhere for a moment misses nothing. */
const AWAY = 5e3;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Listens for as long as the page is open. */
export async function watch() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 8e3)) {
    await seen();
    const abort = new AbortController();
    const watchdog = timer(SILENCE, () => abort.abort());
    const unseen = timer(AWAY, () => abort.abort());
    const look = () => (document.hidden ? unseen.start() : unseen.stop());
    document.addEventListener('visibilitychange', look);
    watchdog.start();
    const sent = used();
    try {
      const response = await fetch('admin/v1/events', { headers: authorised(), cache: 'no-store', signal: abort.signal });
      if (response.status === 401) {
        watchdog.stop();
        await newToken(sent);
        pause = 250;
        continue;
      }
      if (!response.ok) throw new Error(await reason(response));
      await listen(response.body, () => {
        pause = 500;
        watchdog.start();
        link('good', 'Live');
      });
      link('warn', 'Reconnecting');
    } catch (error) {
      link('warn', 'Reconnecting', error.name === 'AbortError' ? 'nothing was heard for long' : error.message);
    } finally {
      watchdog.stop();
      unseen.stop();
      document.removeEventListener('visibilitychange', look);
    }
    if (!document.hidden) await wait(pause);
  }
}

function timer(ms, work) {
  let running;
  const stop = () => clearTimeout(running);
  return { stop, start() {
    stop();
    running = setTimeout(work, ms);
  } };
}

/** Resolves while somebody can see this page. */
function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    document.addEventListener('visibilitychange', function look() {
      if (document.hidden) return;
      document.removeEventListener('visibilitychange', look);
      done();
    });
  });
}

async function listen(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    rest += value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      take(rest.slice(0, end));
      rest = rest.slice(end + 2);
    }
  }
}

function take(event) {
  if (performance.now() - cluster.heard > GAP) interrupted();
  cluster.heard = performance.now();
  if (event.startsWith(':')) return; // it goes on
  const [name, data] = event.split('\n');
  const told = JSON.parse(data.slice('data: '.length));
  const before = cluster.doc?.now_ms;
  switch (name.slice('event: '.length)) {
    case 'state':
      cluster.doc = merge(Object.create(null), told);
      break;
    case 'patch':
      if (!cluster.doc) return;
      merge(cluster.doc, told);
      break;
    case 'calls':
      ended(told);
      return;
    default:
      return;
  }
  // While the state is away its clock is not told, and goes on all the same.
  if (cluster.doc.now_ms !== before) cluster.got = performance.now();
  absorb(cluster.doc.sums);
  cluster.changed = true;
}
