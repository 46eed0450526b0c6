/** A fleet's plan as a session takes it: its settings, what carries it out, and its result. */
import { PLAN_DEFAULTS } from "../bench/plan.ts";
import type { RunInfo } from "../bench/records.ts";
import type { SessionEvent, SessionPlan, SessionResources } from "../bench/session.ts";
import type { PromptSet } from "../prompts/prompts.ts";
import type { FleetPlan } from "./device.ts";

/** Default length and wait of answers that are scored: those of `quality capture`. */
const CAPTURE = { maxTokens: 384, timeoutS: 300 } as const;

/** Longest answer that a plan allows, in tokens. */
export const maxTokensOf = ({ kind, max_tokens }: FleetPlan): number =>
  max_tokens ?? (kind === "quality" ? CAPTURE.maxTokens : PLAN_DEFAULTS.maxTokens);

/** An event while a plan is carried out; for a document, `requests` counts all requests so far. */
export type PlanEvent = SessionEvent | { readonly kind: "made"; readonly requests: number };

/** What a plan led to. */
export interface CarriedOut {
  readonly folder: string;
  readonly status: RunInfo["status"];
  /** Why the device itself ended it early. */
  readonly ended?: string | undefined;
}

/** What a plan is carried out with. */
export interface PlanRun {
  readonly plan: FleetPlan;
  readonly prompts: PromptSet;
  readonly resources: SessionResources;
  /** The folder of runs. */
  readonly out: string;
  readonly now: Date;
  readonly random: () => number;
  /** Whether models may be downloaded. */
  readonly downloads: boolean;
  /** The folder of a run that an earlier process started. */
  readonly resume: string | null;
  readonly onFolder: (path: string) => Promise<void>;
  readonly onEvent: (event: PlanEvent) => void;
  /** Most requests that the device allows. */
  readonly maxRequests: number;
}

/** The session plan of a fleet's plan. */
export function sessionPlan(plan: FleetPlan, prompts: PromptSet): SessionPlan {
  const { kind, rounds, warmup, temperature, seed, sampling_seed, prefix, concurrency, timeout_s } = plan;
  const isScored = kind === "quality";
  const timeoutS = timeout_s ?? (isScored ? CAPTURE.timeoutS : undefined);
  const warmups = isScored ? 0 : warmup ?? (kind === "race" ? 1 : undefined);
  const prefixKind = isScored ? "as is" : prefix;
  return {
    prompts,
    maxTokens: maxTokensOf(plan),
    ...(rounds === undefined ? {} : { rounds }),
    ...(warmups === undefined ? {} : { warmup: warmups }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(seed === undefined ? {} : { seed }),
    ...(sampling_seed === undefined ? {} : { samplingSeed: sampling_seed }),
    ...(prefixKind === undefined ? {} : { prefix: prefixKind }),
    ...(concurrency === undefined || isScored ? {} : { concurrency }),
    ...(timeoutS === undefined ? {} : { timeoutS }),
  };
}
