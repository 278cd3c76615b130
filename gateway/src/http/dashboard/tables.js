// Models, replicas and sessions.

import { $, byName, h, keyed, mark, number, percent, pill, put, rate, short } from './base.js';
import { filterByModel } from './deployments.js';
import { cluster } from './known.js';
import { lately } from './past.js';

const showModelRows = keyed($('models-rows'), (name) => {
  const strategy = h('td', {});
  const [serving, calls, failed, waits] = [0, 1, 2, 3].map(() => h('td', { class: 'n' }));
  const falls = h('td', { class: 'soft' });
  const button = h('button', { type: 'button', class: 'link', title: 'Show its deployments', onclick: () => filterByModel(name) }, name);
  const row = h('tr', {}, h('th', { scope: 'row' }, button), strategy, serving, calls, failed, waits, falls);
  const state = pill('good', '');
  serving.append(state);
  row.update = ({ model, up, of }) => {
    const { doc } = cluster;
    const [ended, bad] = of ?? [0, 0];
    const all = model.targets.length;
    put(strategy, model.strategy);
    // While the state is away nobody knows that all of them serve.
    const tone = doc.away ? 'warn' : up === 0 ? 'bad' : up < all ? 'warn' : 'good';
    state.say(tone, doc.away ? `${up} of ${all} before` : `${up} of ${all}`);
    put(calls, rate((lately.ten.models.get(name)?.[0] ?? 0) / lately.ten.dt));
    put(failed, percent(bad, ended));
    put(waits, number(doc.waiting?.[name] ?? 0));
    put(falls, (model.fallbacks ?? []).join(', ') || '–');
  };
  return row;
});

export function showModels(standings) {
  const models = cluster.doc.models ?? {};
  const names = Object.keys(models).sort(byName);
  put($('models-n'), `${names.length} ${names.length === 1 ? 'model' : 'models'}. Failed: of the last minute.`);
  showModelRows(names, (name) => {
    const model = models[name];
    const up = model.targets.filter((target) => standings.get(target.deployment)?.up).length;
    return { model, up, of: lately.minute.models.get(name) };
  });
}

const showReplicaRows = keyed($('replicas-rows'), (name) => {
  const state = pill('good', '');
  const [hand, calls] = [0, 1].map(() => h('td', { class: 'n' }));
  const config = h('span', { class: 'mono' });
  const more = h('span', { class: 'soft' });
  const here = h('span', { class: 'soft' });
  const row = h('tr', {}, h('th', { scope: 'row' }, h('span', { class: 'name' }, name), here), h('td', {}, state), hand, calls, h('td', {}, config, more));
  row.update = ({ replica, usual }) => {
    put(here, name === cluster.doc.replica ? ' (shows this)' : '');
    state.say(...how(replica));
    put(hand, replica.in_hand === undefined ? '–' : number(replica.in_hand));
    put(calls, rate((lately.ten.replicas.get(name) ?? 0) / lately.ten.dt));
    put(config, replica.config?.slice(0, 8) ?? '–');
    const odd = replica.alive && replica.config && replica.config !== usual;
    put(more, `${odd ? '  differs' : ''}${replica.config_refused ? '  file refused' : ''}${replica.version ? `  ${replica.version}` : ''}`);
  };
  return row;
});

function how(replica) {
  if (!replica.alive) return ['bad', 'Gone'];
  if (replica.draining) return ['calm', 'Draining'];
  return replica.degraded ? ['warn', 'Without the state'] : ['good', 'Alive'];
}

export function showReplicas() {
  const replicas = cluster.doc.replicas ?? {};
  const names = Object.keys(replicas).sort(byName);
  const alive = names.filter((name) => replicas[name].alive);
  put($('replicas-n'), `${alive.length} of ${names.length} alive`);
  const counts = new Map();
  for (const name of alive) counts.set(replicas[name].config, (counts.get(replicas[name].config) ?? 0) + 1);
  const usual = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  showReplicaRows(names, (name) => ({ replica: replicas[name], usual }));
}

const WORDS = ['Stayed', 'Began', 'Moved'];
const bars = WORDS.map(() => h('i', {}));
const values = WORDS.map(() => h('dd', {}));
const note = h('p', { class: 'hint note' });
const bar = h('div', { class: 'split', role: 'img' }, bars);
$('sessions-body').append(bar, h('dl', { class: 'parts' }, WORDS.map((word, at) => h('div', {}, h('dt', {}, h('i', { 'aria-hidden': 'true' }), word), values[at]))), note);

export function showSessions(all) {
  const sum = all.sessions.reduce((sum, n) => sum + n, 0);
  all.sessions.forEach((n, at) => {
    bars[at].style.flexGrow = n;
    put(values[at], `${short(n)} · ${percent(n, sum)}`);
  });
  mark(bar, 'aria-label', WORDS.map((word, at) => `${word} ${percent(all.sessions[at], sum)}`).join(', '));
  put(note, sum === 0 ? 'No call belonged to a session.' : `${percent(sum, all.calls)} of the calls belong to one. Providers read ${percent(all.cached, all.input)} of all input from their caches.`);
}
