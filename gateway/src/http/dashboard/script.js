// The dashboard. It watches /admin/v1/events, keeps the last ten minutes in its memory and draws what has changed. No framework, no
// markup made of text, no address but this listener's. Reading order: helpers, what is known, the stream, the views, actions, the start.

// ---- Helpers -------------------------------------------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
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
const h = (tag, props, ...children) => dress(document.createElement(tag), props, children);
const s = (tag, props, ...children) => dress(document.createElementNS(SVG, tag), props, children);

/** Writes only what is new: most of the page stays as it is from moment to moment. */
function put(node, text) {
  if (node.shown !== text) node.textContent = node.shown = text;
}
function mark(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const number = (n) => grouped.format(n);
function short(n) {
  if (n < 1e4) return n < 10 && n % 1 !== 0 ? n.toFixed(1) : number(n);
  for (const [size, letter] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (n >= size) return `${(n / size).toFixed(n / size < 100 ? 1 : 0)}${letter}`;
  }
  return number(n);
}
function rate(n) {
  if (n === 0) return '0';
  return n < 10 ? n.toFixed(n < 1 ? 2 : 1) : short(Math.round(n));
}
function percent(part, whole) {
  if (!whole) return '0 %';
  const of = (100 * part) / whole;
  return `${of > 0 && of < 10 ? of.toFixed(1) : Math.round(of)} %`;
}
function time(ms) {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60e3) return `${(ms / 1e3).toFixed(ms < 10e3 ? 2 : 1)} s`;
  return `${(ms / 60e3).toFixed(1)} min`;
}
function left(ms) {
  const all = Math.max(0, Math.ceil(ms / 1e3));
  if (all < 60) return `${all} s`;
  return all < 3600 ? `${Math.floor(all / 60)} min ${all % 60} s` : `${Math.floor(all / 3600)} h ${Math.floor((all % 3600) / 60)} min`;
}
function dollars(usd) {
  if (usd === 0) return '$0';
  if (usd < 0.01) return `$${usd.toPrecision(2)}`;
  return usd < 100 ? `$${usd.toFixed(usd < 1 ? 3 : 2)}` : `$${number(usd)}`;
}
function span(ms) {
  const whole = { 1000: 's', 60000: 'min', 3600000: 'h', 86400000: 'day' }[ms];
  if (whole) return whole;
  if (ms < 60e3) return `${ms / 1e3} s`;
  if (ms < 3600e3) return `${Math.round(ms / 6e3) / 10} min`;
  if (ms < 86400e3) return `${Math.round(ms / 360e3) / 10} h`;
  return `${Math.round(ms / 8640e3) / 10} days`;
}
const collator = new Intl.Collator('en', { numeric: true });
const byName = (a, b) => collator.compare(a, b);
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

