// The `@google/genai` SDK.
import { GoogleGenAI } from "@google/genai";

import { heard, must, usage } from "./heard.mjs";

const FINISH = { STOP: "stop", MAX_TOKENS: "length", SAFETY: "refused" };
const CHOICES = { auto: "AUTO", required: "ANY" };

export async function generate(call) {
  const { asked } = call;
  const config = { maxOutputTokens: asked.max_tokens };
  if (asked.temperature !== null) config.temperature = asked.temperature;
  if (asked.tools.length) {
    const declared = asked.tools.map(({ name, description, schema }) => {
      return { name, description, parametersJsonSchema: schema };
    });
    config.tools = [{ functionDeclarations: declared }];
  }
  if (asked.choice) config.toolConfig = { functionCallingConfig: { mode: CHOICES[asked.choice] } };
  const contents = asked.turns.map(({ role, text }) => ({ role: role === "user" ? "user" : "model", parts: [{ text }] }));
  const { models } = new GoogleGenAI({ apiKey: call.key, vertexai: false, httpOptions: { baseUrl: call.url, timeout: 20_000 } });
  const request = { model: call.model, contents, config };
  const chunks = [];
  if (call.stream) {
    for await (const chunk of await models.generateContentStream(request)) chunks.push(chunk);
  } else {
    chunks.push(await models.generateContent(request));
  }
  return told(chunks);
}

function told(chunks) {
  const parts = chunks.flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? []);
  const finishes = chunks.map((chunk) => chunk.candidates?.[0]?.finishReason).filter(Boolean);
  must(finishes.length === 1, `finish reasons: ${finishes}`);
  const calls = parts.filter((part) => part.functionCall).map((part) => part.functionCall);
  const counts = chunks.map((chunk) => chunk.usageMetadata).filter(Boolean).at(-1);
  const thought = counts.thoughtsTokenCount ?? 0;
  return heard({
    id: chunks.at(-1).responseId,
    model: chunks.at(-1).modelVersion,
    text: parts.map((part) => part.text ?? "").join(""),
    calls: calls.map(({ id, name, args }) => ({ id: id ?? `made-up-${name}`, name, arguments: args })),
    finish: calls.length && finishes[0] === "STOP" ? "calls" : FINISH[finishes[0]],
    usage: usage(counts.promptTokenCount, (counts.candidatesTokenCount ?? 0) + thought, counts.cachedContentTokenCount, thought),
  });
}
