// Experiments: what each variant came to, and its share.

import { ask } from './access.js';
import { $, dollars, h, keyed, percent, pill, put, short, time } from './base.js';
import { cluster } from './known.js';
import { act, say } from './say.js';

const HEADS = ['Variant', 'Share', 'Now', 'Calls', 'Errors', 'Half within', '95 % within', 'Per call', 'Mean latency beside the first'];
const interval = (known, text) => (known ? [text(known.value), `${text(known.low)} to ${text(known.high)}`] : ['–', '']);
const cell = () => h('td', { class: 'n' }, h('span', {}), h('span', { class: 'ci' }));
const ci = (cell, [value, between]) => {
  put(cell.firstChild, value);
  put(cell.lastChild, between);
};

const showRows = keyed($('experiments-rows'), (name) => {
  const from = pill('quiet', '');
  const note = h('span', { class: 'hint' });
  const body = h('tbody', {});
  const table = h('table', {}, h('thead', {}, h('tr', {}, HEADS.map((head, at) => h('th', { scope: 'col', class: at > 0 ? 'n' : null }, head)))), body);
  const rows = new Map();
  /** Which shares the operator has seen: what is set meanwhile by somebody else is not to be overwritten. */
  const seen = { newest: 0, typed: null };
  const panel = h('article', { class: 'panel' },
    h('div', { class: 'exp-head' }, h('h3', {}, name), from, note),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Variants of ${name}` }, table),
    acts(name, rows, seen));
  panel.update = (experiment) => {
    const isOfFile = experiment.shares_from === 'file';
    seen.newest = experiment.version;
    put(note, `of ${experiment.model}, by ${experiment.by}${experiment.whole_cluster ? '' : '; of this replica alone'}`);
    from.say(isOfFile ? 'quiet' : 'calm', isOfFile ? 'shares of the file' : 'shares set at run time');
    for (const variant of experiment.variants) {
      if (!rows.has(variant.name)) rows.set(variant.name, variantRow(name, variant.name, body, seen));
      rows.get(variant.name).update(variant);
    }
    for (const [variant, row] of rows) {
      if (experiment.variants.some((known) => known.name === variant)) continue;
      row.node.remove();
      rows.delete(variant);
    }
  };
  return panel;
});

/** What can be done about the shares of an experiment. */
function acts(name, rows, seen) {
  const change = async (body, done) => {
    const version = seen.typed ?? seen.newest;
    const answer = await act(done, () => ask('PUT', `experiments/${encodeURIComponent(name)}`, { ...body, version }));
    seen.typed = null; // what was typed stays; who sets it again has seen what holds
    if (answer) for (const row of rows.values()) row.dirty = false;
    await pollExperiments();
  };
  const button = (look, text, onclick) => h('button', { type: 'button', class: look, onclick }, text);
  return h('div', { class: 'exp-acts' },
    button('main', 'Set shares', () => {
      const empty = [...rows].find(([, row]) => row.input.value.trim() === '' || !Number.isFinite(Number(row.input.value)));
      if (empty) {
        say('bad', `Variant ${empty[0]} has no share; 0 sends nothing there.`);
        empty[1].input.focus();
        return;
      }
      change({ shares: Object.fromEntries([...rows].map(([variant, row]) => [variant, Number(row.input.value)])) }, `Shares of ${name} are set`);
    }),
    button('quiet', "Use the file's", () => change({ shares: null }, `Shares of ${name} are those of the file`)),
    button('quiet', 'Measure anew', () => {
      const { told, variants } = cluster.doc.experiments?.[name] ?? {};
      const shares = told ? Object.fromEntries(variants.map((variant) => [variant.name, variant.share])) : null;
      change({ shares, anew: true }, `${name} is measured anew`);
    }));
}

function variantRow(experiment, name, body, seen) {
  const input = h('input', { type: 'number', min: 0, step: 'any', 'aria-label': `Share of ${name} in ${experiment}` });
  const [nowShare, calls] = [h('td', { class: 'n' }), h('td', { class: 'n' })];
  const [errors, half, most, cost, beside] = [0, 1, 2, 3, 4].map(cell);
  const node = h('tr', {}, h('th', { scope: 'row' }, h('span', { class: 'name' }, name)), h('td', { class: 'n' }, input), nowShare, calls, errors, half, most, cost, beside);
  body.append(node);
  const row = { node, input, dirty: false };
  input.addEventListener('input', () => {
    row.dirty = true;
    seen.typed ??= seen.newest;
  });
  row.update = (variant) => {
    if (!row.dirty && document.activeElement !== input) input.value = variant.share;
    put(nowShare, percent(variant.share_of_units, 1));
    put(calls, short(variant.calls));
    const signed = (ms) => `${ms < 0 ? '−' : '+'}${time(Math.abs(ms))}`;
    ci(errors, interval(variant.error_rate, (n) => percent(n, 1)));
    ci(half, interval(variant.latency_ms?.p50, time));
    ci(most, interval(variant.latency_ms?.p95, time));
    ci(cost, interval(variant.cost_usd_per_call, dollars));
    ci(beside, interval(variant.difference?.latency_ms, signed));
  };
  return row;
}

export async function pollExperiments() {
  const has = Object.keys(cluster.doc?.experiments ?? {}).length > 0;
  $('experiments').hidden = $('nav-experiments').hidden = !has;
  if (!has) return;
  const page = await ask('GET', 'experiments');
  const all = new Map((page?.experiments ?? []).map((experiment) => [experiment.name, experiment]));
  showRows([...all.keys()], (name) => all.get(name));
}
