// The `openai` SDK: Chat Completions and Responses.
import OpenAI from "openai";

import { heard, must, parsed, usage } from "./heard.mjs";

const FINISH = { stop: "stop", tool_calls: "calls", length: "length", content_filter: "refused" };

function client({ url, key }) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 20_000 });
}

function tool({ name, description, schema }) {
  return { name, description, parameters: schema };
}

// The SDK's own helper puts a stream together.
export async function chat(call) {
  const { asked } = call;
  const body = {
    model: call.model,
    messages: asked.turns.map(({ role, text }) => ({ role, content: text })),
    max_tokens: asked.max_tokens,
  };
  if (asked.temperature !== null) body.temperature = asked.temperature;
  if (asked.tools.length) body.tools = asked.tools.map((one) => ({ type: "function", function: tool(one) }));
  if (asked.choice) body.tool_choice = asked.choice;
  const { completions } = client(call).chat;
  const options = { ...body, stream_options: { include_usage: true } };
  const reply = call.stream ? await completions.stream(options).finalChatCompletion() : await completions.create(body);
  must(reply.choices.length === 1, "one choice was asked for");
  const [{ message, finish_reason }] = reply.choices;
  const counts = reply.usage;
  return heard({
    id: reply.id,
    model: reply.model,
    text: message.content ?? "",
    calls: (message.tool_calls ?? []).map(({ id, function: { name, arguments: text } }) => {
      return { id, name, arguments: parsed(text) };
    }),
    finish: FINISH[finish_reason],
    usage: usage(
      counts.prompt_tokens,
      counts.completion_tokens,
      counts.prompt_tokens_details?.cached_tokens,
      counts.completion_tokens_details?.reasoning_tokens,
    ),
  });
}

export async function responses(call) {
  const { asked } = call;
  const body = {
    model: call.model,
    input: asked.turns.map(({ role, text }) => ({ role, content: text })),
    max_output_tokens: asked.max_tokens,
  };
  if (asked.temperature !== null) body.temperature = asked.temperature;
  if (asked.tools.length) body.tools = asked.tools.map((one) => ({ type: "function", strict: true, ...tool(one) }));
  if (asked.choice) body.tool_choice = asked.choice;
  const { responses } = client(call);
  const reply = call.stream ? await responses.stream(body).finalResponse() : await responses.create(body);
  must(reply.status === "completed", reply.status);
  const calls = reply.output.filter(({ type }) => type === "function_call");
  const counts = reply.usage;
  return heard({
    id: reply.id,
    model: reply.model,
    text: reply.output_text,
    calls: calls.map(({ call_id, name, arguments: text }) => ({ id: call_id, name, arguments: parsed(text) })),
    finish: calls.length ? "calls" : "stop",
    usage: usage(
      counts.input_tokens,
      counts.output_tokens,
      counts.input_tokens_details.cached_tokens,
      counts.output_tokens_details.reasoning_tokens,
    ),
  });
}
