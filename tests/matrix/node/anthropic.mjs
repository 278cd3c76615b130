// The `@anthropic-ai/sdk`.
import Anthropic from "@anthropic-ai/sdk";

import { heard, usage } from "./heard.mjs";

const FINISH = { end_turn: "stop", tool_use: "calls", max_tokens: "length", refusal: "refused" };
const CHOICES = { auto: "auto", required: "any" };

export async function messages(call) {
  const { asked } = call;
  const body = {
    model: call.model,
    messages: asked.turns.map(({ role, text }) => ({ role, content: text })),
    max_tokens: asked.max_tokens,
  };
  if (asked.temperature !== null) body.temperature = asked.temperature;
  if (asked.tools.length) {
    body.tools = asked.tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema }));
  }
  if (asked.choice) body.tool_choice = { type: CHOICES[asked.choice] };
  const { messages } = new Anthropic({ baseURL: call.url, apiKey: call.key, maxRetries: 0, timeout: 20_000 });
  // the SDK's own helper puts a stream together
  const reply = call.stream ? await messages.stream(body).finalMessage() : await messages.create(body);
  const counts = reply.usage;
  const cached = counts.cache_read_input_tokens ?? 0;
  return heard({
    id: reply.id,
    model: reply.model,
    text: reply.content.map((block) => block.text ?? "").join(""),
    calls: reply.content
      .filter(({ type }) => type === "tool_use")
      .map(({ id, name, input }) => ({ id, name, arguments: input })),
    finish: FINISH[reply.stop_reason],
    usage: usage(counts.input_tokens + cached + (counts.cache_creation_input_tokens ?? 0), counts.output_tokens, cached),
  });
}
