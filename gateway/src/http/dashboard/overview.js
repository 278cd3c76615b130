// The overview: six charts, and what is to be known before anything else.

import { $, clock, dollars, h, number, percent, put, rate, short, time } from './base.js';
import { chart, points } from './charts.js';
import { cluster, older } from './known.js';
import { lately, overReplicas, within } from './past.js';

const perSecond = (name) => (of) => of[name] / of.dt;
const per = (text) => (n) => `${rate(n)}${text}`;
const inHand = () => overReplicas('in_hand');
const waiting = () => overReplicas('waiting');
const times = (kind) => ({
  figure: (now) => [time(within(now[kind], 0.95)), '95 % within'],
  legend: (at) => time(within(lately.minute[kind], [0.95, 0.5][at])),
  lines: [{ label: '95 % within', of: (of) => within(of[kind], 0.95), text: time }, { label: 'half within', look: '2', of: (of) => within(of[kind], 0.5), text: time }],
});

const charts = [
  chart({
    title: 'Calls', unit: 'per second', figure: (now) => [rate(now.calls / now.dt)],
    legend: (at) => {
      const { ten, minute } = lately;
      return [per('/s')(ten.calls / ten.dt), `${per('/s')(ten.failed / ten.dt)} (${percent(minute.failed, minute.calls)})`][at];
    },
    lines: [{ label: 'ended', of: perSecond('calls'), text: per('/s') }, { label: 'failed', look: 'bad', of: perSecond('failed'), text: per('/s') }],
  }),
  chart({ title: 'Whole answers', unit: '', ...times('whole') }),
  chart({ title: 'First tokens of streams', unit: '', ...times('first') }),
  chart({
    title: 'Tokens', unit: 'per second', figure: (now) => [short(Math.round((now.input + now.output) / now.dt))],
    legend: (at) => per('/s')([lately.ten.input, lately.ten.output][at] / lately.ten.dt),
    lines: [{ label: 'input', of: perSecond('input'), text: per('/s') }, { label: 'output', look: '2', of: perSecond('output'), text: per('/s') }],
  }),
  chart({
    title: 'In flight', unit: 'calls', figure: () => [number(inHand())],
    legend: (at) => number([inHand(), waiting()][at]),
    lines: [{ label: 'served now', of: (of) => of.inHand, text: number }, { label: 'waiting for room', look: '2', of: (of) => of.waiting, text: number }],
  }),
  chart({
    title: 'Cost', unit: 'per hour at this rate', figure: () => [dollars((lately.minute.cost / lately.minute.dt) * 3600)],
    legend: () => `${dollars((lately.minute.cost / lately.minute.dt) * 60)}/min`,
    lines: [{ label: 'spent', of: (of) => (of.cost / of.dt) * 60, text: (usd) => `${dollars(usd)}/min` }],
  }),
];
$('charts').append(...charts);

export function showOverview() {
  const all = points();
  for (const card of charts) card.update(all, lately.ten);
}

/** Nothing was heard for so long: what is shown is of before. */
const OLD = 8e3;
/** The version that this page is of. */
let version = null;

export function showBanners() {
  const { doc } = cluster;
  version ??= doc.version;
  const all = [];
  const silence = performance.now() - cluster.heard;
  document.body.toggleAttribute('data-old', silence > OLD);
  if (silence > OLD) all.push(['warn', 'Not live', `What is shown is of ${clock.format(Date.now() - Math.round(silence / 1e3) * 1e3)}, and is asked for again.`]);
  if (doc.away) all.push(['bad', 'Shared state away', `${doc.away}. Limits are kept as on_outage says; what is shown of limits, circuits and cooldowns is what was known before.`]);
  else if (doc.degraded) all.push(['warn', 'Shared state learning', 'Nothing is admitted for a moment: replicas tell what they have used.']);
  const old = older();
  if (old.length > 0) all.push(['warn', 'Older replicas', `${old.join(', ')}: of a version that obeys no drains and weights, and tells nothing of its calls.`]);
  if (doc.draining) all.push(['warn', 'This replica ends', 'It serves what it has, and closes.']);
  if (doc.config_refused) all.push(['bad', 'Configuration refused', `${doc.config_refused.join(' ')} The one before stays in force.`]);
  if (doc.config_skew) all.push(['warn', 'Several configurations', 'Replicas work by different files; see below which.']);
  if (doc.version !== version) all.push(['warn', 'Another version', `This page is of Weir ${version}, what answers it of ${doc.version}: reload the page.`]);
  const text = JSON.stringify(all);
  if ($('banners').shown === text) return;
  $('banners').shown = text;
  $('banners').replaceChildren(...all.map(([tone, head, more]) => h('div', { class: 'banner', 'data-tone': tone }, h('b', {}, head), h('span', {}, more))));
}

export function showWhere() {
  const { doc } = cluster;
  put($('where'), `${doc.replica} · ${Object.values(doc.replicas ?? {}).filter((replica) => replica.alive).length} alive`);
  put($('foot'), `Weir ${doc.version} · configuration ${doc.config} · epoch ${doc.epoch ?? '–'} · ${number(doc.pending ?? 0)} holds of replicas that are gone`);
}
