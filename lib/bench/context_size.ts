/** The context size, in tokens, that embedded candidates get for long prompts. */
import type { PromptMessage } from "../prompts/prompts.ts";
import type { NamedCandidate } from "./named_candidate.ts";

/** The engine's own default holds this many tokens. */
const DEFAULT_TOKENS = 4096;
/** Bytes of UTF-8 that a token stands for at the least, in running text of any language. */
const BYTES_A_TOKEN = 2;
/** For the chat template and a nonce. */
const EXTRA_TOKENS = 256;

/**
 * The candidates, the embedded ones with a context that holds the longest prompt and its answer, at most what
 * the model was trained for. A context that the name states stays.
 *
 * @param prompts the messages of each prompt of the plan
 */
export function withContextFor(
  candidates: readonly NamedCandidate[],
  prompts: readonly { readonly messages: readonly PromptMessage[] }[],
  maxTokens: number,
): NamedCandidate[] {
  const needed = contextFor(prompts, maxTokens);
  return candidates.map((candidate) => {
    if (candidate.kind !== "embedded" || candidate.engine.contextTokens !== undefined || needed === null) {
      return candidate;
    }
    const contextTokens = Math.min(needed, candidate.model.contextTokens ?? Infinity);
    return { ...candidate, engine: { ...candidate.engine, contextTokens } };
  });
}

/**
 * The context in tokens that a plan needs, estimated high from the bytes; null where the default holds it.
 *
 * ```ts
 * const short = [{ messages: [{ role: "user" as const, content: "Hello" }] }];
 * if (contextFor(short, 128) !== null) throw new Error("the default holds it");
 * const long = [{ messages: [{ role: "user" as const, content: "word ".repeat(3000) }] }];
 * if (contextFor(long, 128) !== 8192) throw new Error(String(contextFor(long, 128)));
 * ```
 */
export function contextFor(
  prompts: readonly { readonly messages: readonly PromptMessage[] }[],
  maxTokens: number,
): number | null {
  const encoder = new TextEncoder();
  const bytes = prompts.reduce((longest, { messages }) => {
    const own = messages.reduce((sum, { content }) => sum + encoder.encode(content).length, 0);
    return Math.max(longest, own);
  }, 0);
  const tokens = Math.ceil(bytes / BYTES_A_TOKEN) + maxTokens + EXTRA_TOKENS;
  return tokens <= DEFAULT_TOKENS ? null : Math.ceil(tokens / 1024) * 1024;
}
