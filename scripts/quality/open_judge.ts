/** Opens the model that is to judge: in a service, or in the embedded engine. */
import { findCandidates } from "../../lib/bench/session.ts";
import { contextFor } from "../../lib/bench/room.ts";
import { findModel } from "../../lib/catalog/model.ts";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../../lib/catalog/store.ts";
import { UserError } from "../../lib/errors.ts";
import type { PromptSet } from "../../lib/prompts/prompts.ts";
import type { AskJudge } from "../../lib/quality/judge.ts";
import { interruptSignal, realClock, realSleep } from "../cli.ts";
import { pullShown } from "../pull_progress.ts";

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
  const registry = await loadRegistry(options.registry);
  const store = await openStore(options.store ?? defaultStore(Deno.env, Deno.build.os));
  const signal = interruptSignal();
  const needed = contextFor(set.prompts, options.replyTokens + RUBRIC_TOKENS);
  const most = findModel(registry, name.split(/[:@]/)[0] ?? name)?.contextTokens ?? Infinity;
  const [endpoint] = options.endpoint ?? [];
  const url = endpoint?.replace(/^[\w-]+=(?=https?:)/, "");
  const found = await findCandidates([name], {
    engine: needed === null ? {} : { contextTokens: Math.min(needed, most) },
    around: {
      clock: realClock,
      sleep: realSleep,
      fetch,
      env: { get: (key) => key === "FOUNDRY_LOCAL_ENDPOINT" && url !== undefined ? url : Deno.env.get(key) },
      denoPath: Deno.execPath(),
      registry,
      store,
      signal,
      download: (entry, variant) => pullShown(store, entry, variant, { signal }),
    },
  });
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
