// What the last 24 hours cost, and what was saved beside the baseline and beside the dearest deployment.

import { ask } from './access.js';
import { $, chips, dollars, h, keyed, mark, number, put, s, short } from './base.js';
import { nice } from './charts.js';

const HOURS = 24;
/** So many rows at most, the dearest first. */
const ROWS = 25;
const BYS = [['model', 'By model'], ['deployment', 'By deployment'], ['tenant', 'By tenant']];
let by = 'model';
const showBys = chips($('costs-by'), BYS, () => by, (key) => {
  by = key;
  showBys();
  // (What cannot be told now is asked for again by and by.)
  pollCosts().catch((error) => console.info(error.message));
});

const perMillion = (usd) => (usd === null || usd === undefined ? '–' : dollars(usd));
/** What was spent in excess is saved with a sign. */
const saved = (usd) => (usd < 0 ? `−${dollars(-usd)}` : dollars(usd ?? 0));
/** A share of what it would have cost. */
const less = (saved, spent) => (saved + spent > 0 && saved > 0 ? `${Math.round((100 * saved) / (saved + spent))} % less` : '');

function stat(title) {
  const [big, small] = [h('strong', {}), h('p', {})];
  const node = h('article', { class: 'card' }, h('h3', {}, title), h('div', { class: 'figure' }, big), small);
  return { node, say(figure, words) {
    put(big, figure);
    put(small, words);
  } };
}
const [spent, beside, blended, unpriced] = [`Spent, last ${HOURS} hours`, 'Saved beside the baseline', 'Per million tokens', 'Without a known price'].map(stat);

/** A bar for each hour. */
const picture = s('svg', { viewBox: `0 0 ${HOURS} 100`, preserveAspectRatio: 'none', role: 'img' });
const most = h('span', { class: 'top-of', 'aria-hidden': 'true' });
const hours = h('article', { class: 'card hours' }, h('h3', {}, 'Spent by hour'), h('div', { class: 'chart' }, picture, most),
  h('p', { class: 'ends', 'aria-hidden': 'true' }, h('span', {}, `${HOURS} h ago`), h('span', {}, 'this hour')));

const head = h('th', { scope: 'col' });
const HEADS = ['Attempts', 'Tokens', 'Per million', 'Saved (baseline)', 'Saved (dearest)', 'Spent'];
const body = h('tbody', {});
const rest = h('p', { class: 'hint note' });
$('costs-body').append(h('div', { class: 'stats' }, spent.node, beside.node, blended.node, unpriced.node), hours,
  h('div', { class: 'panel scroll', tabindex: 0, role: 'region', 'aria-label': 'Table of costs' },
    h('table', {}, h('thead', {}, h('tr', {}, head, HEADS.map((text) => h('th', { scope: 'col', class: 'n' }, text)))), body)), rest);

const showRows = keyed(body, (name) => {
  const cells = HEADS.map(() => h('td', { class: 'n' }));
  const row = h('tr', {}, h('th', { scope: 'row' }, h('span', { class: 'name' }, name || '(none)')), cells);
  row.update = (of) => {
    const price = of.unknown?.attempts > 0 ? ` + ${number(of.unknown.attempts)} unpriced` : '';
    const texts = [short(of.attempts), short((of.tokens?.input ?? 0) + (of.tokens?.output ?? 0)), perMillion(of.usd_per_mtok),
      saved(of.saved_usd?.baseline), saved(of.saved_usd?.dearest), `${dollars(of.cost_usd)}${price}`];
    texts.forEach((text, at) => put(cells[at], text));
  };
  return row;
});

export async function pollCosts() {
  const asked = by;
  const page = await ask('GET', `costs?by=${asked}&hours=${HOURS}&rows=${ROWS}&hourly=false`);
  // (A version without that page, for now.)
  $('costs').hidden = $('nav-costs').hidden = page === null;
  if (page === null || asked !== by) return;
  showTotal(page);
  showHours(page);
  put(head, asked[0].toUpperCase() + asked.slice(1));
  const rows = new Map(page.rows.map((row) => [row[asked], row]));
  showRows([...rows.keys()], (name) => rows.get(name));
  put(rest, page.rows_left_out > 0 ? `The ${ROWS} dearest; ${number(page.rows_left_out)} more.` : '');
}

function showTotal({ total, whole_cluster }) {
  const { saved_usd, tokens, cost_usd, estimated } = total;
  const baseline = less(saved_usd.baseline, cost_usd);
  const dearest = less(saved_usd.dearest, cost_usd);
  spent.say(dollars(cost_usd), whole_cluster ? 'by all replicas' : 'by this replica; the shared state is away');
  beside.say(`${saved(saved_usd.baseline)}`, [baseline, `${saved(saved_usd.dearest)} beside the dearest${dearest ? `, ${dearest}` : ''}`].filter(Boolean).join('; '));
  blended.say(perMillion(total.usd_per_mtok), `${short(tokens.input)} in, ${short(tokens.output)} out`);
  unpriced.say(number(total.unknown.attempts), `attempts; ${dollars(estimated.cost_usd)} of the rest are estimates`);
}

function showHours({ from, total }) {
  const begin = Date.parse(from);
  const spent = Array.from({ length: HOURS }, () => 0);
  for (const { hour, cost_usd } of total.by_hour ?? []) {
    const at = Math.round((Date.parse(hour) - begin) / 3600e3);
    if (at >= 0) spent[Math.min(at, HOURS - 1)] += cost_usd; // another replica's clock may be ahead
  }
  const top = nice(Math.max(...spent));
  while (picture.children.length < HOURS) picture.append(s('rect', { x: picture.children.length + 0.1, width: 0.8 }));
  spent.forEach((usd, at) => {
    const high = top > 0 ? (100 * usd) / top : 0;
    mark(picture.children[at], 'height', high.toFixed(1));
    mark(picture.children[at], 'y', (100 - high).toFixed(1));
  });
  put(most, top > 0 ? dollars(top) : '');
  mark(picture, 'aria-label', `Spent by hour, last ${HOURS} hours: at most ${dollars(Math.max(...spent))}, in this hour ${dollars(spent[HOURS - 1])}`);
}
