// The dashboard in a real browser, with real replicas, Redis and strict providers behind it.
//
// Broken on purpose to see them fail: the page's script put into the page (refused by its own policy, and nothing showed); patches not
// applied (nothing moved); the viewer not told of changes at other replicas; a fixed width of the rows (360 px scrolled); soft text a shade
// lighter (axe: contrast); a button without a name (axe); every row drawn anew each time (200 deployments took too long).
// What was so, and would be found now: a click that was refused for want of a token made later, when somebody entered one; deployments
// shown as serving as soon as Redis was away; a page that nobody sees that held its connection.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { closeBrowser, control, dashboard, end, endAll, eventually, live, load, openBrowser, picture, row, seen, site, wait } from './rig.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TOKEN = 'the-operators-own';

const PROVIDERS = {
  swift: ['--key', 'sk-swift:rpm=400,tpm=110000', '--latency', '60ms', '--pace', '4ms', '--output', '20..60'],
  steady: ['--key', 'sk-steady:rpm=260,tpm=62000', '--latency', '160ms', '--pace', '6ms', '--output', '20..60'],
  thrifty: ['--key', 'sk-thrifty:rpm=200,tpm=60000', '--latency', '330ms', '--pace', '9ms', '--output', '20..60'],
  fragile: ['--key', 'sk-fragile:rpm=300,tpm=90000', '--latency', '80ms', '--pace', '4ms', '--output', '20..60'],
};
const LIMITS = { swift: [400, 110000, 2.5, 10], steady: [260, 62000, 0.6, 2.4], thrifty: [200, 60000, 0.15, 0.6], fragile: [300, 90000, 1, 4] };

function account(name, base, model = `${name}-1`) {
  const [requests, tokens, input, output] = LIMITS[name];
  return `[[accounts]]\nname = "${name}"\nprovider = "openai-compatible"\nbase_url = "${base}/v1"\napi_key = "sk-${name}"\nregion = "eu"\n`
    + `[[deployments]]\nname = "${name}"\naccount = "${name}"\nmodel = "${model}"\nmax_output = 64\n`
    + `meters = [{ kind = "requests", limit = ${requests}, per = "10s" }, { kind = "tokens", limit = ${tokens}, per = "10s" }]\n`
    + `price = { input = ${input.toFixed(2)}, output = ${output.toFixed(2)} }\n`;
}

const tenants = ['assistant', 'search', 'nightly'];
const key = (tenant) => `key-of-${tenant}`;
const digest = async (text) => Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('hex');

let small;
let calls;

before(async () => {
  const keys = await Promise.all(tenants.map(async (tenant) => `[[tenants]]\nname = "${tenant}"\nlimits = { rpm = 6000 }\nkeys = ["sha256:${await digest(key(tenant))}"]\n`));
  await openBrowser();
  small = await site('small', {
    providers: PROVIDERS,
    replicas: 3,
    server: `admin_token = "${TOKEN}"\n`,
    settings: (at) => `[defaults]\ncircuit = { failures = 5, open = "20s" }\nretry = { attempts = 3, base = "20ms", max = "100ms" }\n`
      + Object.entries(at).map(([name, base]) => account(name, base)).join('')
      + '[[models]]\nname = "frontier"\nstrategy = "weighted"\ndeployments = [{ name = "swift", weight = 2 }, { name = "steady", weight = 1 }]\nfallbacks = ["economy"]\n'
      + '[[models]]\nname = "economy"\ndeployments = ["thrifty", "steady"]\n'
      + '[[models]]\nname = "draft"\nstrategy = "latency"\ndeployments = ["fragile", { name = "thrifty", priority = 1 }]\n'
      + '[[experiments]]\nname = "cheaper"\nmodel = "economy"\nby = "session"\nvariants = [{ name = "control", share = 80 }, { name = "thrifty", share = 20, deployments = ["thrifty"] }]\n'
      + keys.join(''),
  });
  const models = ['frontier', 'frontier', 'frontier', 'economy', 'economy', 'draft'];
  calls = load(small, { rate: 36, model: (at) => models[at % models.length], sessions: 60, headers: (at) => ({ authorization: `Bearer ${key(tenants[at % 3])}` }) });
});

after(async () => {
  await calls?.end();
  await closeBrowser();
  await endAll();
});

async function enter(page) {
  await page.locator('#token').fill(TOKEN);
  await page.getByRole('button', { name: 'Use it' }).click();
  await live(page);
}

async function watched(options) {
  const seen = await dashboard(small.replicas[0], options);
  await enter(seen.page);
  await seen.page.locator('#deployments-rows > .row').nth(3).waitFor();
  return seen;
}

