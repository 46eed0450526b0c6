/**
 * The shared part of the two mirrors that route: models are opened when chosen, and the next one replaces one that
 * fails.
 */
import type { LiveCandidate, OpenCandidate } from "../../lib/bench/live_candidate.ts";
import type { Trace } from "../../lib/endpoint/trace.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import type { RoutedModel, RoutingChoice, RoutingPlan } from "../../lib/select/route/router.ts";
import type { Intent } from "../../lib/select/route/intent.ts";
import { interruptSignal } from "../cli.ts";
import type { MeasuringOptions } from "./measuring.ts";

const TIMEOUT_MS = 300_000;

/** A plan that takes the first model with the tag that the intent needs, as the samples do. */
export function planByTag(intents: readonly Intent[]): RoutingPlan {
  return {
    schema_version: 1,
    mode: "by-tag",
    why: "the workshop's rule: nothing was measured",
    constant: null,
    intents: [...intents],
    priors: {},
    discount: null,
    excluded: [],
    conversations: 0,
    neighbours: null,
  };
}

/** The request to the chosen model. */
export interface Question {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly temperature: number;
}

/** The outcome of one question. */
export interface Answered {
  /** The model that answered; null where none did. */
  readonly alias: string | null;
  readonly trace: Trace | null;
  /** Why models before it in the order did not answer. */
  readonly failed: readonly { readonly alias: string; readonly error: string }[];
}

/** Models by name, found at once and opened at their first question. */
export interface Models {
  readonly names: readonly string[];
  /** Why a model can't be used; null where it can. */
  problem(name: string): string | null;
  ask(order: RoutingChoice["order"], question: Question): Promise<Answered>;
  close(): Promise<void>;
}

/** Finds the models: at a service, else to run here. A model that can't be used keeps the reason. */
export async function findModels(names: readonly string[], options: MeasuringOptions): Promise<Models> {
  const { findCandidates } = await import("../../lib/bench/session.ts");
  const { sessionResources } = await import("../session_resources.ts");
  const resources = await sessionResources(options);
  const found = new Map<string, LiveCandidate>();
  const problems = new Map<string, string>();
  const closers: (() => void)[] = [];
  for (const name of names) {
    try {
      const { candidates: [candidate], close } = await findCandidates(
        { names: [name], downloads: "small" },
        resources,
      );
      closers.push(close);
      if (candidate !== undefined) found.set(name, candidate);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.set(name, error.message);
      console.error(`[WARN] ${name} is not available: ${error.message}`);
    }
  }
  const open = new Map<string, OpenCandidate>();
  const asked = async (name: string, { prompt, maxTokens, temperature }: Question): Promise<Trace> => {
    const candidate = found.get(name);
    if (candidate === undefined) throw new UserError(problems.get(name) ?? `${name} is not available`, 1);
    const ready = open.get(name) ?? await candidate.open(interruptSignal());
    open.set(name, ready);
    const messages = [{ role: "user", content: prompt }] as const;
    const request = { model: candidate.info.model_id, messages, maxTokens, temperature };
    const trace = await ready.request(request, { timeoutMs: TIMEOUT_MS, signal: interruptSignal() });
    if (trace.status === "failed") throw new UserError(trace.reason ?? "no answer", 1);
    return trace;
  };
  return {
    names: [...found.keys()],
    problem: (name) => problems.get(name) ?? null,
    async ask(order, question) {
      const failed: { alias: string; error: string }[] = [];
      for (const alias of order) {
        try {
          return { alias, trace: await asked(alias, question), failed };
        } catch (error) {
          interruptSignal().throwIfAborted();
          failed.push({ alias, error: reasonOf(error) });
        }
      }
      return { alias: null, trace: null, failed };
    },
    async close() {
      for (const one of open.values()) await one.close();
      for (const close of closers) close();
    },
  };
}

/** Those of the models that can be used. */
export function availableModels(routed: readonly RoutedModel[], models: Models): RoutedModel[] {
  return routed.filter(({ id }) => models.problem(id) === null);
}
