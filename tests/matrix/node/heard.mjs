// What a client has heard, in no dialect: the same shape as callers/heard.py.
export function heard(more) {
  const nothing = { text: "", reasoning: "", refusal: "", calls: [], finish: null, usage: null, error: null };
  return { ...nothing, signature: "", id: null, model: null, raw: null, ...more };
}

export function failed(error) {
  const where = error.stack?.split("\n")[1]?.trim() ?? "";
  const said = { status: error.status ?? error.statusCode ?? null, message: `${error.message} ${where}`, kind: error.name };
  return heard({ error: said });
}

export function usage(input, output, cached = 0, reasoning = 0) {
  return { input, output, cached: cached ?? 0, written: 0, reasoning: reasoning ?? 0 };
}

export function must(truth, words) {
  if (!truth) throw new Error(words);
}

export function parsed(text) {
  return JSON.parse(text || "{}");
}
