// Requests to the admin API, and its token, which is in this module's memory alone.

import { $, mark, put } from './base.js';

let token = '';
/** The stream waits for another token. */
let wanting = null;
/** An answer that does not come in this time does not come: browsers queue what they have no connection for, without end. */
const LATE = 10e3;

export const authorised = () => (token ? { authorization: `Bearer ${token}` } : {});
export const used = () => token;

export async function reason(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return `${response.status} ${response.statusText}`;
  }
}

/** One request; null for what is not there. What is refused for want of a token is not made later: nobody may want it any more by then. */
export async function ask(method, path, body) {
  const said = body === undefined ? {} : { 'content-type': 'application/json' };
  const sent = token;
  const response = await fetch(`admin/v1/${path}`, {
    method, headers: { ...authorised(), ...said }, cache: 'no-store', signal: AbortSignal.timeout(LATE), body: body === undefined ? undefined : JSON.stringify(body),
  }).catch((error) => {
    throw error.name === 'TimeoutError' ? new Error('No answer came in time; this may or may not have been done.') : error;
  });
  if (response.status === 401) {
    if (method !== 'GET' && token === sent) openToken(sent !== '');
    throw new Error('Nothing was done: the admin token is asked for. Enter it and try again.');
  }
  if (response.status === 404 && method === 'GET') return null;
  if (!response.ok) throw new Error(await reason(response));
  return response.json();
}

/** Resolves when there is another token than the one that was refused. */
export function newToken(refused) {
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

/** How this page hears of the cluster. */
export function link(tone, text, why) {
  mark($('link'), 'data-tone', tone);
  mark($('link'), 'title', why);
  put($('link-text'), text);
}

$('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  // A header holds no others.
  if (/[^\u0020-\u00ff]/.test($('token').value)) {
    put($('token-error'), 'No page can send a token with such characters.');
    return;
  }
  token = $('token').value;
  $('token').value = '';
  $('token-dialog').close();
  const { give } = wanting ?? {};
  wanting = null;
  give?.();
});
$('token-cancel').addEventListener('click', () => $('token-dialog').close());
$('token-button').addEventListener('click', () => openToken(false));
