/** What a run measures: embedded engines, endpoints and fakes all look like this to it. */
import type { GenerationRequest, Trace } from "../endpoint/trace.ts";
import type { CandidateInfo } from "./records.ts";

export interface RequestTerms {
  /** When the request was due on the run's clock, in ms; left out in a closed loop. */
  readonly dueMs?: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Gets the answer's text piece by piece, for somebody who reads along; a measurement leaves it out. */
  readonly onText?: (text: string) => void;
}

/** A candidate that is loaded and answers. */
export interface OpenCandidate {
  /** One request on the wire. What the endpoint does wrong is a failed trace; only an abort throws. */
  request(request: GenerationRequest, terms: RequestTerms): Promise<Trace>;
  /** From nothing to ready, in a fresh process; null where a service keeps that to itself. */
  readonly loadMs: number | null;
  /** What really runs it, as the engine says. */
  readonly device: string | null;
  /** Resident memory of the process that holds the model. */
  residentMb(): Promise<number | null>;
  /**
   * Processor time that the candidate used on this machine so far, in seconds: 0 where it runs elsewhere,
   * null where it runs here and nobody tells.
   */
  cpuS(): Promise<number | null>;
  close(): Promise<void>;
}

/** A candidate as a run is given it: named, not yet loaded. */
export interface LiveCandidate {
  readonly info: CandidateInfo;
  /** What `open` starts: a fresh process of ours whose load can be measured, or a service that just runs. */
  readonly start: "fresh process" | "running service";
  /** State of the file cache when `open` loads the model. */
  readonly fileCache: "cold" | "warm" | "unknown";
  /** @throws {Error} when it can't be loaded or reached; the message becomes the candidate's reason */
  open(signal: AbortSignal): Promise<OpenCandidate>;
}