function pill(tone, text) {
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
function keyed(list, make) {
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

function chips(group, names, chosen, choose) {
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

// ---- What is known -------------------------------------------------------------------------------------------------------------

/** The document of the cluster, and when this page got it. */
let doc = null;
let got = 0;
const stateNow = () => (doc?.now_ms ?? 0) + (performance.now() - got);

/** RFC 7396. Objects have no prototype: any name may stand in them. */
function merge(into, patch) {
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

const MINUTES = 10;
/** Charts reach back as far as there is something to see, in one of these steps. */
const STEPS = [2, 5, MINUTES];
const opened = performance.now();
const reach = () => STEPS.find((step) => performance.now() - opened < step * 60e3) ?? MINUTES;
/** How far calls are looked back for what is said of "now", seconds. */
const NOW = 10;

/** What calls came to, second by second. Replicas tell sums; what was added to them is what has happened. */
const past = { seconds: [], open: fresh(), told: new Map() };

function fresh() {
  return {
    at: performance.now(), dt: 0, calls: 0, failed: 0, refused: 0, left: 0, input: 0, cached: 0, output: 0, cost: 0, sessions: [0, 0, 0],
    whole: new Map(), first: new Map(), deployments: new Map(), models: new Map(), replicas: new Map(), inHand: 0, waiting: 0,
  };
}

function absorb(sums) {
  const open = past.open;
  for (const [replica, now] of Object.entries(sums ?? {})) {
    const known = past.told.get(replica);
    past.told.set(replica, structuredClone({ ...now }));
    if (!known) continue; // what was before this page is not its past
    const before = known.since === now.since ? known : {};
    const more = (name) => (now.all?.[name] ?? 0) - (before.all?.[name] ?? 0);
    const calls = more('calls');
    open.calls += calls;
    open.failed += more('failed');
    open.refused += more('refused');
    open.left += more('left');
    open.input += more('input');
    open.output += more('output');
    open.cached += (now.cached ?? 0) - (before.cached ?? 0);
    open.cost += (now.all?.cost?.sum ?? 0) - (before.all?.cost?.sum ?? 0);
    open.replicas.set(replica, (open.replicas.get(replica) ?? 0) + calls);
    now.sessions?.forEach((n, at) => (open.sessions[at] += n - (before.sessions?.[at] ?? 0)));
    for (const kind of TIMES) {
      const old = before.all?.[kind]?.buckets;
      for (const [bucket, n] of Object.entries(now.all?.[kind]?.buckets ?? {})) {
        const added = n - (old?.[bucket] ?? 0);
        if (added > 0) open[kind].set(+bucket, (open[kind].get(+bucket) ?? 0) + added);
      }
    }
    for (const kind of NAMES) {
      for (const [name, counts] of Object.entries(now[kind] ?? {})) {
        const old = before[kind]?.[name];
        const added = counts.map((n, at) => n - (old?.[at] ?? 0));
        if (added[0] > 0) addTo(open[kind], name, added);
      }
    }
  }
}

function addTo(map, name, counts) {
  const sum = map.get(name);
  if (sum) counts.forEach((n, at) => (sum[at] += n));
  else map.set(name, [...counts]);
}

/** Ends a second. */
function turn() {
  const open = past.open;
  open.dt = (performance.now() - open.at) / 1e3;
  for (const replica of Object.values(doc?.replicas ?? {})) {
    open.inHand += replica.in_hand ?? 0;
    open.waiting += replica.waiting ?? 0;
  }
  past.seconds.push(open);
  const oldest = performance.now() - MINUTES * 60e3;
  while (past.seconds.length > 0 && past.seconds[0].at < oldest) past.seconds.shift();
  past.open = fresh();
}

/** What the last seconds came to together; by name as well, of these kinds. */
function lately(seconds, kinds) {
  const from = performance.now() - seconds * 1e3;
  let begin = past.seconds.length;
  while (begin > 0 && past.seconds[begin - 1].at >= from) begin -= 1;
  return together(past.seconds.slice(begin), kinds);
}

const NAMES = ['deployments', 'models'];
const TIMES = ['whole', 'first'];

function together(parts, kinds) {
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
function within(buckets, share) {
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

/** Why a deployment serves or does not: how bad, a word, and more of it. */
function standing(deployment, use = fullest(meters(deployment))) {
  const now = stateNow();
  const until = (time) => left(time - now);
  if (deployment.drained) return { tone: 'calm', word: 'Drained', more: 'no new calls', up: false };
  const account = deployment.account_state;
  if (account) {
    const word = { auth: 'Key refused', quota: 'Credit spent' }[account.state] ?? 'Account refused';
    return { tone: 'bad', word, more: account.until > now ? `next try in ${until(account.until)}` : 'being tried', up: false };
  }
  if (deployment.circuit?.state === 'open') {
    const more = deployment.circuit.until > now ? `next try in ${until(deployment.circuit.until)}` : 'being tried';
    return { tone: 'bad', word: 'Circuit open', more, up: false };
  }
  if (deployment.rests_until > now) return { tone: 'warn', word: 'Resting', more: `${until(deployment.rests_until)} left`, up: false };
  if (deployment.circuit?.state === 'recovering' && deployment.circuit.until > now) {
    return { tone: 'warn', word: 'Recovering', more: `all calls back in ${until(deployment.circuit.until)}`, up: true };
  }
  if (use >= 0.95) return { tone: 'warn', word: 'At its limit', more: 'calls go elsewhere or wait', up: true };
  return { tone: 'good', word: 'Serving', more: '', up: true };
}

const share = (meter) => (meter.cap > 0 ? (meter.used + meter.held) / Math.min(meter.cap, meter.learned || meter.cap) : 0);

function meters(deployment) {
  const all = [];
  for (const pool of deployment.pools ?? []) {
    for (const meter of doc.pools?.[pool]?.meters ?? []) all.push({ pool, ...meter });
  }
  return all;
}
const fullest = (limits) => limits.reduce((most, meter) => Math.max(most, share(meter)), 0);

// ---- The stream ----------------------------------------------------------------------------------------------------------------

let token = '';
/** Who waits for a token. */
let wanting = null;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const authorised = () => (token ? { authorization: `Bearer ${token}` } : {});

async function reason(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

/** One request; asks for the token if the listener does. */
async function ask(method, path, body) {
  for (;;) {
    const headers = { ...authorised(), ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const used = token;
    const response = await fetch(`admin/v1/${path}`, {
      method, headers, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.status === 401) {
      await newToken(used);
      continue;
    }
    if (response.status === 404 && method === 'GET') return null;
    if (!response.ok) throw new Error(await reason(response));
    return response.json();
  }
}

/** Resolves when there is another token than the one that was refused. */
function newToken(refused) {
  if (token !== refused) return Promise.resolve();
  if (!wanting) {
    wanting = {};
    wanting.given = new Promise((given) => (wanting.give = given));
    openToken(refused !== '');
  }
  return wanting.given;
}

function openToken(refused) {
  $('token-button').hidden = false;
  put($('token-error'), refused ? 'This token was refused.' : '');
  link('warn', 'Token needed');
  if (!$('token-dialog').open) $('token-dialog').showModal();
  $('token').value = '';
  $('token').focus();
}

function link(tone, text) {
  mark($('link'), 'data-tone', tone);
  put($('link-text'), text);
}

/** The longest silence: something comes twice a second, less often where there is much to look at. */
const SILENCE = 15e3;

async function watch() {
  for (let pause = 500; ; pause = Math.min(pause * 2, 8e3)) {
    const abort = new AbortController();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE);
    };
    alive();
    const used = token;
    try {
      const response = await fetch('admin/v1/events', { headers: authorised(), cache: 'no-store', signal: abort.signal });
      if (response.status === 401) {
        clearTimeout(watchdog);
        await newToken(used);
        pause = 250;
        continue;
      }
      if (!response.ok) throw new Error(await reason(response));
      await listen(response.body, () => {
        pause = 500;
        alive();
        link('good', 'Live');
      });
      link('warn', 'Reconnecting');
    } catch (error) {
      link('warn', 'Reconnecting');
      mark($('link'), 'title', error.name === 'AbortError' ? 'nothing was heard for long' : error.message);
    } finally {
      clearTimeout(watchdog);
    }
    await wait(pause);
  }
}

async function listen(body, heard) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    for (let end = rest.indexOf('\n\n'); end >= 0; end = rest.indexOf('\n\n')) {
      take(rest.slice(0, end));
      rest = rest.slice(end + 2);
      heard();
    }
  }
}

function take(event) {
  const [name, data] = event.split('\n');
  const told = JSON.parse(data.slice('data: '.length));
  switch (name.slice('event: '.length)) {
    case 'state':
      doc = merge(Object.create(null), told);
      break;
    case 'patch':
      if (!doc) return;
      merge(doc, told);
      break;
    case 'calls':
      ended(told);
      return;
    default:
      return;
  }
  got = performance.now();
  absorb(doc.sums);
  wanted = true;
}

// ---- The views: overview -------------------------------------------------------------------------------------------------------

/** So many points. */
const POINTS = 60;

function chart({ title, lines, unit, figure, legend }) {
  const strong = h('strong', {});
  const unitNode = h('span', { class: 'unit' });
  const words = lines.map((line) => h('span', {}));
  const marks = lines.map((line, at) => h('span', {}, h('i', { 'data-line': line.look, 'aria-hidden': 'true' }), words[at]));
  const paths = lines.map((line) => s('path', { class: 'line', 'data-line': line.look }));
  const area = s('path', { class: 'area' });
  const hair = s('line', { class: 'hair', y1: 0, y2: 100, hidden: true });
  const picture = s('svg', { viewBox: `0 0 ${POINTS - 1} 100`, preserveAspectRatio: 'none', role: 'img' },
    s('line', { class: 'grid', x1: 0, x2: POINTS - 1, y1: 0.5, y2: 0.5 }), s('line', { class: 'grid', x1: 0, x2: POINTS - 1, y1: 99.5, y2: 99.5 }),
    area, paths, hair);
  const top = h('span', { class: 'top-of', 'aria-hidden': 'true' });
  const ago = h('span', {});
  const node = h('article', { class: 'card' }, h('h3', {}, title), h('div', { class: 'figure' }, strong, unitNode),
    h('div', { class: 'legend' }, marks), h('div', { class: 'chart' }, picture, top), h('p', { class: 'ends', 'aria-hidden': 'true' }, ago, h('span', {}, 'now')));
  let at = null;
  let points = [];
  const show = () => {
    const chosen = at === null ? null : points[at];
    const values = chosen ? lines.map((line) => line.of(chosen)) : null;
    lines.forEach((line, index) => put(words[index], `${line.label} ${values ? line.text(values[index]) : legend(index)}`));
    put(ago, chosen ? `${left(((POINTS - 1 - at) * reach() * 60e3) / POINTS)} ago` : `${reach()} min ago`);
    hair.toggleAttribute('hidden', at === null);
    if (at !== null) {
      hair.setAttribute('x1', at);
      hair.setAttribute('x2', at);
    }
  };
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    at = Math.max(0, Math.min(POINTS - 1, Math.round(((event.clientX - box.left) / box.width) * (POINTS - 1))));
    show();
  });
  picture.addEventListener('pointerleave', () => {
    at = null;
    show();
  });
  node.update = (all, now) => {
    points = all;
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

/** A round number that is not less. */
function nice(most) {
  if (most <= 0) return 0;
  const ten = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * ten).find((step) => step >= most);
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
function points() {
  const size = (reach() * 60e3) / POINTS; // two seconds at least, so that none is empty by chance
  const now = performance.now();
  const parts = Array.from({ length: POINTS }, () => []);
  for (const second of past.seconds) {
    const at = POINTS - 1 - Math.floor((now - second.at) / size);
    if (at >= 0 && at < POINTS) parts[at].push(second);
  }
  return parts.map((part) => (part.length > 0 ? together(part, TIMES) : null));
}

const perSecond = (name) => (of) => of[name] / of.dt;
const per = (text) => (n) => `${rate(n)}${text}`;
let now10 = fresh();
let now60 = fresh();

const charts = [
  chart({
    title: 'Calls', unit: 'per second', figure: (now) => [rate(now.calls / now.dt)],
    legend: (at) => [per('/s')(now10.calls / now10.dt), `${per('/s')(now10.failed / now10.dt)} (${percent(now60.failed, now60.calls)})`][at],
    lines: [{ label: 'ended', of: perSecond('calls'), text: per('/s') }, { label: 'failed', look: 'bad', of: perSecond('failed'), text: per('/s') }],
  }),
  chart({
    title: 'Whole answers', unit: '', figure: (now) => [time(within(now.whole, 0.95)), '95 % within'],
    legend: (at) => time(within(now60.whole, [0.95, 0.5][at])),
    lines: [{ label: '95 % within', of: (of) => within(of.whole, 0.95), text: time }, { label: 'half within', look: '2', of: (of) => within(of.whole, 0.5), text: time }],
  }),
  chart({
    title: 'First tokens of streams', unit: '', figure: (now) => [time(within(now.first, 0.95)), '95 % within'],
    legend: (at) => time(within(now60.first, [0.95, 0.5][at])),
    lines: [{ label: '95 % within', of: (of) => within(of.first, 0.95), text: time }, { label: 'half within', look: '2', of: (of) => within(of.first, 0.5), text: time }],
  }),
  chart({
    title: 'Tokens', unit: 'per second', figure: (now) => [short(Math.round((now.input + now.output) / now.dt))],
    legend: (at) => per('/s')([now10.input, now10.output][at] / now10.dt),
    lines: [{ label: 'input', of: perSecond('input'), text: per('/s') }, { label: 'output', look: '2', of: perSecond('output'), text: per('/s') }],
  }),
  chart({
    title: 'In flight', unit: 'calls', figure: () => [number(inHand())],
    legend: (at) => number([inHand(), waiting()][at]),
    lines: [{ label: 'served now', of: (of) => of.inHand, text: number }, { label: 'waiting for room', look: '2', of: (of) => of.waiting, text: number }],
  }),
  chart({
    title: 'Cost', unit: 'per hour at this rate', figure: () => [dollars((now60.cost / now60.dt) * 3600)],
    legend: () => `${dollars((now60.cost / now60.dt) * 60)}/min`,
    lines: [{ label: 'spent', of: (of) => (of.cost / of.dt) * 60, text: (usd) => `${dollars(usd)}/min` }],
  }),
];
const overReplicas = (name) => Object.values(doc?.replicas ?? {}).reduce((sum, replica) => sum + (replica[name] ?? 0), 0);
const inHand = () => overReplicas('in_hand');
const waiting = () => overReplicas('waiting');

function showOverview() {
  const all = points();
  for (const card of charts) card.update(all, now10);
}

function showBanners() {
  const all = [];
  if (doc.away) all.push(['bad', 'Shared state away', `${doc.away}. Limits are kept as on_outage says; what is shown of pools is what was known before.`]);
  else if (doc.degraded) all.push(['warn', 'Shared state learning', 'Nothing is admitted for a moment: replicas tell what they have used.']);
  if (doc.draining) all.push(['warn', 'This replica ends', 'It serves what it has, and closes.']);
  if (doc.config_refused) all.push(['bad', 'Configuration refused', `${doc.config_refused.join(' ')} The one before stays in force.`]);
  if (doc.config_skew) all.push(['warn', 'Several configurations', 'Replicas work by different files; see below which.']);
  const text = JSON.stringify(all);
  if ($('banners').shown === text) return;
  $('banners').shown = text;
  $('banners').replaceChildren(...all.map(([tone, head, more]) => h('div', { class: 'banner', 'data-tone': tone }, h('b', {}, head), h('span', {}, more))));
}

// ---- Models, replicas, sessions ------------------------------------------------------------------------------------------------

const showModelRows = keyed($('models-rows'), (name) => {
  const strategy = h('td', {});
  const [serving, calls, failed, waits] = [0, 1, 2, 3].map(() => h('td', { class: 'n' }));
  const falls = h('td', { class: 'soft' });
  const button = h('button', { type: 'button', class: 'link', title: 'Show its deployments', onclick: () => filterByModel(name) }, name);
  const row = h('tr', {}, h('th', { scope: 'row' }, button), strategy, serving, calls, failed, waits, falls);
  const state = pill('good', '');
  serving.append(state);
  row.update = ({ model, up, of }) => {
    const [ended, bad] = of ?? [0, 0];
    put(strategy, model.strategy);
    state.say(up === 0 ? 'bad' : up < model.targets.length ? 'warn' : 'good', `${up} of ${model.targets.length}`);
    const tenth = now10.models.get(name)?.[0] ?? 0;
    put(calls, rate(tenth / now10.dt));
    put(failed, percent(bad, ended));
    put(waits, number(doc.waiting?.[name] ?? 0));
    put(falls, (model.fallbacks ?? []).join(', ') || '–');
  };
  return row;
});

function showModels(standings) {
  const models = doc.models ?? {};
  const names = Object.keys(models).sort(byName);
  put($('models-n'), `${names.length} ${names.length === 1 ? 'model' : 'models'}. Failed: of the last minute.`);
  showModelRows(names, (name) => {
    const model = models[name];
    const up = model.targets.filter((target) => standings.get(target.deployment)?.up).length;
    return { model, up, of: now60.models.get(name) };
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
    put(here, name === doc.replica ? ' (shows this)' : '');
    const [tone, word] = !replica.alive ? ['bad', 'Gone'] : replica.draining ? ['calm', 'Draining'] : replica.degraded ? ['warn', 'Without the state'] : ['good', 'Alive'];
    state.say(tone, word);
    put(hand, replica.in_hand === undefined ? '–' : number(replica.in_hand));
    put(calls, rate((now10.replicas.get(name) ?? 0) / now10.dt));
    put(config, replica.config?.slice(0, 8) ?? '–');
    const odd = replica.alive && replica.config && replica.config !== usual;
    put(more, `${odd ? '  differs' : ''}${replica.config_refused ? '  file refused' : ''}${replica.version ? `  ${replica.version}` : ''}`);
  };
  return row;
});

function showReplicas() {
  const replicas = doc.replicas ?? {};
  const names = Object.keys(replicas).sort(byName);
  const alive = names.filter((name) => replicas[name].alive);
  put($('replicas-n'), `${alive.length} of ${names.length} alive`);
  const counts = new Map();
  for (const name of alive) counts.set(replicas[name].config, (counts.get(replicas[name].config) ?? 0) + 1);
  const usual = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
  showReplicaRows(names, (name) => ({ replica: replicas[name], usual }));
}

const sessionView = (() => {
  const bars = [0, 1, 2].map(() => h('i', {}));
  const values = [0, 1, 2].map(() => h('dd', {}));
  const words = ['Stayed', 'Began', 'Moved'];
  const note = h('p', { class: 'hint' });
  const bar = h('div', { class: 'split', role: 'img' }, bars);
  $('sessions-body').append(bar, h('dl', { class: 'parts' }, words.map((word, at) => h('div', {}, h('dt', {}, h('i', { 'aria-hidden': 'true' }), word), values[at]))), note);
  note.classList.add('note');
  return (all) => {
    const sum = all.sessions.reduce((sum, n) => sum + n, 0);
    all.sessions.forEach((n, at) => {
      bars[at].style.flexGrow = n;
      put(values[at], `${short(n)} · ${percent(n, sum)}`);
    });
    mark(bar, 'aria-label', words.map((word, at) => `${word} ${percent(all.sessions[at], sum)}`).join(', '));
    put(note, sum === 0 ? 'No call belonged to a session.' : `${percent(sum, all.calls)} of the calls belong to one. Providers read ${percent(all.cached, all.input)} of all input from their caches.`);
  };
})();

// ---- Deployments ---------------------------------------------------------------------------------------------------------------

const view = { search: '', filter: 'all', model: null, sort: 'name', sorted: 0, order: [] };
const FILTERS = [['all', 'All'], ['serving', 'Serving'], ['trouble', 'Trouble'], ['busy', 'Busy'], ['drained', 'Drained']];
/** Meters of a deployment that its row has room for. */
const SHOWN = 4;

const showFilters = chips($('filters'), FILTERS, () => view.filter, (key) => {
  view.filter = key;
  view.order = [];
  render();
});
$('search').addEventListener('input', () => {
  view.search = $('search').value.trim().toLowerCase();
  view.order = [];
  render();
});
$('sort').addEventListener('change', () => {
  view.sort = $('sort').value;
  view.order = [];
  render();
});
function filterByModel(name) {
  view.model = name;
  view.filter = 'all';
  view.order = [];
  render();
  $('deployments').scrollIntoView();
}

function meterRow() {
  const what = h('span', { class: 'what' });
  const [used, held, edge] = [h('i', { class: 'used' }), h('i', { class: 'held' }), h('u', {})];
  const bar = h('div', { class: 'meter', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100 }, used, held, edge);
  const [big, small] = [h('b', {}), h('span', { class: 'soft' })];
  const node = h('div', { class: 'meter-row' }, what, bar, h('span', { class: 'val' }, big, small));
  node.update = (meter) => {
    const key = `${meter.pool}${meter.kind}${meter.window_ms}${meter.cap}${meter.learned}${meter.used}${meter.held}`;
    if (node.key === key) return;
    node.key = key;
    const money = meter.kind === 'usd';
    const amount = (n) => (money ? dollars(n / 1e6) : short(n));
    const kind = { requests: 'requests', tokens: 'tokens', input_tokens: 'input', output_tokens: 'output', concurrency: 'at once', usd: 'US$' }[meter.kind] ?? meter.kind;
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

const showDeploymentRows = keyed($('deployments-rows'), (name) => {
  const title = h('button', { type: 'button', class: 'link', 'aria-haspopup': 'dialog', onclick: () => openSheet(name) }, name);
  const under = h('p', { class: 'soft cut' });
  const state = pill('good', '');
  const more = h('span', { class: 'soft' });
  const bars = h('div', { class: 'meters' });
  const [calls, bad] = [h('b', {}), h('div', { class: 'soft' })];
  const button = h('button', { type: 'button', class: 'quiet', onclick: () => (doc.deployments[name]?.drained ? resume(name) : confirmDrain(name)) });
  const row = h('li', { class: 'row' },
    h('div', { class: 'who' }, title, under), h('div', { class: 'how' }, state, more), bars,
    h('div', { class: 'rate' }, h('div', {}, calls, h('span', { class: 'soft' }, ' /s')), bad), h('div', { class: 'does' }, button));
  row.update = ({ deployment, standing }) => {
    const { limits } = standing;
    put(under, `${deployment.account} · ${deployment.provider} · ${deployment.model}`);
    mark(row, 'data-tone', standing.tone);
    state.say(standing.tone, standing.word);
    const weight = deployment.weight === undefined ? '' : `weight ${deployment.weight}`;
    put(more, [standing.more, weight].filter(Boolean).join(' · '));
    while (bars.children.length > Math.min(SHOWN, limits.length)) bars.lastChild.remove();
    while (bars.children.length < Math.min(SHOWN, limits.length)) bars.append(meterRow());
    limits.slice(0, SHOWN).forEach((meter, at) => bars.children[at].update(meter));
    const [ended] = now10.deployments.get(name) ?? [0];
    const [all, failed] = now60.deployments.get(name) ?? [0, 0];
    put(calls, rate(ended / now10.dt));
    put(bad, failed > 0 ? `${percent(failed, all)} failed` : '');
    bad.classList.toggle('bad', failed > 0);
    put(button, deployment.drained ? 'Resume' : 'Drain');
    mark(button, 'aria-label', `${deployment.drained ? 'Resume' : 'Drain'} ${name}`);
  };
  return row;
});

function showDeployments(standings) {
  const all = doc.deployments ?? {};
  const members = view.model === null ? null : new Set((doc.models?.[view.model]?.targets ?? []).map((target) => target.deployment));
  const names = Object.keys(all);
  const is = {
    all: () => true,
    serving: (name) => standings.get(name).up,
    trouble: (name) => ['bad', 'warn'].includes(standings.get(name).tone),
    busy: (name) => standings.get(name).use >= 0.8,
    drained: (name) => all[name].drained,
  };
  const found = names.filter((name) => {
    const { account, provider, model } = all[name];
    const text = `${name}\n${account}\n${provider}\n${model}`.toLowerCase();
    return (!members || members.has(name)) && (view.search === '' || text.includes(view.search));
  });
  const counts = Object.fromEntries(FILTERS.map(([key]) => [key, found.filter(is[key]).length]));
  showFilters(counts);
  const shown = found.filter(is[view.filter]);
  // An order by what changes all the time changes every few seconds only.
  const known = new Set(view.order);
  const stale = performance.now() - view.sorted > 4e3 || shown.length !== view.order.length || shown.some((name) => !known.has(name));
  if (stale) {
    const rank = { bad: 0, warn: 1, calm: 2, good: 3 };
    const score = {
      name: () => 0,
      use: (name) => -standings.get(name).use,
      calls: (name) => -(now10.deployments.get(name)?.[0] ?? 0),
      trouble: (name) => rank[standings.get(name).tone],
    }[view.sort];
    view.order = shown.sort((a, b) => score(a) - score(b) || byName(a, b));
    view.sorted = performance.now();
  }
  showDeploymentRows(view.order, (name) => ({ deployment: all[name], standing: standings.get(name) }));
  $('deployments-rows').classList.toggle('many', view.order.length > 40);
  $('deployments-none').hidden = view.order.length > 0;
  const hint = `${number(view.order.length)} of ${number(names.length)} shown`;
  put($('deployments-n'), view.model === null ? hint : '');
  if (view.model !== null && $('deployments-n').model !== `${view.model}${hint}`) {
    $('deployments-n').shown = undefined;
    $('deployments-n').model = `${view.model}${hint}`;
    $('deployments-n').replaceChildren(`${hint}, those of ${view.model}. `, h('button', { type: 'button', class: 'link', onclick: () => {
      view.model = null;
      view.order = [];
      $('deployments-n').model = undefined;
      render();
      $('search').focus();
    } }, 'Show all'));
  }
}

// ---- Experiments ---------------------------------------------------------------------------------------------------------------

const interval = (known, text) => (known ? [text(known.value), `${text(known.low)} to ${text(known.high)}`] : ['–', '']);
const ci = (cell, [value, between]) => {
  put(cell.firstChild, value);
  put(cell.lastChild, between);
};
const cell = () => h('td', { class: 'n' }, h('span', {}), h('span', { class: 'ci' }));

const showExperimentRows = keyed($('experiments-rows'), (name) => {
  const from = pill('quiet', '');
  const note = h('span', { class: 'hint' });
  const body = h('tbody', {});
  const [apply, file, anew] = [h('button', { type: 'button', class: 'main' }, 'Set shares'), h('button', { type: 'button', class: 'quiet' }, "Use the file's"), h('button', { type: 'button', class: 'quiet' }, 'Measure anew')];
  const rows = new Map();
  const panel = h('article', { class: 'panel' },
    h('div', { class: 'exp-head' }, h('h3', {}, name), from, note),
    h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `Variants of ${name}` }, h('table', {}, h('thead', {}, h('tr', {},
      ['Variant', 'Share', 'Now', 'Calls', 'Errors', 'Half within', '95 % within', 'Per call', 'Mean latency beside the first'].map((head, at) => h('th', { scope: 'col', class: at > 0 ? 'n' : null }, head)))), body)),
    h('div', { class: 'exp-acts' }, apply, file, anew));
  const shares = () => Object.fromEntries([...rows].map(([variant, row]) => [variant, Number(row.input.value)]));
  const change = async (body, done) => {
    await act(done, () => ask('PUT', `experiments/${encodeURIComponent(name)}`, body));
    for (const row of rows.values()) row.dirty = false;
    await pollExperiments();
  };
  apply.addEventListener('click', () => change({ shares: shares() }, `Shares of ${name} are set`));
  file.addEventListener('click', () => change({ shares: null }, `Shares of ${name} are those of the file`));
  anew.addEventListener('click', () => {
    const told = doc.experiments?.[name]?.told;
    change({ shares: told ? Object.fromEntries(doc.experiments[name].variants.map((variant) => [variant.name, variant.share])) : null, anew: true }, `${name} is measured anew`);
  });
  panel.update = (experiment) => {
    put(note, `of ${experiment.model}, by ${experiment.by}${experiment.whole_cluster ? '' : '; of this replica alone'}`);
    from.say(experiment.shares_from === 'file' ? 'quiet' : 'calm', experiment.shares_from === 'file' ? 'shares of the file' : 'shares set at run time');
    for (const variant of experiment.variants) {
      if (!rows.has(variant.name)) rows.set(variant.name, variantRow(name, variant.name, body));
      rows.get(variant.name).update(variant);
    }
    for (const [variant, row] of rows) {
      if (!experiment.variants.some((known) => known.name === variant)) {
        row.node.remove();
        rows.delete(variant);
      }
    }
  };
  return panel;
});

function variantRow(experiment, name, body) {
  const input = h('input', { type: 'number', min: 0, step: 'any', 'aria-label': `Share of ${name} in ${experiment}` });
  const [nowShare, calls] = [h('td', { class: 'n' }), h('td', { class: 'n' })];
  const [errors, half, most, cost, beside] = [0, 1, 2, 3, 4].map(cell);
  const node = h('tr', {}, h('th', { scope: 'row' }, h('span', { class: 'name' }, name)), h('td', { class: 'n' }, input), nowShare, calls, errors, half, most, cost, beside);
  body.append(node);
  const row = { node, input, dirty: false };
  input.addEventListener('input', () => (row.dirty = true));
  row.update = (variant) => {
    if (!row.dirty && document.activeElement !== input) input.value = variant.share;
    put(nowShare, percent(variant.share_of_units, 1));
    put(calls, short(variant.calls));
    const rateText = (n) => percent(n, 1);
    ci(errors, interval(variant.error_rate, rateText));
    ci(half, interval(variant.latency_ms?.p50, time));
    ci(most, interval(variant.latency_ms?.p95, time));
    ci(cost, interval(variant.cost_usd_per_call, dollars));
    const signed = (ms) => `${ms < 0 ? '−' : '+'}${time(Math.abs(ms))}`;
    ci(beside, interval(variant.difference?.latency_ms, signed));
  };
  return row;
}

async function pollExperiments() {
  const has = Object.keys(doc?.experiments ?? {}).length > 0;
  $('experiments').hidden = $('nav-experiments').hidden = !has;
  if (!has) return;
  const page = await ask('GET', 'experiments');
  const all = new Map((page?.experiments ?? []).map((experiment) => [experiment.name, experiment]));
  showExperimentRows([...all.keys()], (name) => all.get(name));
}

// ---- Costs ---------------------------------------------------------------------------------------------------------------------

const costs = { by: 'model', is: true };
const BYS = [['model', 'By model'], ['deployment', 'By deployment'], ['tenant', 'By tenant']];
const showBys = chips($('costs-by'), BYS, () => costs.by, (key) => {
  costs.by = key;
  showBys();
  quietly(pollCosts);
});

async function pollCosts() {
  if (!costs.is) return;
  const page = await ask('GET', `costs?by=${costs.by}&hours=24`);
  costs.is = page !== null; // a version without that page
  $('costs').hidden = $('nav-costs').hidden = !costs.is;
  if (!costs.is) return;
  const { total } = page;
  const saved = total.saved_usd ?? {};
  const stat = (title, big, small) => h('article', { class: 'card' }, h('h3', {}, title), h('div', { class: 'figure' }, h('strong', {}, big)), h('p', {}, small));
  const tokens = total.tokens ?? {};
  const row = (row) => h('tr', {}, h('th', { scope: 'row' }, h('span', { class: 'name' }, row[costs.by] || '(none)')),
    [short(row.attempts), short((row.tokens?.input ?? 0) + (row.tokens?.output ?? 0)), row.usd_per_mtok === null || row.usd_per_mtok === undefined ? '–' : dollars(row.usd_per_mtok),
      dollars(row.saved_usd?.baseline ?? 0), dollars(row.saved_usd?.dearest ?? 0), dollars(row.cost_usd)].map((text) => h('td', { class: 'n' }, text)));
  $('costs-body').replaceChildren(
    h('div', { class: 'stats' },
      stat('Spent, last 24 hours', dollars(total.cost_usd), page.whole_cluster ? 'by all replicas' : 'by this replica; the shared state is away'),
      stat('Saved beside the baseline', dollars(saved.baseline ?? 0), `${dollars(saved.dearest ?? 0)} beside the dearest deployment`),
      stat('Per million tokens', total.usd_per_mtok === null || total.usd_per_mtok === undefined ? '–' : dollars(total.usd_per_mtok), `${short(tokens.input ?? 0)} in, ${short(tokens.output ?? 0)} out`),
      stat('Without a known price', number(total.unknown?.attempts ?? 0), `attempts; ${dollars(total.estimated?.cost_usd ?? 0)} of the rest are estimates`)),
    h('div', { class: 'panel scroll', tabindex: 0, role: 'region', 'aria-label': 'Table of costs' }, h('table', {},
      h('thead', {}, h('tr', {}, [costs.by[0].toUpperCase() + costs.by.slice(1), 'Attempts', 'Tokens', 'Per million', 'Saved (baseline)', 'Saved (dearest)', 'Spent'].map((head, at) => h('th', { scope: 'col', class: at > 0 ? 'n' : null }, head)))),
      h('tbody', {}, page.rows.map(row)))));
}

// ---- Calls ---------------------------------------------------------------------------------------------------------------------

const feed = { calls: [], filter: 'all', paused: false, over: false, held: [], leftOut: 0 };
const KEPT = 400;
const DRAWN = 150;
const CALLS = [['all', 'All'], ['failed', 'Failed'], ['refused', 'Refused'], ['retried', 'Retried']];
const isShown = {
  all: () => true,
  failed: (call) => call.failed,
  refused: (call) => !call.failed && call.outcome !== 'ok' && call.outcome !== 'client_gone',
  retried: (call) => call.attempts > 1,
};
const showCallFilters = chips($('calls-filters'), CALLS, () => feed.filter, (key) => {
  feed.filter = key;
  redrawCalls();
});
$('pause').addEventListener('click', () => {
  feed.paused = !feed.paused;
  mark($('pause'), 'aria-pressed', String(feed.paused));
  put($('pause'), feed.paused ? 'Go on' : 'Pause');
  goOn();
});

/** Nothing moves under who looks at it: while the pointer or the focus is in the list, or one of its calls is open. */
const isHeld = () => feed.paused || feed.over || $('calls-rows').contains(document.activeElement) || $('calls-rows').querySelector('.why') !== null;
$('calls-rows').addEventListener('pointerenter', () => (feed.over = true));
$('calls-rows').addEventListener('pointerleave', () => {
  feed.over = false;
  goOn();
});
$('calls-rows').addEventListener('focusout', () => setTimeout(goOn));

function goOn() {
  if (!isHeld()) {
    const held = feed.held;
    feed.held = [];
    feed.calls = feed.calls.concat(held).slice(-KEPT);
    drawCalls(held);
  }
  countCalls();
}

function ended({ calls, left_out }) {
  feed.leftOut += left_out;
  if (isHeld()) {
    feed.held = feed.held.concat(calls).slice(-KEPT);
  } else {
    feed.calls = feed.calls.concat(calls).slice(-KEPT);
    drawCalls(calls);
  }
  countCalls();
}

function countCalls() {
  showCallFilters(Object.fromEntries(CALLS.map(([key]) => [key, feed.calls.filter(isShown[key]).length])));
  const held = feed.held.length > 0 ? ` Held while you look; ${number(feed.held.length)} are new.` : '';
  const more = feed.leftOut > 0 ? ` ${number(feed.leftOut)} more were not shown, for there were too many.` : '';
  put($('calls-n'), `The last ones of all replicas, without what they say.${more}${held}`);
}

function redrawCalls() {
  $('calls-rows').replaceChildren();
  drawCalls(feed.calls);
  countCalls();
}

function drawCalls(calls) {
  const list = $('calls-rows');
  const shown = calls.filter(isShown[feed.filter]).slice(-DRAWN);
  if (shown.length > 0) list.prepend(...shown.reverse().map(callRow));
  while (list.children.length > DRAWN) {
    const last = list.lastElementChild;
    if (last.contains(document.activeElement)) break;
    last.remove();
  }
  $('calls-none').hidden = list.children.length > 0;
  put($('calls-none'), feed.calls.length > 0 ? 'No call of this kind.' : 'No call has ended since this page was opened.');
}

const toneOf = (call) => (call.outcome === 'ok' ? 'good' : call.failed ? 'bad' : call.outcome === 'client_gone' ? 'quiet' : 'warn');

function callRow(call) {
  const tokens = call.tokens ? `${short(call.tokens[0])} + ${short(call.tokens[2])}` : '–';
  const words = call.outcome === 'ok' ? `${call.status} ok` : `${call.status} ${call.outcome.replaceAll('_', ' ')}`;
  const button = h('button', { type: 'button', 'aria-expanded': 'false' },
    h('span', { class: 'soft' }, clock.format(call.at)), h('span', {}, pill(toneOf(call), words)),
    h('span', { class: 'cut c-tenant' }, call.tenant || '–'),
    h('span', { class: 'route c-route' }, h('span', { class: 'cut' }, call.model || '–'), h('span', { class: 'soft cut' }, call.deployment ? `→ ${call.deployment}` : '')),
    h('span', { class: 'n c-attempts' }, number(call.attempts)), h('span', { class: 'n c-first' }, time(call.first)),
    h('span', { class: 'n' }, time(call.took)), h('span', { class: 'n c-tokens' }, tokens), h('span', { class: 'n c-cost' }, dollars(call.cost)));
  const item = h('li', { class: 'call' }, button);
  let more = null;
  button.addEventListener('click', () => {
    if (more) {
      more.remove();
      more = null;
    } else {
      more = explained(call);
      item.append(more);
    }
    mark(button, 'aria-expanded', String(more !== null));
    goOn();
  });
  return item;
}

/** All that is known of a call, and why it went where it went. */
function explained(call) {
  const facts = [
    ['Request', call.id], ['Replica', call.replica], ['Call', `${call.api}${call.stream ? ', streamed' : ''}`], ['Tenant', call.tenant || 'none'],
    ['Model', call.model || 'none'], ['Deployment', call.deployment || 'none'],
    ['Attempts', number(call.attempts)], ['Times', `first token ${time(call.first)}, whole ${time(call.took)}${call.waited > 0 ? `, waited ${time(call.waited)} for room` : ''}`],
    call.tokens ? ['Tokens', `${number(call.tokens[0])} in (${number(call.tokens[1])} cached), ${number(call.tokens[2])} out`] : null,
    ['Cost', dollars(call.cost)], call.session ? ['Session', call.session] : null, call.variant ? ['Experiment', `${call.variant[1]} of ${call.variant[0]}`] : null,
  ].filter(Boolean);
  const why = call.why ? call.why.split('; ') : ['Its first candidate served it.'];
  return h('div', { class: 'why' }, h('dl', {}, facts.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]), h('dt', {}, 'Why'), h('dd', {}, h('ol', {}, why.map((step) => h('li', {}, step))))));
}

// ---- Actions -------------------------------------------------------------------------------------------------------------------

let toastTimer;
function say(tone, text) {
  const toast = $('toast');
  mark(toast, 'data-tone', tone);
  toast.textContent = text;
  toast.hidden = false;
  $('said').textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.hidden = true), tone === 'bad' ? 8e3 : 3500);
}

/** Does something and says how it went. */
async function act(done, work) {
  try {
    const answer = await work();
    say('good', done);
    return answer;
  } catch (error) {
    say('bad', error.message);
    return null;
  }
}

/** What is tried again anyway. */
async function quietly(work) {
  try {
    await work();
  } catch (error) {
    console.info(error.message);
  }
}

const at = (name, verb) => `deployments/${encodeURIComponent(name)}/${verb}`;

/** What this page knows already: the stream says the same a moment later. */
function adopt(name, answer) {
  const deployment = doc?.deployments?.[name];
  if (!answer || !deployment) return;
  deployment.drained = answer.drained;
  if (answer.weight.set === null) delete deployment.weight;
  else deployment.weight = answer.weight.set;
  render();
}
const drain = async (name) => adopt(name, await act(`${name} is drained`, () => ask('POST', at(name, 'drain'))));
const resume = async (name) => adopt(name, await act(`${name} takes calls again`, () => ask('POST', at(name, 'resume'))));
const weigh = async (name, weight) =>
  adopt(name, await act(weight === null ? `The file's weight of ${name} holds` : `${name} weighs ${weight}`, () => ask('PUT', at(name, 'weight'), { weight })));

const modelsOf = (name) => Object.entries(doc.models ?? {}).filter(([, model]) => model.targets.some((target) => target.deployment === name));

function openDialog(title, ...body) {
  put($('sheet-h'), title);
  $('sheet-body').replaceChildren(...body);
  if (!$('sheet').open) $('sheet').showModal();
}
$('sheet-close').addEventListener('click', () => $('sheet').close());
$('sheet').addEventListener('click', (event) => {
  if (event.target === $('sheet')) $('sheet').close();
});

function confirmDrain(name) {
  const last = modelsOf(name).filter(([, model]) => !model.targets.some((target) => target.deployment !== name && standing(doc.deployments[target.deployment] ?? {}).up));
  const sure = h('button', { type: 'button', class: 'danger', onclick: () => {
    $('sheet').close();
    drain(name);
  } }, `Drain ${name}`);
  openDialog(`Drain ${name}?`,
    h('p', {}, 'It gets no new calls, from any replica, until it is resumed; a reload or a restart does not lift that. Calls in flight end as they would. Sessions move.'),
    last.length > 0 ? h('div', { class: 'banner', 'data-tone': 'warn' }, h('b', {}, 'Nothing else serves'), h('span', {}, last.map(([model]) => model).join(', '))) : null,
    h('div', { class: 'acts' }, h('button', { type: 'button', class: 'quiet', onclick: () => $('sheet').close() }, 'Cancel'), sure));
  sure.focus();
}

function openSheet(name) {
  const deployment = doc.deployments[name];
  const { word, more } = standing(deployment);
  const facts = [['State', more ? `${word}, ${more}` : word], ['Account', deployment.account], ['Provider', deployment.provider], ['Its model', deployment.model],
    deployment.region ? ['Region', deployment.region] : null, ['Pools', deployment.pools.join(', ') || 'none']].filter(Boolean);
  const bars = h('div', { class: 'meters' });
  for (const meter of meters(deployment)) {
    const row = meterRow();
    row.update(meter);
    bars.append(row);
  }
  const weights = modelsOf(name).map(([model, { strategy, targets }]) => {
    const target = targets.find((target) => target.deployment === name);
    return [h('dt', {}, model), h('dd', {}, `${target.auto ? 'automatic' : target.weight} in the file; ${strategy}, priority ${target.tier}`)];
  });
  const input = h('input', { type: 'number', min: 0, step: 'any', value: deployment.weight ?? '', id: 'weight', 'aria-describedby': 'weight-hint' });
  const form = h('form', { class: 'sheet-acts' }, h('label', { class: 'field' }, h('span', { class: 'lab' }, 'Weight'), input),
    h('button', { type: 'submit', class: 'main' }, 'Set weight'), h('button', { type: 'button', class: 'quiet', onclick: () => {
      $('sheet').close();
      weigh(name, null);
    } }, "Use the file's"));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    $('sheet').close();
    weigh(name, Number(input.value));
  });
  const button = deployment.drained
    ? h('button', { type: 'button', class: 'main', onclick: () => { $('sheet').close(); resume(name); } }, 'Resume')
    : h('button', { type: 'button', class: 'danger', onclick: () => confirmDrain(name) }, 'Drain');
  openDialog(name, h('dl', { class: 'facts' }, facts.map(([head, value]) => [h('dt', {}, head), h('dd', {}, value)])), bars,
    h('p', { class: 'block-head' }, 'Weight beside others'), h('dl', { class: 'facts' }, weights), form,
    h('p', { class: 'hint', id: 'weight-hint' }, 'For all replicas, until the file says another one. It counts with the strategies weighted, least-busy and composite.'),
    h('p', { class: 'block-head' }, deployment.drained ? 'It gets no new calls' : 'New calls'), h('div', { class: 'sheet-acts' }, button));
}

