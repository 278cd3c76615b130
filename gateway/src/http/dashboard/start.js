// The dashboard. It watches /admin/v1/events, keeps the last ten minutes in its memory and draws what has changed. No framework, no
// markup made of text, no address but this listener's. Reading order: base (nodes and numbers), known (the document), past (seconds),
// access and stream (how it is heard), then what is drawn: overview, tables, meters, deployments with its sheet, experiments, costs, calls.

import { $, mark, put } from './base.js';
import { countCalls } from './calls.js';
import { pollCosts } from './costs.js';
import { showDeployments } from './deployments.js';
import { pollExperiments } from './experiments.js';
import { cluster, fullest, meters, standing } from './known.js';
import { showLimits } from './meters.js';
import { showBanners, showOverview, showWhere } from './overview.js';
import { WHOLE, last, look, turn } from './past.js';
import { quietly } from './say.js';
import { showSheet } from './sheet.js';
import { watch } from './stream.js';
import { showModels, showReplicas, showSessions } from './tables.js';

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

// ---- What is drawn when --------------------------------------------------------------------------------------------------------

let drawn = 0;

cluster.draw = () => {
  if (!cluster.doc || document.hidden) return;
  cluster.changed = false;
  drawn = performance.now();
  look();
  const standings = new Map();
  for (const [name, deployment] of Object.entries(cluster.doc.deployments ?? {})) {
    const limits = meters(deployment);
    const use = fullest(limits);
    standings.set(name, { ...standing(deployment, use), limits, use });
  }
  showWhere();
  showBanners();
  showOverview();
  showModels(standings);
  showDeployments(standings);
  showLimits();
  showReplicas();
  showSessions(last(WHOLE, []));
  showSheet();
};

/** Draws what is new at once, and countdowns and rates once a second. */
function beat() {
  if (cluster.changed && performance.now() - drawn >= 250) cluster.draw();
  requestAnimationFrame(beat);
}

theme(remembered());
countCalls();
setInterval(() => {
  turn();
  cluster.draw();
}, 1000);

/** Asks while somebody looks, and as soon as somebody does. */
function poll(work, every) {
  let asked = -Infinity;
  setInterval(() => {
    if (!cluster.doc || document.hidden || performance.now() - asked < every) return;
    asked = performance.now();
    quietly(work);
  }, 250);
}
poll(pollExperiments, 5e3);
poll(pollCosts, 30e3);
document.addEventListener('visibilitychange', () => cluster.draw());
document.addEventListener('scroll', whereAmI, { passive: true });
whereAmI();
requestAnimationFrame(beat);
watch();
