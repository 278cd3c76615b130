// One deployment: what is known of it, its drain and its weight.

import { ask } from './access.js';
import { $, h, put, rate } from './base.js';
import { cluster, meters, modelsOf, older, standing } from './known.js';
import { meterList } from './meters.js';
import { act, say } from './say.js';

const at = (name, verb) => `deployments/${encodeURIComponent(name)}/${verb}`;

/** What this page knows already: the stream says the same a moment later. */
function adopt(name, answer) {
  const deployment = cluster.doc?.deployments?.[name];
  if (!answer || !deployment) return;
  deployment.drained = answer.drained;
  if (answer.weight.set === null) delete deployment.weight;
  else deployment.weight = answer.weight.set;
  deployment.version = answer.version;
  cluster.draw();
}
const drain = async (name) => adopt(name, await act(`${name} is drained`, () => ask('POST', at(name, 'drain'))));
export const resume = async (name) => adopt(name, await act(`${name} takes calls again`, () => ask('POST', at(name, 'resume'))));
/** `version`: what was set when the operator began to look. */
async function weigh(name, weight, version) {
  const done = weight === null ? `The file's weight of ${name} holds` : `${name} weighs ${weight}`;
  adopt(name, await act(done, () => ask('PUT', at(name, 'weight'), { weight, version })));
}

/** Says what is new of what the dialog shows. */
let refresh = null;
export function showSheet() {
  if ($('sheet').open) refresh?.();
}

function openDialog(title, update, ...body) {
  refresh = update;
  put($('sheet-h'), title);
  $('sheet-body').replaceChildren(...body.filter(Boolean));
  if (!$('sheet').open) $('sheet').showModal();
}
const close = () => $('sheet').close();
$('sheet-close').addEventListener('click', close);
$('sheet').addEventListener('click', (event) => {
  if (event.target === $('sheet')) close();
});

export function confirmDrain(name) {
  const serves = (target) => target.deployment !== name && standing(cluster.doc.deployments[target.deployment] ?? {}).up;
  const last = modelsOf(name).filter(([, model]) => !model.targets.some(serves)).map(([model]) => model);
  const old = older();
  const banner = (head, text) => h('div', { class: 'banner', 'data-tone': 'warn' }, h('b', {}, head), h('span', {}, text));
  const sure = h('button', { type: 'button', class: 'danger', onclick: () => {
    close();
    drain(name);
  } }, `Drain ${name}`);
  openDialog(`Drain ${name}?`, null,
    h('p', {}, 'It gets no new calls, from any replica, until it is resumed; a reload or a restart does not lift that. Calls in flight end as they would. Sessions move.'),
    last.length > 0 ? banner('Nothing else serves', last.join(', ')) : null,
    old.length > 0 ? banner('Not by all replicas', `${old.join(', ')} of an older version will go on sending calls there.`) : null,
    h('div', { class: 'acts' }, h('button', { type: 'button', class: 'quiet', onclick: close }, 'Cancel'), sure));
  sure.focus();
}

export function openSheet(name) {
  const [facts, bars] = [h('dl', { class: 'facts' }), meterList(Infinity)];
  const [head, turn] = [h('p', { class: 'block-head' }), h('button', { type: 'button' })];
  turn.addEventListener('click', () => {
    if (!cluster.doc.deployments[name]?.drained) return confirmDrain(name);
    close();
    resume(name);
  });
  const update = () => {
    const deployment = cluster.doc.deployments?.[name];
    if (!deployment) return close(); // the file has it no more
    showFacts(facts, name, deployment);
    bars.update(meters(deployment));
    put(head, deployment.drained ? 'It gets no new calls' : 'New calls');
    put(turn, deployment.drained ? 'Resume' : 'Drain');
    turn.className = deployment.drained ? 'main' : 'danger';
  };
  update();
  openDialog(name, update, facts, bars, h('p', { class: 'block-head' }, 'Weight beside others'), weights(name), weightForm(name),
    h('p', { class: 'hint', id: 'weight-hint' }, 'For all replicas, until the file says another one. It counts with the strategies weighted, least-busy and composite. '
      + 'Beside automatic weights 1 is as much as all have on average; one that is set in place of an automatic weight still falls with room and rises with it.'),
    head, h('div', { class: 'sheet-acts' }, turn));
}

function showFacts(list, name, deployment) {
  const { word, more } = standing(deployment);
  const all = [
    ['State', more ? `${word}, ${more}` : word], ['Account', deployment.account], ['Provider', deployment.provider], ['Its model', deployment.model],
    deployment.region ? ['Region', deployment.region] : null, ['Pools', deployment.pools.join(', ') || 'none'],
    deployment.weight === undefined ? null : ['Weight set', String(deployment.weight)],
  ].filter(Boolean);
  const text = JSON.stringify(all);
  if (list.shown === text) return;
  list.shown = text;
  list.replaceChildren(...all.flatMap(([head, value]) => [h('dt', {}, head), h('dd', {}, value)]));
}

/** What the file says of its weight, by model. */
function weights(name) {
  const all = modelsOf(name).map(([model, { strategy, targets }]) => {
    const target = targets.find((target) => target.deployment === name);
    const weight = target.auto ? `${rate(target.weight)} (automatic)` : target.weight;
    return [h('dt', {}, model), h('dd', {}, `${weight} in the file; ${strategy}, priority ${target.tier}`)];
  });
  return h('dl', { class: 'facts' }, all);
}

function weightForm(name) {
  const { weight, version } = cluster.doc.deployments[name];
  const input = h('input', { type: 'number', min: 0, step: 'any', value: weight ?? '', id: 'weight', 'aria-describedby': 'weight-hint' });
  const form = h('form', { class: 'sheet-acts' }, h('label', { class: 'field' }, h('span', { class: 'lab' }, 'Weight'), input),
    h('button', { type: 'submit', class: 'main' }, 'Set weight'), h('button', { type: 'button', class: 'quiet', onclick: () => {
      close();
      weigh(name, null, version);
    } }, "Use the file's"));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (input.value.trim() === '') {
      say('bad', 'No weight is entered.');
      return;
    }
    close();
    weigh(name, Number(input.value), version);
  });
  return form;
}