$('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value;
  $('token').value = '';
  $('token-dialog').close();
  const { give } = wanting ?? {};
  wanting = null;
  give?.();
});
$('token-cancel').addEventListener('click', () => $('token-dialog').close());
$('token-button').addEventListener('click', () => {
  wanting ??= (() => {
    const fresh = {};
    fresh.given = new Promise((given) => (fresh.give = given));
    return fresh;
  })();
  openToken(false);
});

// ---- Colours, sections ---------------------------------------------------------------------------------------------------------

const THEMES = ['system', 'light', 'dark'];
function theme(next) {
  if (next === 'system') document.documentElement.removeAttribute('data-theme');
  else document.documentElement.setAttribute('data-theme', next);
  put($('theme-text'), `Colours: ${next === 'system' ? 'as the system' : next}`);
  mark($('theme'), 'title', `Colours: ${next === 'system' ? 'as the system' : next}`);
  $('theme').now = next;
}
function remembered() {
  try {
    const kept = localStorage.getItem('weir-theme');
    return THEMES.includes(kept) ? kept : 'system';
  } catch {
    return 'system'; // a browser that keeps nothing
  }
}
$('theme').addEventListener('click', () => {
  const next = THEMES[(THEMES.indexOf($('theme').now) + 1) % THEMES.length];
  theme(next);
  try {
    localStorage.setItem('weir-theme', next);
  } catch {
    // It holds until the page is closed.
  }
});

