// Bars of limits, and the limits that are of no deployment: the gateway's, tenants' and keys'.

import { $, byName, dollars, h, keyed, mark, number, percent, put, short, span } from './base.js';
import { cluster, fullest, share } from './known.js';

const KINDS = { requests: 'requests', tokens: 'tokens', input_tokens: 'input', output_tokens: 'output', concurrency: 'at once', usd: 'US$' };
/** What is sorted by what changes all the time is sorted so seldom. */
export const STEADY = 4e3;

/** One limit: its name, a bar of what is used and held, and both in numbers. */
export function meterRow() {
  const what = h('span', { class: 'what' });
  const [used, held, edge] = [h('i', { class: 'used' }), h('i', { class: 'held' }), h('u', {})];
  const bar = h('div', { class: 'meter', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100 }, used, held, edge);
  const [big, small] = [h('b', {}), h('span', { class: 'soft' })];
  const node = h('div', { class: 'meter-row' }, what, bar, h('span', { class: 'val' }, big, small));
  node.update = (meter) => {
    const key = `${meter.pool}${meter.kind}${meter.window_ms}${meter.cap}${meter.learned}${meter.used}${meter.held}`;
    if (node.key === key) return;
    node.key = key;
    const amount = (n) => (meter.kind === 'usd' ? dollars(n / 1e6) : short(n));
    const kind = KINDS[meter.kind] ?? meter.kind;
    const name = meter.kind === 'concurrency' ? kind : `${kind}/${span(meter.window_ms)}`;
    put(what, name);
    const of = (n) => Math.min(100, (100 * n) / (meter.cap || 1));
    used.style.width = `${of(meter.used)}%`;
    held.style.left = `${of(meter.used)}%`;
    held.style.width = `${Math.min(100 - of(meter.used), of(meter.held))}%`;
    edge.hidden = !(meter.learned < meter.cap);
    edge.style.left = `calc(${of(meter.learned)}% - 2px)`;
    const full = share(meter);
    mark(bar, 'data-tone', full >= 0.95 ? 'bad' : full >= 0.8 ? 'warn' : null);
    mark(bar, 'aria-valuenow', Math.round(Math.min(1, full) * 100));
    mark(bar, 'aria-label', `${name} of ${meter.pool}`);
    mark(bar, 'title', `${meter.pool}: ${amount(meter.used)} used, ${amount(meter.held)} held, of ${amount(meter.cap)}${meter.learned < meter.cap ? `; its provider leaves ${amount(meter.learned)}` : ''}`);
    put(big, percent(Math.min(full, 1), 1));
    put(small, ` ${amount(meter.used + meter.held)} of ${amount(meter.cap)}`);
  };
  return node;
}

/** Bars of so many limits at most, the fullest ones, in the order that they have; which ones these are is looked at every few seconds. */
export function meterList(most) {
  const bars = h('div', { class: 'meters' });
  let chosen = [];
  let at = -Infinity;
  let all = 0;
  bars.update = (limits) => {
    if (limits.length !== all || performance.now() - at > STEADY) {
      const places = limits.map((meter, place) => [place, share(meter)]).sort((a, b) => b[1] - a[1]);
      chosen = places.slice(0, most).map(([place]) => place).sort((a, b) => a - b);
      [all, at] = [limits.length, performance.now()];
    }
    while (bars.children.length > chosen.length) bars.lastChild.remove();
    while (bars.children.length < chosen.length) bars.append(meterRow());
    chosen.forEach((place, index) => bars.children[index].update(limits[place]));
  };
  return bars;
}

/** So many pools of ours are drawn at most. */
const DRAWN = 24;
const view = { order: [], at: -Infinity };

const showRows = keyed($('limits-rows'), (name) => {
  const bars = meterList(8);
  const rest = h('p', { class: 'soft' });
  const row = h('li', { class: 'limit' }, h('div', { class: 'who' }, h('span', { class: 'name' }, words(name)), rest), bars);
  row.update = (limits) => {
    put(rest, limits.length === 1 ? '1 limit' : `${limits.length} limits`);
    bars.update(limits);
  };
  return row;
});

/** As people say it: `tenant/a` is tenant a. */
const words = (name) => (name.startsWith('tenant/') ? `Tenant ${name.slice('tenant/'.length)}` : name === 'gateway' ? 'The gateway' : name);

export function showLimits() {
  const pools = cluster.doc.pools ?? {};
  const limits = (name) => (pools[name]?.meters ?? []).map((meter) => ({ pool: name, ...meter }));
  const ours = Object.keys(pools).filter((name) => pools[name].ours && pools[name].meters.length > 0);
  $('limits').hidden = $('nav-limits').hidden = ours.length === 0;
  if (ours.length === 0) return;
  const known = new Set(ours);
  if (performance.now() - view.at > STEADY || view.order.some((name) => !known.has(name))) {
    const full = new Map(ours.map((name) => [name, fullest(limits(name))]));
    view.order = ours.sort((a, b) => full.get(b) - full.get(a) || byName(a, b)).slice(0, DRAWN);
    view.at = performance.now();
  }
  put($('limits-n'), ours.length > DRAWN ? `The fullest ${DRAWN} of ${number(ours.length)}.` : 'The fullest first.');
  showRows(view.order, limits);
}
