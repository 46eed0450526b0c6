/** Opens the model that is to judge: in a service, or in the embedded engine. */
import { findCandidates } from "../../lib/bench/session.ts";
import { UserError } from "../../lib/errors.ts";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import type { AskJudge } from "../../lib/quality/judge.ts";
import { interruptSignal } from "../cli.ts";
import { sessionResources } from "../session.ts";

export interface OpenJudge {
  readonly id: string;
  readonly ask: AskJudge;
  close(): Promise<void>;
}

/** Tokens that the rubric, the aspects and two answers take at the most. */
const RUBRIC_TOKENS = 1500;

/** @throws {UserError} when there is no such model, or it can't be loaded or reached */
export async function openJudge(
  name: string,
  set: PromptSet,
  options: {
    readonly endpoint?: readonly string[];
    readonly registry: string;
    readonly store?: string;
    readonly timeout: number;
    readonly replyTokens: number;
  },
): Promise<OpenJudge> {
  const signal = interruptSignal();
  const found = await findCandidates({
    names: [name],
    endpoints: options.endpoint,
    plan: { prompts: set, maxTokens: options.replyTokens + RUBRIC_TOKENS, timeoutS: options.timeout },
  }, await sessionResources(options));
  const [candidate] = found.candidates;
  if (!candidate) throw new UserError(`there is no judge called ${name}`);
  const open = await candidate.open(signal);
  return {
    id: candidate.info.model_id,
    async ask(messages, responseFormat) {
      const trace = await open.request({
        model: candidate.info.model_id,
        messages,
        maxTokens: options.replyTokens,
        temperature: 0,
        responseFormat,
      }, { timeoutMs: options.timeout * 1000, signal });
      signal.throwIfAborted();
      if (trace.status === "failed") {
        throw new UserError(`the judge ${candidate.info.model_id} did not answer: ${trace.reason}`, 1);
      }
      return trace.content;
    },
    async close() {
      await open.close();
      found.close();
    },
  };
}
