// What was done, or not, in a line that goes away.

import { $, mark } from './base.js';

let timer;
export function say(tone, text) {
  const toast = $('toast');
  mark(toast, 'data-tone', tone);
  toast.textContent = text;
  toast.hidden = false;
  $('said').textContent = text;
  clearTimeout(timer);
  timer = setTimeout(() => (toast.hidden = true), tone === 'bad' ? 8e3 : 3500);
}

/** Does something and says how it went; null if it did not. */
export async function act(done, work) {
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
export async function quietly(work) {
  try {
    await work();
  } catch (error) {
    console.info(error.message);
  }
}
