/** One case of a job and a set of them, as every other part of Podium sees them. */
import { createHash } from "node:crypto";
import type { Anchor, AnswerCheck } from "./checks.ts";
import type { RequestSettings, ToolCall, ToolDefinition } from "./request_settings.ts";

/** One message of a chat, in the OpenAI protocol's words. */
export interface PromptMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  /** Empty where an assistant's message only calls tools. */
  readonly content: string;
  /** Calls that an assistant's message makes. */
  readonly tool_calls?: readonly ToolCall[];
  /** The call that a tool's message answers. */
  readonly tool_call_id?: string;
}

/** One case: what a model is sent, and what a good answer to it is. */
export interface Prompt {
  readonly id: string;
  readonly messages: readonly PromptMessage[];
  /** The kind of task (`classify`, `extract`, `summarize` …); null where the set doesn't say. */
  readonly task: string | null;
  /** What a good answer contains: read by people, and by a judge. */
  readonly aspects: readonly string[];
  /** Deterministic checks: what lib/quality scores an answer by. */
  readonly checks: readonly AnswerCheck[];
  /** Answers of known worth: what a judge is tried on. */
  readonly anchors: readonly Anchor[];
  readonly reference: string | null;
  /** Functions that the model may call. */
  readonly tools: readonly ToolDefinition[];
  readonly settings: RequestSettings;
  /** The texts that the answer must rest on; they are part of the messages. */
  readonly documents: readonly string[];
  /** The user's further messages, each sent after the model's own answer to the one before. */
  readonly turns: readonly string[];
  /** Other messages for the same case, by the wording's name. */
  readonly wordings: ReadonlyMap<string, readonly PromptMessage[]>;
  /** What a draw is stratified by: the expected label; null where there is none. */
  readonly label: string | null;
  /** How many tokens it was padded to; left out where it is as long as it is. */
  readonly targetTokens?: number;
  /** SHA-256 of what is sent (messages, tools, settings, turns), as lower-case hex. */
  readonly sha256: string;
}

/** A job's cases. */
export interface PromptSet {
  readonly name: string;
  /** SHA-256 over the ids and hashes of all prompts, in order. */
  readonly sha256: string;
  /** The model that a choice must beat (an alias of the registry): an adapter; null where the set names none. */
  readonly baseline: string | null;
  /** What people and a judge rate by, as the file holds it; null where it has none. */
  readonly rubric: unknown;
  /** Settings of every request of the set, unless its case has its own. */
  readonly settings: RequestSettings;
  /** What a case may be classified as; empty where nothing is classified. */
  readonly labels: readonly string[];
  readonly prompts: readonly Prompt[];
}

/** What a set has besides its cases. */
export type PromptSetHead = Omit<PromptSet, "sha256" | "prompts">;

/**
 * A set of prompts with its hash.
 *
 * ```ts
 * const head = { name: "none", baseline: null, rubric: null, settings: {}, labels: [] };
 * if (promptSet(head, []).sha256.length !== 64) throw new Error("a hash in hex");
 * ```
 */
export function promptSet(head: PromptSetHead, prompts: readonly Prompt[]): PromptSet {
  return { ...head, sha256: jsonHash(prompts.map(({ id, sha256 }) => [id, sha256])), prompts };
}

/**
 * Hash of what a model is sent: the same case has the same hash in every set.
 *
 * ```ts
 * const one = { messages: [{ role: "user" as const, content: "Hi" }], tools: [], settings: {}, turns: [] };
 * const same = hashOfCase({ ...one, settings: { schema: { type: "object" } } });
 * if (hashOfCase(one) !== same) throw new Error("a schema that is not sent changes nothing");
 * ```
 */
export function hashOfCase(
  { messages, tools, settings, turns }: Pick<Prompt, "messages" | "tools" | "settings" | "turns">,
): string {
  const texts = messages.map(({ role, content, tool_calls = [], tool_call_id }) => {
    const plain = tool_calls.length === 0 && tool_call_id === undefined;
    return plain ? [role, content] : [role, content, tool_calls, tool_call_id ?? null];
  });
  const { schema, ...others } = settings;
  const sent = { ...others, ...(settings.format === "schema" ? { schema } : {}) };
  const plain = tools.length === 0 && turns.length === 0 && Object.keys(sent).length === 0;
  return jsonHash(plain ? texts : [texts, tools, sent, turns]);
}

/** SHA-256 of a value's JSON, as lower-case hex. */
export const jsonHash = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex");