const links = [...document.querySelectorAll('.sections a')];
function whereAmI() {
  const top = 140;
  let current = links[0];
  for (const link of links) {
    const section = document.querySelector(link.getAttribute('href'));
    if (!section.hidden && section.getBoundingClientRect().top <= top) current = link;
  }
  for (const link of links) mark(link, 'aria-current', link === current ? 'true' : null);
}

// ---- The start -----------------------------------------------------------------------------------------------------------------

/** Something has changed since it was drawn. */
let wanted = false;
let drawn = 0;

function render() {
  if (!doc || document.hidden) return;
  wanted = false;
  drawn = performance.now();
  [now10, now60] = [lately(NOW, [...NAMES, ...TIMES]), lately(60, [...NAMES, ...TIMES])];
  const standings = new Map();
  for (const [name, deployment] of Object.entries(doc.deployments ?? {})) {
    const limits = meters(deployment);
    const use = fullest(limits);
    standings.set(name, { ...standing(deployment, use), limits, use });
  }
  put($('where'), `${doc.replica} · ${Object.values(doc.replicas ?? {}).filter((replica) => replica.alive).length} alive`);
  put($('foot'), `Weir ${doc.version} · configuration ${doc.config} · epoch ${doc.epoch ?? '–'} · ${number(doc.pending ?? 0)} holds of replicas that are gone`);
  showBanners();
  showOverview();
  showModels(standings);
  showDeployments(standings);
  showReplicas();
  sessionView(lately(MINUTES * 60, []));
}

/** Draws what is new at once, and countdowns and rates once a second. */
function beat() {
  if (wanted && performance.now() - drawn >= 250) render();
  requestAnimationFrame(beat);
}

theme(remembered());
$('charts').append(...charts);
countCalls();
setInterval(() => {
  turn();
  render();
}, 1000);
const visible = (work) => () => {
  if (doc && !document.hidden) quietly(work);
};
setInterval(visible(pollExperiments), 5e3);
setInterval(visible(pollCosts), 30e3);
(async () => {
  while (!doc) await wait(100);
  render();
  quietly(pollExperiments);
  quietly(pollCosts);
})();
document.addEventListener('visibilitychange', render);
document.addEventListener('scroll', whereAmI, { passive: true });
whereAmI();
requestAnimationFrame(beat);
watch();
