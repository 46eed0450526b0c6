/**
 * The shared part of the two mirrors that route: models are opened when chosen, and the next one replaces one that
 * fails.
 */
import type { LiveCandidate, OpenCandidate } from "../../lib/bench/live_candidate.ts";
import type { Trace } from "../../lib/endpoint/trace.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { makeRouter, type RoutedModel, type RoutingChoice } from "../../lib/select/route/router.ts";
import type { RoutingPlan } from "../../lib/select/route/router_plan.ts";
import type { Intent } from "../../lib/select/route/intent.ts";
import { interruptSignal } from "../cli.ts";
import type { MeasuringOptions } from "./measuring.ts";

const TIMEOUT_MS = 300_000;

/** A plan that takes the first model with the tag that the intent needs, as the samples do. */
function planByTag(intents: readonly Intent[]): RoutingPlan {
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

/** The models that a mirror routes between: found at once, each opened at its first question. */
export class RoutedModels implements AsyncDisposable {
  readonly #found = new Map<string, LiveCandidate>();
  readonly #problems = new Map<string, string>();
  readonly #open = new Map<string, OpenCandidate>();
  readonly #closers: (() => void)[] = [];

  private constructor(private readonly models: readonly RoutedModel[]) {}

  /** Finds the models: at a service, else to run here. One that can't be used keeps the reason. */
  static async find(models: readonly RoutedModel[], options: MeasuringOptions): Promise<RoutedModels> {
    const { findCandidates } = await import("../../lib/bench/session.ts");
    const { sessionResources } = await import("../session_resources.ts");
    const resources = await sessionResources(options);
    const routed = new RoutedModels(models);
    for (const { id } of models) {
      try {
        const { candidates, close } = await findCandidates({ names: [id], downloads: "small" }, resources);
        routed.#closers.push(close);
        for (const candidate of candidates) routed.#found.set(id, candidate);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        routed.#problems.set(id, error.message);
        console.error(`[WARN] ${id} is not available: ${error.message}`);
      }
    }
    return routed;
  }

  /** The names of those that can be used. */
  get names(): string[] {
    return [...this.#found.keys()];
  }

  /** The models that a text goes to by the sample's rule, the first of them and who replaces it. */
  choose(intents: readonly Intent[], text: string, intentHint: string | null = null): RoutingChoice {
    const available = this.models.filter(({ id }) => this.#found.has(id));
    const router = makeRouter(planByTag(intents), available, null, () => 0.5);
    const choice = router.choose({ text, intentHint, capability: null, conversation: null }, () => true);
    if (choice === null) throw new Error("a router with models chose none");
    return choice;
  }

  /** Asks the models in turn until one answers. */
  async ask(order: RoutingChoice["order"], question: Question): Promise<Answered> {
    const failed: { alias: string; error: string }[] = [];
    for (const alias of order) {
      try {
        return { alias, trace: await this.#ask(alias, question), failed };
      } catch (error) {
        interruptSignal().throwIfAborted();
        failed.push({ alias, error: reasonOf(error) });
      }
    }
    return { alias: null, trace: null, failed };
  }

  async #ask(name: string, { prompt, maxTokens, temperature }: Question): Promise<Trace> {
    const candidate = this.#found.get(name);
    if (candidate === undefined) {
      throw new UserError(this.#problems.get(name) ?? `${name} is not available`, 1);
    }
    const ready = this.#open.get(name) ?? await candidate.open(interruptSignal());
    this.#open.set(name, ready);
    const messages = [{ role: "user", content: prompt }] as const;
    const request = { model: candidate.info.model_id, messages, maxTokens, temperature };
    const trace = await ready.request(request, { timeoutMs: TIMEOUT_MS, signal: interruptSignal() });
    if (trace.status === "failed") throw new UserError(trace.reason ?? "no answer", 1);
    return trace;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#open.values()) await one.close();
    for (const close of this.#closers) close();
  }
}
