// Vercel's `ai` with its providers: another reader of each dialect, not by the vendor.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";

import { heard, usage } from "./heard.mjs";

const FINISH = { stop: "stop", "tool-calls": "calls", length: "length", "content-filter": "refused" };

const MODELS = {
  chat: ({ url, key, model }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat(model),
  responses: ({ url, key, model }) => createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses(model),
  anthropic: ({ url, key, model }) => createAnthropic({ baseURL: `${url}/v1`, apiKey: key })(model),
  google: ({ url, key, model }) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })(model),
};

// The function that makes calls with one of its providers.
export function caller(dialect) {
  return async (call) => {
    const { asked } = call;
    const options = {
      model: MODELS[dialect](call),
      messages: asked.turns.map(({ role, text }) => ({ role, content: text })),
      maxOutputTokens: asked.max_tokens,
      maxRetries: 0,
    };
    if (asked.temperature !== null) options.temperature = asked.temperature;
    if (asked.choice) options.toolChoice = asked.choice;
    if (asked.tools.length) {
      const described = asked.tools.map(({ name, description, schema }) => {
        return [name, tool({ description, inputSchema: jsonSchema(schema) })];
      });
      options.tools = Object.fromEntries(described);
    }
    return call.stream ? streamed(options) : told(await generateText(options));
  };
}

// A failure of a stream is told to `onError` and nowhere else.
async function streamed(options) {
  let failure;
  const stream = streamText({ ...options, onError: ({ error }) => (failure = error) });
  await stream.consumeStream();
  if (failure) throw failure;
  return told({
    text: await stream.text,
    toolCalls: await stream.toolCalls,
    finishReason: await stream.finishReason,
    usage: await stream.usage,
    response: await stream.response,
  });
}

function told(reply) {
  const counts = reply.usage;
  return heard({
    id: reply.response.id,
    model: reply.response.modelId,
    text: reply.text,
    calls: reply.toolCalls.map(({ toolCallId, toolName, input }) => {
      return { id: toolCallId, name: toolName, arguments: input };
    }),
    finish: FINISH[reply.finishReason],
    usage: usage(counts.inputTokens, counts.outputTokens, counts.cachedInputTokens, counts.reasoningTokens),
  });
}
