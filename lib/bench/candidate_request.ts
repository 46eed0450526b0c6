/** The request to a session, and the resources that the session needs. */
import type { EngineSettings, Model, Registry, Variant } from "../catalog/model.ts";
import type { Store } from "../catalog/store.ts";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import type { ProbeSettings } from "../endpoint/probe.ts";
import type { RunProgram } from "../program.ts";
import type { RequestSettings } from "../prompts/request_settings.ts";
import type { FoundService } from "../services/discovery.ts";
import type { CaseToSend } from "./case_request.ts";
import type { CandidateInfo } from "./records.ts";
import type { SessionPlan } from "./run_info.ts";

/** The resources of a session: clock, network, environment, and the models on this machine. */
export interface SessionResources {
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly fetch: Fetch;
  /** Runs other programs, such as Foundry Local's command line. */
  readonly run: RunProgram;
  /** Where services are named: FOUNDRY_LOCAL_ENDPOINT, BASE_URL, API_KEY; and HF_ENDPOINT, HF_HUB_OFFLINE. */
  readonly env: { get(name: string): string | undefined };
  readonly denoPath: string;
  readonly registry: Registry;
  readonly store: Store;
  /**
   * Downloads a model that is not in the store and returns its path. What it throws
   * becomes the candidate's reason.
   */
  readonly download: (model: Model, variant: Variant) => Promise<string>;
  readonly signal: AbortSignal;
  /** Receives notes for people before the measurement, one line each. */
  readonly note?: (line: string) => void;
}

/**
 * The part of a plan that decides how candidates are opened: context size, time-outs,
 * streams, and what a probe sends.
 */
export type CandidatePlan =
  & Pick<SessionPlan, "maxTokens" | "timeoutS" | "stream" | "temperature" | "samplingSeed" | "fixedOutput">
  & {
    /** The JSON schema that answers must fit, where there is one. */
    readonly responseFormat?: ProbeSettings["responseFormat"];
    readonly prompts?: {
      readonly settings?: RequestSettings;
      readonly prompts: readonly CaseToSend[];
      /** Alias of the job's baseline; an adapter is measured along with the models. */
      readonly baseline?: string | null;
    };
  };

/** The candidates, and the options in which tasks differ. */
export interface CandidateRequest {
  /** Candidate names; null: the defaults (see `findCandidates`). */
  readonly names: readonly string[] | null;
  /** Base URLs as `--endpoint` takes them, `[NAME=]URL`; without any, services are searched for. */
  readonly endpoints?: readonly string[] | undefined;
  /** Services that were found already; those that can't be used are left out. */
  readonly services?: readonly FoundService[];
  /** Without names: most models. @default every model of a service that was named, 6 of one that was found */
  readonly most?: number;
  /** Engine options from flags and the environment. */
  readonly engine?: EngineSettings;
  /** The plan, which decides context size, time-outs and streams. */
  readonly plan?: CandidatePlan;
  /**
   * Which models may be downloaded: every one; those that models.json marks `always` (small ones); or none.
   * @default "all"
   */
  readonly downloads?: "all" | "small" | "none";
  /** Candidates of a run that is resumed; `names` is not read then. */
  readonly again?: readonly CandidateInfo[];
}
