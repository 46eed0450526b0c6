/** The context size, in tokens, that embedded candidates get for long prompts. */
import type { CaseToSend } from "./case_request.ts";
import type { NamedCandidate } from "./named_candidate.ts";

/** The engine's own default holds this many tokens. */
const DEFAULT_TOKENS = 4096;
/** Least bytes of UTF-8 per token, in running text of any language. */
const BYTES_A_TOKEN = 2;
/** Tokens for the chat template and a nonce. */
const EXTRA_TOKENS = 256;

/**
 * The candidates, the embedded ones with a context that holds the longest prompt and its answer, at most the
 * model's own limit. A context that the name states stays.
 *
 * @param prompts the messages of each prompt of the plan
 */
export function withContextFor(
  candidates: readonly NamedCandidate[],
  prompts: readonly CaseToSend[],
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
 * The context in tokens that a plan needs, estimated generously from the bytes; null
 * where the default holds it.
 *
 * ```ts
 * const short = [{ messages: [{ role: "user" as const, content: "Hello" }] }];
 * if (contextFor(short, 128) !== null) throw new Error("the default holds it");
 * const long = [{ messages: [{ role: "user" as const, content: "word ".repeat(3000) }] }];
 * if (contextFor(long, 128) !== 8192) throw new Error(String(contextFor(long, 128)));
 * ```
 */
export function contextFor(
  prompts: readonly CaseToSend[],
  maxTokens: number,
): number | null {
  const tokens = prompts.reduce((most, one) => Math.max(most, tokensNeeded(one, maxTokens)), 0);
  return tokens <= DEFAULT_TOKENS ? null : Math.ceil(tokens / 1024) * 1024;
}

/** A case with all its turns and answers, in its longest wording. */
function tokensNeeded(
  { messages, tools = [], turns = [], wordings = new Map(), settings = {}, targetTokens }: CaseToSend,
  maxTokens: number,
): number {
  const encoder = new TextEncoder();
  const bytesOf = (texts: readonly string[]) =>
    texts.reduce((sum, text) => sum + encoder.encode(text).length, 0);
  const prompts = [messages, ...wordings.values()].map((some) => bytesOf(some.map(({ content }) => content)));
  const bytes = (targetTokens === undefined ? Math.max(...prompts) : 0) + bytesOf(turns) +
    bytesOf(tools.map((tool) => JSON.stringify(tool)));
  const answers = (turns.length + 1) * Math.max(settings.maxTokens ?? 0, maxTokens);
  return (targetTokens ?? 0) + Math.ceil(bytes / BYTES_A_TOKEN) + answers + EXTRA_TOKENS;
}
