// Calls as they end, and why each went where it went.

import { $, chips, clock, dollars, h, mark, number, pill, put, short, time } from './base.js';

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

export function ended({ calls, left_out }) {
  feed.leftOut += left_out;
  if (isHeld()) {
    feed.held = feed.held.concat(calls).slice(-KEPT);
  } else {
    feed.calls = feed.calls.concat(calls).slice(-KEPT);
    drawCalls(calls);
  }
  countCalls();
}

export function countCalls() {
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

/** Of what has a known price. */
const cost = (call) => (!call.unpriced ? dollars(call.cost) : call.cost > 0 ? `${dollars(call.cost)} + ?` : '?');
const toneOf = (call) => (call.outcome === 'ok' ? 'good' : call.failed ? 'bad' : call.outcome === 'client_gone' ? 'quiet' : 'warn');

function callRow(call) {
  const tokens = call.tokens ? `${short(call.tokens[0])} + ${short(call.tokens[2])}` : '–';
  const words = call.outcome === 'ok' ? `${call.status} ok` : `${call.status} ${call.outcome.replaceAll('_', ' ')}`;
  const button = h('button', { type: 'button', 'aria-expanded': 'false' },
    h('span', { class: 'soft' }, clock.format(call.at)), h('span', {}, pill(toneOf(call), words)),
    h('span', { class: 'cut c-tenant' }, call.tenant || '–'),
    h('span', { class: 'route c-route' }, h('span', { class: 'cut' }, call.model || '–'), h('span', { class: 'soft cut' }, call.deployment ? `→ ${call.deployment}` : '')),
    h('span', { class: 'n c-attempts' }, number(call.attempts)), h('span', { class: 'n c-first' }, time(call.first)),
    h('span', { class: 'n' }, time(call.took)), h('span', { class: 'n c-tokens' }, tokens), h('span', { class: 'n c-cost' }, cost(call)));
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
    ['Cost', call.unpriced ? `${cost(call)}: not all of it has a known price` : cost(call)], call.session ? ['Session', call.session] : null, call.variant ? ['Experiment', `${call.variant[1]} of ${call.variant[0]}`] : null,
  ].filter(Boolean);
  const why = call.why ? call.why.split('; ') : ['Its first candidate served it.'];
  return h('div', { class: 'why' }, h('dl', {}, facts.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]), h('dt', {}, 'Why'), h('dd', {}, h('ol', {}, why.map((step) => h('li', {}, step))))));
}
