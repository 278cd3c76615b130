// What the tests stand on: Redis, strict providers, replicas, calls at a steady rate, and a real browser. All of it runs on the loopback
// interface and ends with the tests, each process by its own id.

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

import { chromium } from 'playwright-core';

export const WEIR = need('WEIR_BIN');
/** Where everything generated goes, pictures included. */
export const FOLDER = need('WEIR_BROWSER_FOLDER');
const READY_WITHIN = 30_000;

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run tests/browser/run`);
  return value;
}

export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Waits until `check` says yes; fails with its last reason. */
export async function eventually(what, check, within = READY_WITHIN) {
  const deadline = Date.now() + within;
  for (;;) {
    let why = '';
    try {
      if (await check()) return;
    } catch (error) {
      why = `: ${error.message}`;
    }
    if (Date.now() > deadline) throw new Error(`no ${what} within ${within} ms${why}`);
    await wait(20);
  }
}

const given = new Set();

/** A port that nobody listens on, below those from which the kernel draws. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (given.has(port)) continue;
    given.add(port);
    const server = createServer();
    const free = await new Promise((done) => {
      server.once('error', () => done(false));
      server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
    });
    if (free) return port;
  }
}

const running = [];
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL'))); // whatever ended the tests

async function start(name, folder, command, args, answers, env = {}) {
  const log = path.join(folder, `${name}.log`);
  const out = openSync(log, 'w');
  const child = spawn(command, args, { stdio: ['ignore', out, out], env: { ...process.env, ...env } });
  closeSync(out);
  running.push(child);
  await eventually(`answer of ${name}`, async () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${readFileSync(log, 'utf8').slice(-2000)}`);
    return answers();
  });
  return child;
}

export async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 8000);
  await over;
  clearTimeout(late);
}

export async function endAll() {
  await Promise.all(running.splice(0).map(end));
}

const says = async (url) => (await fetch(url)).ok;

/** Redis, providers and replicas; `settings` are told the providers' addresses by name. */
export async function site(name, { providers, replicas, server = '', settings }) {
  const folder = path.join(FOLDER, name);
  mkdirSync(folder, { recursive: true });
  const redis = await freePort();
  const state = await start('redis', folder, 'redis-server', ['--port', redis, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder].map(String), async () => {
    const { connect } = await import('node:net');
    return new Promise((done) => {
      const socket = connect(redis, '127.0.0.1', () => socket.end('PING\r\n'));
      socket.once('data', (data) => done(String(data).startsWith('+PONG')));
      socket.once('error', () => done(false));
    });
  });
  const at = {};
  for (const [provider, options] of Object.entries(providers)) {
    const port = await freePort();
    const args = ['provider', '--listen', `127.0.0.1:${port}`, '--window', '10s', ...options];
    await start(`provider-${provider}`, folder, WEIR, args, () => says(`http://127.0.0.1:${port}/healthz`));
    at[provider] = `http://127.0.0.1:${port}`;
  }
  const config = path.join(folder, 'weir.toml');
  writeFileSync(config, `version = 1\n\n[server]\nlisten = "\${LISTEN}"\nadmin_listen = "\${ADMIN}"\nanonymous = true\ndrain_delay = "200ms"\n${server}\n`
    + `[state]\nurl = "redis://127.0.0.1:${redis}/0"\ntimeout = "250ms"\n\n${settings(at)}`);
  const all = [];
  for (let number = 1; number <= replicas; number += 1) {
    const [listen, admin] = [await freePort(), await freePort()];
    const env = { LISTEN: `127.0.0.1:${listen}`, ADMIN: `127.0.0.1:${admin}`, WEIR_REPLICA: `replica-${number}` };
    const child = await start(`replica-${number}`, folder, WEIR, ['serve', '--config', config], () => says(`http://127.0.0.1:${admin}/readyz`), env);
    all.push({ child, clients: `http://127.0.0.1:${listen}`, admin: `http://127.0.0.1:${admin}` });
  }
  return { replicas: all, providers: at, folder, config, state };
}

/** Changes a provider's behaviour. */
export async function control(provider, change) {
  const response = await fetch(`${provider}/_control`, { method: 'POST', body: JSON.stringify(change) });
  if (!response.ok) throw new Error(await response.text());
}

/** How many calls a provider has seen since a moment, Unix milliseconds. */
export async function seen(provider, since) {
  const log = await (await fetch(`${provider}/_log`)).text();
  return log.split('\n').filter((line) => line && JSON.parse(line).arrival_us > since * 1e3).length;
}

/** Calls at a steady rate, at each replica in turn, until it is ended; what came of them. */
export function load(site, { rate, model, sessions = 0, headers = () => ({}), stream = (at) => at % 2 === 0 }) {
  const came = { ok: 0, failed: 0 };
  const open = new Set();
  let at = 0;
  const call = async (at) => {
    const { clients } = site.replicas[at % site.replicas.length];
    const named = typeof model === 'function' ? model(at) : model;
    const body = { model: named, stream: stream(at), max_tokens: 64, messages: [{ role: 'user', content: `word `.repeat(20 + (at % 7) * 30) }] };
    const session = sessions > 0 && at % 3 === 0 ? { 'x-session-id': `s-${at % sessions}` } : {};
    try {
      const response = await fetch(`${clients}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json', ...session, ...headers(at) }, body: JSON.stringify(body) });
      await response.text();
      came[response.ok ? 'ok' : 'failed'] += 1;
    } catch {
      came.failed += 1;
    }
  };
  const timer = setInterval(() => {
    const made = call(at++).finally(() => open.delete(made));
    open.add(made);
  }, 1000 / rate);
  return {
    came,
    async end() {
      clearInterval(timer);
      await Promise.all(open);
      return came;
    },
  };
}

let browser;

export async function openBrowser() {
  const executablePath = need('WEIR_BROWSER');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--font-render-hinting=none'] });
}

export async function closeBrowser() {
  await browser?.close();
}

/** The dashboard of a replica in a fresh browser; what it complains of is kept. */
export async function dashboard(replica, { width = 1280, height = 900, dark = false, bypassCSP = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', bypassCSP, reducedMotion: 'reduce', locale: 'en-GB' });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('requestfailed', (request) => {
    if (!page.isClosed() && !page.leaving) complaints.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  const hosts = new Set();
  page.on('request', (request) => {
    if (!request.url().startsWith('data:')) hosts.add(new URL(request.url()).host);
  });
  await page.goto(`${replica.admin}/dashboard`);
  return { page, complaints, hosts, async close() {
    page.leaving = true;
    await context.close();
  } };
}

export const live = (page) => page.locator('#link[data-tone="good"]').waitFor({ timeout: 15_000 });
export const row = (page, name) => page.locator('#deployments-rows > .row').filter({ has: page.getByRole('button', { name, exact: true }) });
export const picture = (page, name, fullPage = true) => page.screenshot({ path: path.join(FOLDER, `${name}.png`), fullPage });
