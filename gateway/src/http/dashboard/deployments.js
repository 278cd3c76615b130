// Deployments: how each stands, how full its limits are, and what is done about it.

import { $, byName, chips, h, keyed, mark, number, percent, pill, put, rate } from './base.js';
import { cluster } from './known.js';
import { STEADY, meterList } from './meters.js';
import { lately } from './past.js';
import { confirmDrain, openSheet, resume } from './sheet.js';

const view = { search: '', filter: 'all', model: null, sort: 'name', sorted: 0, order: [] };
const FILTERS = [['all', 'All'], ['serving', 'Serving'], ['trouble', 'Trouble'], ['busy', 'Busy'], ['drained', 'Drained']];
/** Limits of a deployment that its row has room for. */
const SHOWN = 4;

/** Something else is to be shown. */
function show(change) {
  Object.assign(view, change, { order: [] });
  cluster.draw();
}
const showFilters = chips($('filters'), FILTERS, () => view.filter, (key) => show({ filter: key }));
$('search').addEventListener('input', () => show({ search: $('search').value.trim().toLowerCase() }));
$('sort').addEventListener('change', () => show({ sort: $('sort').value }));
export function filterByModel(name) {
  show({ model: name, filter: 'all' });
  $('deployments').scrollIntoView();
}

const showRows = keyed($('deployments-rows'), (name) => {
  const title = h('button', { type: 'button', class: 'link', 'aria-haspopup': 'dialog', onclick: () => openSheet(name) }, name);
  const under = h('p', { class: 'soft cut' });
  const state = pill('good', '');
  const more = h('span', { class: 'soft' });
  const bars = meterList(SHOWN);
  const [calls, bad] = [h('b', {}), h('div', { class: 'soft' })];
  const turn = () => (cluster.doc.deployments[name]?.drained ? resume(name) : confirmDrain(name));
  const button = h('button', { type: 'button', class: 'quiet', onclick: turn });
  const row = h('li', { class: 'row' },
    h('div', { class: 'who' }, title, under), h('div', { class: 'how' }, state, more), bars,
    h('div', { class: 'rate' }, h('div', {}, calls, h('span', { class: 'soft' }, ' /s')), bad), h('div', { class: 'does' }, button));
  row.update = ({ deployment, standing }) => {
    put(under, `${deployment.account} · ${deployment.provider} · ${deployment.model}`);
    mark(row, 'data-tone', standing.tone);
    state.say(standing.tone, standing.word);
    const weight = deployment.weight === undefined ? '' : `weight ${deployment.weight}`;
    put(more, [standing.more, weight].filter(Boolean).join(' · '));
    bars.update(standing.limits);
    const [ended] = lately.ten.deployments.get(name) ?? [0];
    const [all, failed] = lately.minute.deployments.get(name) ?? [0, 0];
    put(calls, rate(ended / lately.ten.dt));
    put(bad, failed > 0 ? `${percent(failed, all)} failed` : '');
    bad.classList.toggle('bad', failed > 0);
    put(button, deployment.drained ? 'Resume' : 'Drain');
    mark(button, 'aria-label', `${deployment.drained ? 'Resume' : 'Drain'} ${name}`);
  };
  return row;
});

export function showDeployments(standings) {
  const all = cluster.doc.deployments ?? {};
  const is = {
    all: () => true,
    serving: (name) => standings.get(name).up,
    trouble: (name) => ['bad', 'warn'].includes(standings.get(name).tone),
    busy: (name) => standings.get(name).use >= 0.8,
    drained: (name) => all[name].drained,
  };
  const found = looked(all);
  showFilters(Object.fromEntries(FILTERS.map(([key]) => [key, found.filter(is[key]).length])));
  order(found.filter(is[view.filter]), standings);
  showRows(view.order, (name) => ({ deployment: all[name], standing: standings.get(name) }));
  $('deployments-rows').classList.toggle('many', view.order.length > 40);
  $('deployments-none').hidden = view.order.length > 0;
  hint(`${number(view.order.length)} of ${number(Object.keys(all).length)} shown`);
}

/** Those that are looked for. */
function looked(all) {
  const members = view.model === null ? null : new Set((cluster.doc.models?.[view.model]?.targets ?? []).map((target) => target.deployment));
  return Object.keys(all).filter((name) => {
    const { account, provider, model } = all[name];
    const text = `${name}\n${account}\n${provider}\n${model}`.toLowerCase();
    return (!members || members.has(name)) && (view.search === '' || text.includes(view.search));
  });
}

/** An order by what changes all the time changes every few seconds only. */
function order(shown, standings) {
  const known = new Set(view.order);
  const stale = performance.now() - view.sorted > STEADY || shown.length !== view.order.length || shown.some((name) => !known.has(name));
  if (!stale) return;
  const rank = { bad: 0, warn: 1, calm: 2, good: 3 };
  const score = {
    name: () => 0,
    use: (name) => -standings.get(name).use,
    calls: (name) => -(lately.ten.deployments.get(name)?.[0] ?? 0),
    trouble: (name) => rank[standings.get(name).tone],
  }[view.sort];
  view.order = shown.sort((a, b) => score(a) - score(b) || byName(a, b));
  view.sorted = performance.now();
}

function hint(text) {
  const node = $('deployments-n');
  if (view.model === null) {
    put(node, text);
    return;
  }
  const key = `${view.model} ${text}`;
  if (node.shown === key) return;
  const all = h('button', { type: 'button', class: 'link', onclick: () => {
    show({ model: null });
    $('search').focus();
  } }, 'Show all');
  node.replaceChildren(`${text}, those of ${view.model}. `, all);
  node.shown = key; // so that another text is put in its place
}
