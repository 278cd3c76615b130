// Takes a call on each line of standard input and writes what was heard on a line of standard output.
import { createInterface } from "node:readline";

import * as ai from "./ai.mjs";
import * as anthropic from "./anthropic.mjs";
import * as google from "./google.mjs";
import { failed } from "./heard.mjs";
import * as openai from "./openai.mjs";

const CALLERS = {
  "node-chat": openai.chat,
  "node-responses": openai.responses,
  "node-messages": anthropic.messages,
  "node-gemini": google.generate,
  "ai-chat": ai.caller("chat"),
  "ai-responses": ai.caller("responses"),
  "ai-anthropic": ai.caller("anthropic"),
  "ai-google": ai.caller("google"),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { client, ...call } = JSON.parse(line);
  let heard;
  try {
    heard = await CALLERS[client](call);
  } catch (error) {
    heard = failed(error);
  }
  process.stdout.write(`${JSON.stringify(heard)}\n`);
}