/** The listener answers 401 once before it is given the token; browsers write that down by themselves. */
const expected = (complaint) => complaint.includes('401 (Unauthorized)');

const text = (locator) => locator.innerText();

async function noSideways(page, what) {
  const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= window, `${what}: ${wide} px in ${window}`);
}

async function axe(page, what) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const bad = found.violations.filter((violation) => ['serious', 'critical'].includes(violation.impact));
  const lines = bad.map((violation) => `${violation.id}: ${violation.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
  assert.deepEqual(lines, [], what);
  assert.ok(found.testEngine.name === 'axe-core' && found.inapplicable.length + found.incomplete.length + found.passes.length > 20, `${what}: it has not looked`);
}

test('it asks for the token, keeps it to itself, and complains of nothing', async () => {
  const { page, complaints, hosts, close } = await dashboard(small.replicas[0]);
  await page.getByRole('heading', { name: 'Admin token' }).waitFor();
  assert.equal(await page.locator('#deployments-rows > .row').count(), 0, 'nothing is shown before');
  await page.locator('#token').fill('wrong');
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.getByText('This token was refused.').waitFor();
  await enter(page);
  await page.locator('#deployments-rows > .row').nth(3).waitFor();
  await wait(3000);
  const kept = await page.evaluate(() => JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie]));
  assert.ok(!kept.includes(TOKEN), kept);
  assert.deepEqual([...hosts], [new URL(small.replicas[0].admin).host], 'it asks nobody else');
  assert.deepEqual(complaints.filter((complaint) => !expected(complaint)), []);
  await close();
});

test('it is refused what it does not do itself: inline scripts, other hosts, frames', async () => {
  const response = await fetch(`${small.replicas[0].admin}/dashboard`);
  const policy = response.headers.get('content-security-policy');
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]) assert.ok(policy.includes(part), policy);
  const { page, close } = await dashboard(small.replicas[0]);
  const ran = await page.evaluate(async () => {
    const script = document.createElement('script');
    try {
      script.text = 'globalThis.ran = true';
      document.head.append(script);
    } catch {
      return 'refused';
    }
    return globalThis.ran ? 'ran' : 'refused';
  });
  assert.equal(ran, 'refused');
  await close();
});

test('it moves while calls are made', async () => {
  const { page, complaints, close } = await watched();
  const rate = page.locator('#charts .card').first().locator('strong');
  // One replica alone has ten a second.
  await eventually('calls of all replicas', async () => Number(await text(rate)) > 20, 20_000);
  const total = Number(await text(rate));
  assert.ok(total < 60, `${total} calls a second`);
  const used = row(page, 'swift').locator('.val').first(); // the share may stay under a steady load, the count does not
  const values = new Set();
  for (let look = 0; look < 12; look += 1) {
    values.add(await text(used));
    await wait(400);
  }
  assert.ok(values.size >= 2, `the limit stands still: ${[...values]}`);
  await eventually('calls', async () => (await page.locator('#calls-rows .call').count()) > 20);
  const first = page.locator('#calls-rows .call > button').first();
  await first.focus();
  await page.keyboard.press('Enter');
  await page.locator('#calls-rows .why').first().waitFor();
  const why = await text(page.locator('#calls-rows .why').first());
  assert.match(why, /Replica\s+replica-\d/);
  assert.match(why, /Tenant\s+(assistant|search|nightly)/);
  const names = await page.locator('#replicas-rows tr').allInnerTexts();
  assert.equal(names.filter((name) => name.includes('Alive')).length, 3, names.join());
  for (const { innerText } of await page.locator('#replicas-rows tr td:nth-child(4)').evaluateAll((cells) => cells.map((cell) => ({ innerText: cell.innerText })))) {
    assert.ok(Number(innerText) > 1, `a replica without calls: ${innerText}`);
  }
  assert.deepEqual(complaints.filter((complaint) => !expected(complaint)), []);
  await close();
});

test('what leads to a call is explained, and what a session did is counted', async () => {
  const { page, close } = await watched();
  await eventually('sessions', async () => /\d/.test(await text(page.locator('#sessions-body dd').first())) && !(await text(page.locator('#sessions-body dd').first())).startsWith('0'));
  await control(small.providers.swift, { fail: ['status=500,share=0.5'] });
  await page.getByRole('button', { name: /^Retried/ }).click();
  await page.locator('#calls-rows .call > button').first().click({ timeout: 15_000 });
  await control(small.providers.swift, { fail: [] });
  assert.match(await text(page.locator('#calls-rows .why').first()), /swift: taken, /);
  await close();
});

test('a click drains a deployment for all replicas, and another brings it back', async () => {
  const { page, close } = await watched();
  await row(page, 'steady').getByRole('button', { name: 'Drain steady' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain steady' }).click();
  await row(page, 'steady').getByText('Drained', { exact: true }).waitFor({ timeout: 2000 });
  await page.getByText('steady is drained').first().waitFor();
  const settled = Date.now() + 400;
  await wait(2000);
  assert.equal(await seen(small.providers.steady, settled), 0, 'its provider gets no calls from any replica');
  const other = await dashboard(small.replicas[2]);
  await enter(other.page);
  await row(other.page, 'steady').getByText('Drained', { exact: true }).waitFor();
  await row(other.page, 'steady').getByRole('button', { name: 'Resume steady' }).click();
  await row(page, 'steady').getByText('Drained', { exact: true }).waitFor({ state: 'detached', timeout: 2000 });
  await eventually('calls to it again', async () => (await seen(small.providers.steady, Date.now() - 1000)) > 0, 10_000);
  await other.close();
  await close();
});

test('weights and shares are set in the page', async () => {
  const { page, close } = await watched();
  await page.getByRole('button', { name: 'swift', exact: true }).click();
  await page.getByLabel('Weight').fill('7.5');
  await page.keyboard.press('Enter');
  await row(page, 'swift').getByText('weight 7.5').waitFor({ timeout: 2000 });
  const listed = await fetch(`${small.replicas[1].admin}/admin/v1/deployments/swift`, { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal((await listed.json()).weight.set, 7.5);
  await page.getByRole('button', { name: 'swift', exact: true }).click();
  await page.getByLabel('Weight').fill('0');
  await page.keyboard.press('Enter');
  await page.getByText('a weight is above 0').first().waitFor();
  await page.getByRole('button', { name: 'swift', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: "Use the file's" }).click();
  await row(page, 'swift').getByText('weight 7.5').waitFor({ state: 'detached', timeout: 2000 });
  const shares = page.getByLabel('Share of thrifty in cheaper');
  await shares.fill('60');
  await page.getByRole('button', { name: 'Set shares' }).click();
  await page.getByText('shares set at run time').waitFor();
  assert.equal(await shares.inputValue(), '60');
  await page.locator('#experiments').getByRole('button', { name: "Use the file's" }).click();
  await page.getByText('shares of the file').waitFor();
  await close();
});

test('an open circuit shows within a second', async () => {
  const { page, close } = await watched();
  const opened = page.evaluate(() => new Promise((done) => {
    const look = () => {
      const is = [...document.querySelectorAll('#deployments-rows .row')].some((row) => row.innerText.includes('fragile') && row.innerText.includes('Circuit open'));
      if (is) done(Date.now());
      else requestAnimationFrame(look);
    };
    look();
  }));
  await control(small.providers.fragile, { fail: ['status=500'] });
  let since = null;
  await eventually('an open circuit', async () => {
    const state = await fetch(`${small.replicas[1].admin}/admin/v1/state`, { headers: { authorization: `Bearer ${TOKEN}` } });
    const { deployments } = await state.json();
    if (deployments.find((deployment) => deployment.name === 'fragile').circuit.state !== 'open') return false;
    since = Date.now();
    return true;
  });
  const shown = await opened;
  console.log(`an open circuit shows ${shown - since} ms after the admin page of another replica tells of it`);
  assert.ok(shown - since < 1000, `${shown - since} ms`);
  const countdown = await text(row(page, 'fragile').locator('.how .soft'));
  assert.match(countdown, /next try in \d+ s/);
  await picture(page, 'trouble-light', false);
  await close();
  await control(small.providers.fragile, { fail: [] });
});

test('it works in 360 pixels, by the keyboard, in light and in dark', async () => {
  for (const dark of [false, true]) {
    const name = dark ? 'dark' : 'light';
    for (const [width, height] of [[1360, 900], [820, 1100], [360, 780]]) {
      const { page, close } = await watched({ width, height, dark });
      await wait(width === 1360 ? 6000 : 2500);
      await noSideways(page, `${name} ${width}`);
      await picture(page, `${name}-${width}`);
      await close();
    }
  }
  const { page, close } = await watched({ width: 360, height: 780 });
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.keyboard.press('Enter');
  // Everything that can be done is reached, and where one is can be seen.
  const reached = new Set();
  for (let step = 0; step < 120; step += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const node = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(node);
      return { name: node.getAttribute('aria-label') ?? node.textContent.trim() ?? node.id, id: node.id, outline: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2, body: node === document.body };
    });
    if (at.body) break;
    assert.ok(at.outline, `no focus to be seen at ${at.name}`);
    reached.add(at.name).add(at.id);
  }
  for (const wanted of ['search', 'sort', 'swift', 'Drain swift', 'Drain thrifty', 'pause']) assert.ok(reached.has(wanted), `${wanted} is not reached: ${[...reached]}`);
  await close();
});

test('nothing serious is found by axe, in light and in dark, with a dialog open as well', async () => {
  for (const dark of [false, true]) {
    for (const width of [1280, 360]) {
      const { page, close } = await watched({ dark, width, bypassCSP: true });
      await page.locator('#calls-rows .call > button').first().click();
      await axe(page, `${dark ? 'dark' : 'light'} ${width}`);
      await page.getByRole('button', { name: 'swift', exact: true }).click();
      await axe(page, `${dark ? 'dark' : 'light'} ${width}, dialog`);
      if (width === 1280) await picture(page, `dialog-${dark ? 'dark' : 'light'}`, false);
      await close();
    }
  }
});

test('colours can be chosen, and are kept', async () => {
  const { page, close } = await watched();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  const theme = page.getByRole('button', { name: /^Colours/ });
  await theme.click();
  await theme.click();
  assert.notEqual(await ground(), light);
  await page.reload();
  await page.getByRole('heading', { name: 'Admin token' }).waitFor();
  assert.notEqual(await ground(), light, 'it is kept over a reload');
  await close();
});

test('it comes back when its replica does', async () => {
  const { page, close } = await watched();
  const { child } = small.replicas[1];
  const other = await dashboard(small.replicas[1]);
  await enter(other.page);
  child.kill('SIGKILL'); // one that ends by itself takes its leave, and is shown no more
  await end(child);
  await other.page.getByText('Reconnecting').waitFor({ timeout: 10_000 });
  await page.locator('#replicas-rows tr').filter({ hasText: 'replica-2' }).getByText('Gone').waitFor({ timeout: 10_000 });
  await other.close();
  await close();
  small.replicas.splice(1, 1);
});

test('what is refused for want of a token is not done when one is entered later', async () => {
  const { page, close } = await watched();
  await page.route('**/deployments/thrifty/drain', (route) => route.fulfill({ status: 401, contentType: 'application/json', body: '{"error": {"message": "the admin token is required"}}' }));
  await row(page, 'thrifty').getByRole('button', { name: 'Drain thrifty' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain thrifty' }).click();
  await page.getByRole('heading', { name: 'Admin token' }).waitFor();
  await page.getByText('Nothing was done').first().waitFor();
  await page.locator('#token-cancel').click();
  await page.unroute('**/deployments/thrifty/drain');
  await page.locator('#token-button').click();
  await enter(page);
  await wait(1500);
  const told = await fetch(`${small.replicas[0].admin}/admin/v1/deployments/thrifty`, { headers: { authorization: `Bearer ${TOKEN}` } });
  assert.equal((await told.json()).drained, false);
  await close();
});

test('a page that nobody sees does not listen, and listens again when somebody does', async () => {
  const { page, close } = await watched();
  const turn = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await turn(true);
  await page.locator('#link[data-tone="warn"]').waitFor({ timeout: 10_000 });
  await wait(2000);
  assert.equal(await text(page.locator('#link-text')), 'Reconnecting', 'it has not connected again');
  await turn(false);
  await live(page);
  await close();
});

test('costs of the last day are shown by model and by deployment, and limits of tenants', async () => {
  const { page, complaints, close } = await watched();
  const rows = page.locator('#costs-body tbody tr');
  await eventually('costs by model', async () => (await rows.allInnerTexts()).some((row) => row.startsWith('frontier')), 45_000);
  const spent = page.locator('#costs-body .stats strong').first();
  assert.match(await text(spent), /^\$/);
  await page.getByRole('button', { name: 'By deployment' }).click();
  await eventually('costs by deployment', async () => (await rows.allInnerTexts()).some((row) => row.startsWith('swift')));
  const told = await fetch(`${small.replicas[1].admin}/admin/v1/costs?by=deployment&hours=24`, { headers: { authorization: `Bearer ${TOKEN}` } });
  const { rows: all } = await told.json();
  assert.equal(await rows.count(), Math.min(all.length, 25));
  assert.equal(await page.locator('#limits-rows > .limit').count(), 3);
  await page.locator('#limits-rows .limit').filter({ hasText: 'Tenant search' }).getByText(/ of 6/).first().waitFor();
  assert.deepEqual(complaints.filter((complaint) => !expected(complaint)), []);
  await close();
});

test('what was bad stays so while Redis is away', async () => {
  const provider = (name) => ['--key', `sk-${name}`, '--latency', '20ms', '--pace', '2ms', '--output', '8'];
  const part = (name, base) => `[[accounts]]\nname = "${name}"\nprovider = "openai-compatible"\nbase_url = "${base}/v1"\napi_key = "sk-${name}"\n`
    + `[[deployments]]\nname = "${name}"\naccount = "${name}"\nmodel = "${name}-1"\n`;
  const other = await site('away', {
    providers: { sick: provider('sick'), well: provider('well') },
    replicas: 1,
    settings: (at) => `[defaults]\ncircuit = { failures = 5, open = "300s" }\n${Object.entries(at).map(([name, base]) => part(name, base)).join('')}`
      + '[[models]]\nname = "m"\ndeployments = [{ name = "sick", priority = 0 }, { name = "well", priority = 1 }]\n',
  });
  const calls = load(other, { rate: 20, model: 'm' });
  await control(other.providers.sick, { fail: ['status=500'] });
  const { page, close } = await dashboard(other.replicas[0]);
  await live(page);
  await row(page, 'sick').getByText('Circuit open').waitFor();
  await end(other.state);
  await page.getByText('Shared state away').waitFor();
  for (let look = 0; look < 10; look += 1) {
    assert.match(await text(row(page, 'sick').locator('.how')), /Circuit open/, 'nobody has said that it is well again');
    await wait(300);
  }
  await close();
  await calls.end();
});

test('two hundred deployments are found, filtered and drawn in time', async () => {
  const count = 200;
  const large = await site('large', {
    providers: { many: ['--key', 'sk-many', '--latency', '20ms', '--pace', '2ms', '--output', '8'] },
    replicas: 1,
    settings: ({ many }) => `[[accounts]]\nname = "many"\nprovider = "openai-compatible"\nbase_url = "${many}/v1"\napi_key = "sk-many"\n`
      + Array.from({ length: count }, (_, at) => `[[deployments]]\nname = "d-${at + 1}"\naccount = "many"\nmodel = "up-${at % 9}"\nlimits = { rpm = ${60 + at}, tpm = ${20000 + 100 * at} }\n`).join('')
      + `[[models]]\nname = "m"\ndeployments = [${Array.from({ length: count }, (_, at) => `"d-${at + 1}"`).join(', ')}]\n`,
  });
  const calls = load(large, { rate: 30, model: 'm' });
  const { page, complaints, close } = await dashboard(large.replicas[0]);
  await live(page);
  await page.locator('#deployments-rows > .row').nth(count - 1).waitFor({ state: 'attached' });
  await wait(4000);
  const busy = await page.evaluate(() => new Promise((done) => {
    let longest = 0;
    let last = performance.now();
    const until = last + 5000;
    const look = (now) => {
      longest = Math.max(longest, now - last);
      last = now;
      if (now < until) requestAnimationFrame(look);
      else done(longest);
    };
    requestAnimationFrame(look);
  }));
  console.log(`200 deployments: the longest frame of five seconds took ${Math.round(busy)} ms`);
  assert.ok(busy < 400, `a frame took ${busy} ms`);
  await page.getByPlaceholder('Search').fill('d-19');
  await eventually('eleven of them', async () => (await page.locator('#deployments-rows > .row').count()) === 11);
  await page.getByPlaceholder('Search').fill('up-3');
  await eventually('those of a model', async () => (await page.locator('#deployments-rows > .row').count()) === 22);
  await page.getByPlaceholder('Search').fill('nothing like it');
  await page.getByText('No deployment matches.').waitFor();
  await page.getByPlaceholder('Search').fill('');
  await page.getByLabel('Sort by').selectOption('calls');
  await row(page, 'd-7').getByRole('button', { name: 'Drain d-7' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain d-7' }).click();
  await page.getByRole('button', { name: /^Drained/ }).click();
  await eventually('the drained one alone', async () => (await page.locator('#deployments-rows > .row').count()) === 1);
  await page.getByRole('button', { name: /^All/ }).first().click();
  await page.setViewportSize({ width: 360, height: 780 });
  await wait(600);
  await noSideways(page, '200 deployments at 360');
  await page.setViewportSize({ width: 1280, height: 900 });
  await wait(600);
  await picture(page, 'two-hundred', false);
  assert.deepEqual(complaints, []);
  await close();
  await calls.end();
});
