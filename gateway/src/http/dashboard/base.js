// Helpers: nodes of the page, numbers as people read them.

export const $ = (id) => document.getElementById(id);
const SVG = 'http://www.w3.org/2000/svg';

function dress(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return node;
}
export const h = (tag, props, ...children) => dress(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => dress(document.createElementNS(SVG, tag), props, children);

/** Writes only what is new: most of the page stays as it is from moment to moment. */
export function put(node, text) {
  if (node.shown !== text) node.textContent = node.shown = text;
}
export function mark(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
export const number = (n) => grouped.format(n);
export function short(n) {
  if (n < 1e4) return n < 10 && n % 1 !== 0 ? n.toFixed(1) : number(n);
  for (const [size, letter] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (n >= size) return `${(n / size).toFixed(n / size < 100 ? 1 : 0)}${letter}`;
  }
  return number(n);
}
export function rate(n) {
  if (n === 0) return '0';
  return n < 10 ? n.toFixed(n < 1 ? 2 : 1) : short(Math.round(n));
}
export function percent(part, whole) {
  if (!whole) return '0 %';
  const of = (100 * part) / whole;
  return `${of > 0 && of < 10 ? of.toFixed(1) : Math.round(of)} %`;
}
export function time(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60e3) return `${(ms / 1e3).toFixed(ms < 10e3 ? 2 : 1)} s`;
  return `${(ms / 60e3).toFixed(1)} min`;
}
export function left(ms) {
  const all = Math.max(0, Math.ceil(ms / 1e3));
  if (all < 60) return `${all} s`;
  return all < 3600 ? `${Math.floor(all / 60)} min ${all % 60} s` : `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
}
export function dollars(usd) {
  if (usd === 0) return '$0';
  if (usd < 0.01) return `$${usd.toPrecision(2)}`;
  return usd < 100 ? `$${usd.toFixed(usd < 1 ? 3 : 2)}` : `$${number(usd)}`;
}
export function span(ms) {
  const whole = { 1000: 's', 60000: 'min', 3600000: 'h', 86400000: 'day' }[ms];
  if (whole) return whole;
  if (ms < 60e3) return `${ms / 1e3} s`;
  if (ms < 3600e3) return `${Math.round(ms / 6e3) / 10} min`;
  if (ms < 86400e3) return `${Math.round(ms / 360e3) / 10} h`;
  return `${Math.round(ms / 8640e3) / 10} days`;
}
const collator = new Intl.Collator('en', { numeric: true });
export const byName = (a, b) => collator.compare(a, b);
export const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export function pill(tone, text) {
  const words = h('span', {});
  const node = h('span', { class: 'pill', 'data-tone': tone }, h('span', { class: 'dot', 'aria-hidden': 'true' }), words);
  node.say = (tone, text) => {
    mark(node, 'data-tone', tone);
    put(words, text);
  };
  node.say(tone, text);
  return node;
}

/** Nodes by key, in an order; each is made once and told what is new. */
export function keyed(list, make) {
  const nodes = new Map();
  return (keys, data, reorder = true) => {
    const wanted = new Set(keys);
    for (const [key, node] of nodes) {
      if (!wanted.has(key)) {
        node.remove();
        nodes.delete(key);
      }
    }
    for (const key of keys) {
      if (!nodes.has(key)) nodes.set(key, make(key));
      nodes.get(key).update(data(key));
    }
    // Who has the focus would lose it by being moved.
    const held = list.contains(document.activeElement);
    keys.forEach((key, at) => {
      const node = nodes.get(key);
      if (node.parentNode === list && (held || !reorder)) return;
      if (list.children[at] !== node) list.insertBefore(node, list.children[at] ?? null);
    });
  };
}

export function chips(group, names, chosen, choose) {
  const buttons = names.map(([key, text]) => {
    const count = h('span', { class: 'count' });
    const button = h('button', { type: 'button', onclick: () => choose(key) }, text, count);
    button.count = (n) => put(count, n === undefined ? '' : ` ${number(n)}`);
    button.key = key;
    return button;
  });
  group.replaceChildren(...buttons);
  const show = (counts) => {
    for (const button of buttons) {
      mark(button, 'aria-pressed', String(button.key === chosen()));
      button.count(counts?.[button.key]);
    }
  };
  show();
  return show;
}
