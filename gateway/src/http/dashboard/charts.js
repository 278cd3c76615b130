// A chart of the last minutes: a figure, lines, and what they were where the pointer is.

import { h, left, mark, put, s } from './base.js';
import { TIMES, past, reach, together } from './past.js';

/** So many points. */
const POINTS = 60;

/** `lines`: what each draws of a point and how that reads; `figure`, `legend`: what stands beside them of now. */
export function chart({ title, lines, unit, figure, legend }) {
  const parts = nodes(title, lines);
  const { node, strong, unitNode, words, paths, area, hair, picture, top, ago } = parts;
  let at = null;
  let drawn = [];
  const show = () => {
    const chosen = at === null ? null : drawn[at];
    lines.forEach((line, index) => put(words[index], `${line.label} ${chosen ? line.text(line.of(chosen)) : legend(index)}`));
    put(ago, chosen ? `${left(((POINTS - 1 - at) * reach() * 60e3) / POINTS)} ago` : `${reach()} min ago`);
    hair.toggleAttribute('hidden', at === null);
    for (const end of ['x1', 'x2']) mark(hair, end, at ?? 0);
  };
  const point = (to) => {
    at = to;
    show();
  };
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    point(Math.max(0, Math.min(POINTS - 1, Math.round(((event.clientX - box.left) / box.width) * (POINTS - 1)))));
  });
  picture.addEventListener('pointerleave', () => point(null));
  node.update = (all, now) => {
    drawn = all;
    const values = lines.map((line) => all.map((point) => (point ? line.of(point) : null)));
    const most = nice(Math.max(0, ...values.flat().filter((value) => value !== null)));
    const y = (value) => (100 - (98 * value) / (most || 1)).toFixed(1);
    values.forEach((row, index) => paths[index].setAttribute('d', path(row, y)));
    area.setAttribute('d', areaOf(values[0], y));
    const [big, small] = figure(now);
    put(strong, big);
    put(unitNode, small ?? unit);
    put(top, most > 0 ? lines[0].text(most) : '');
    mark(picture, 'aria-label', `${title}, last ${reach()} minutes: now ${big} ${small ?? unit}, at most ${lines[0].text(most)}`);
    show();
  };
  return node;
}

function nodes(title, lines) {
  const strong = h('strong', {});
  const unitNode = h('span', { class: 'unit' });
  const words = lines.map(() => h('span', {}));
  const marks = lines.map((line, at) => h('span', {}, h('i', { 'data-line': line.look, 'aria-hidden': 'true' }), words[at]));
  const paths = lines.map((line) => s('path', { class: 'line', 'data-line': line.look }));
  const area = s('path', { class: 'area' });
  const hair = s('line', { class: 'hair', y1: 0, y2: 100, hidden: true });
  const rule = (y) => s('line', { class: 'grid', x1: 0, x2: POINTS - 1, y1: y, y2: y });
  const picture = s('svg', { viewBox: `0 0 ${POINTS - 1} 100`, preserveAspectRatio: 'none', role: 'img' }, rule(0.5), rule(99.5), area, paths, hair);
  const top = h('span', { class: 'top-of', 'aria-hidden': 'true' });
  const ago = h('span', {});
  const node = h('article', { class: 'card' }, h('h3', {}, title), h('div', { class: 'figure' }, strong, unitNode),
    h('div', { class: 'legend' }, marks), h('div', { class: 'chart' }, picture, top), h('p', { class: 'ends', 'aria-hidden': 'true' }, ago, h('span', {}, 'now')));
  return { node, strong, unitNode, words, paths, area, hair, picture, top, ago };
}

/** A round number that is not less. */
export function nice(most) {
  if (most <= 0) return 0;
  const ten = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= most) ?? most;
}

function path(values, y) {
  let drawn = '';
  let pen = false;
  values.forEach((value, x) => {
    if (value === null) {
      pen = false;
      return;
    }
    // A point that stands alone is a line of no length, which round caps make a dot.
    drawn += pen ? `L${x} ${y(value)}` : `M${x} ${y(value)}h0`;
    pen = true;
  });
  return drawn;
}

function areaOf(values, y) {
  let drawn = '';
  let from = null;
  const end = (x) => {
    if (from !== null) drawn += `L${x - 1} 100Z`;
    from = null;
  };
  values.forEach((value, x) => {
    if (value === null) return end(x);
    drawn += from === null ? `M${x} 100L${x} ${y(value)}` : `L${x} ${y(value)}`;
    from ??= x;
  });
  end(values.length);
  return drawn;
}

/** The last minutes in few points; null where this page saw nothing. */
export function points() {
  const size = (reach() * 60e3) / POINTS; // two seconds at least, so that none is empty by chance
  const now = performance.now();
  const parts = Array.from({ length: POINTS }, () => []);
  for (const second of past.seconds) {
    const at = POINTS - 1 - Math.floor((now - second.at) / size);
    if (at >= 0 && at < POINTS) parts[at].push(second);
  }
  return parts.map((part) => (part.length > 0 ? together(part, TIMES) : null));
}
