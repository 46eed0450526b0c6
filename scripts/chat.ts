/**
 * Talking to a model shows best what it can do. One question, or a conversation, with whatever runs the
 * model: a running service (Foundry Local loads it first), or the embedded engine.
 *
 * deno task chat qwen2.5-0.5b --prompt "List three benefits of local inference."
 * deno task chat smollm2-135m@embedded
 * deno task chat phi-4-mini:gpu --endpoint lab=http://192.0.2.7:5273/v1
 *
 * The answer goes to stdout, everything else to stderr.
 * Exit codes: 0 answered, 1 not, 2 wrong usage, 130 interrupted.
 */
import { bareCommand, interruptSignal, printJson, runTask } from "./cli.ts";
import { maxTokensOption, option, type Shared, shared, temperatureOption, timeoutOption } from "./options.ts";
import type { ConversationSettings } from "./chat/conversation.ts";
import type { Trace } from "../lib/endpoint/trace.ts";
import { UserError } from "../lib/errors.ts";
import { terminalText } from "../lib/terminal_text.ts";

interface Settings extends ConversationSettings, Shared<"json"> {
  readonly prompt?: string;
}

/** The times of one answer, for people. */
function figures({ chunks, dueMs, endMs, usage }: Trace): string {
  const first = chunks[0]?.atMs;
  const seconds = (endMs - dueMs) / 1000;
  return [
    ...(first === undefined ? [] : [`first text after ${((first - dueMs) / 1000).toFixed(2)} s`]),
    `${seconds.toFixed(2)} s in all`,
    ...(usage === null
      ? []
      : [`${usage.outputTokens} tokens`, `${(usage.outputTokens / seconds).toFixed(0)} tokens/s`]),
  ].join(", ");
}

/** Lines of a conversation, typed or piped in; an empty one or `/bye` ends it. */
async function* questions(): AsyncGenerator<string> {
  const { createInterface } = await import("node:readline");
  const typed = Deno.stdin.isTerminal();
  const lines = createInterface({
    input: process.stdin,
    ...(typed ? { output: process.stderr } : {}),
    prompt: "> ",
  });
  interruptSignal().addEventListener("abort", () => lines.close(), { once: true });
  try {
    if (typed) lines.prompt();
    for await (const line of lines) {
      const text = line.trim();
      if (text === "/bye" || text === "/exit") return;
      if (text !== "") yield text;
      if (typed) lines.prompt();
    }
  } finally {
    lines.close();
  }
}

async function chat(name: string, settings: Settings): Promise<number> {
  const { Conversation } = await import("./chat/conversation.ts");
  const conversation = await Conversation.open(name, settings);
  const write = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(terminalText(text)));
  let ok = true;
  try {
    console.error(conversation.about);
    if (settings.prompt !== undefined) {
      const trace = await conversation.ask(settings.prompt, settings.json ? undefined : write);
      if (settings.json) printJson(conversation.asJson(trace));
      else if (!trace.content.endsWith("\n")) console.log();
      console.error(trace.reason ?? figures(trace));
      return trace.status === "ok" ? 0 : 1;
    }
    if (settings.json) throw new UserError("--json needs --prompt: a conversation is not one document");
    for await (const question of questions()) {
      const trace = await conversation.ask(question, write);
      console.log();
      console.error(trace.reason ?? figures(trace));
      ok = trace.status === "ok";
    }
    return ok ? 0 : 1;
  } finally {
    await conversation.close();
  }
}

const command = bareCommand("chat")
  .usage("MODEL [options]")
  .argument("<model>", "ALIAS[:PARTS][@ENDPOINT] or a .gguf file, as bench --models takes it")
  .addOptions([
    option("--prompt <text>", "one question; its answer goes to stdout"),
    option("--system <text>", "the system message"),
    ...shared("endpoint"),
    maxTokensOption(512),
    temperatureOption(0.7),
    timeoutOption(300),
    ...shared("gpu", "registry", "store", "json"),
  ]);

await runTask(command, chat);
