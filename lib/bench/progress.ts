/** Derives the progress and the time left of a run or a race from its events; terminals and notebooks draw them. */
import type { Clock } from "../clock.ts";
import { meanOf, sumOf } from "../stats/mean.ts";
import type { SessionEvent } from "./session.ts";

/** How far it is. */
export interface HowFar {
  readonly done: number;
  /** For a race, its budget. */
  readonly total: number;
  /** What is counted: a run for a time counts its seconds. */
  readonly unit: "requests" | "s";
  /** `about 40 s left`; null as long as it can't be known. */
  readonly left: string | null;
  /** The current step, such as `loading smollm2, to time it alone`. */
  readonly now: string;
  /** Why there are more requests than planned; null where there are not. */
  readonly more: string | null;
}

/** The requests of one candidate. */
interface Pace {
  planned: number;
  done: number;
  /** Timed requests of this process, and the time that passed with them. */
  timed: number;
  spentMs: number;
  /** It left the run. */
  left: boolean;
}

/**
 * Follows a run. The time left is the sum over the candidates, each by its own pace, so that a slow one among
 * fast ones doesn't spoil it; loading and warming up are no part of the pace.
 *
 * ```ts ignore
 * const progress = new RunProgress(begin, clock);
 * progress.add(event);
 * console.error(progress.howFar.left);
 * ```
 */
export class RunProgress {
  readonly #clock: Clock;
  readonly #paces: ReadonlyMap<string, Pace>;
  /** Requests that a race may take. */
  readonly #budget: number | undefined;
  readonly #forS: number | undefined;
  #lastMs: number;
  /** When the first timed request began. */
  #startMs: number | null = null;
  #now = "";
  #repeated = 0;
  #disturbedBy = "";

  constructor({ info: { plan, candidates }, done }: SessionEvent & { kind: "begin" }, clock: Clock) {
    const planned = plan.rounds * plan.prompt_set.prompts.length;
    const before = [...done].filter((id) => id.startsWith("timed/")).map((id) => id.replace(/\/\d+$/, ""));
    this.#paces = new Map(candidates.map(({ id }) => {
      const answered = before.filter((request) => request.endsWith(`/${id}`)).length;
      const pace = {
        planned: Math.max(planned, answered),
        done: answered,
        timed: 0,
        spentMs: 0,
        left: false,
      };
      return [id, pace];
    }));
    this.#budget = plan.race?.budget;
    this.#forS = plan.for_s;
    this.#clock = clock;
    this.#lastMs = clock();
  }

  /** Takes an event. */
  add(event: SessionEvent): void {
    const nowMs = this.#clock();
    const pace = "candidate" in event ? this.#paces.get(event.candidate) : undefined;
    if (event.kind === "left" && pace !== undefined) {
      pace.left = true;
      pace.planned = pace.done;
    }
    if (event.kind === "disturbed" && event.repeated > 0) this.#repeat(event.repeated, event.reason);
    if (event.kind === "request" && event.phase === "timed" && pace !== undefined) {
      this.#startMs ??= this.#lastMs;
      pace.spentMs += nowMs - this.#lastMs;
      pace.timed++;
      pace.done++;
      pace.planned = Math.max(pace.planned, pace.done);
    }
    this.#now = inWords(event);
    this.#lastMs = nowMs;
  }

  get howFar(): HowFar {
    const paces = [...this.#paces.values()];
    const done = sumOf(paces.map((pace) => pace.done));
    const [now, more] = [this.#now, this.#more];
    if (this.#forS !== undefined) {
      const seconds = this.#startMs === null ? 0 : (this.#lastMs - this.#startMs) / 1000;
      const passed = Math.min(this.#forS, Math.floor(seconds));
      const left = `${inTime(this.#forS - passed)} left`;
      return { done: passed, total: this.#forS, unit: "s", left, now, more };
    }
    const total = this.#budget ?? sumOf(paces.map(({ planned }) => planned));
    const left = this.#timeLeft(total - done);
    return { done: Math.min(done, total), total, unit: "requests", left, now, more };
  }

  #repeat(requests: number, reason: string): void {
    this.#repeated += requests;
    this.#disturbedBy = reason;
    const live = this.#live;
    for (const pace of live) pace.planned += requests / live.length;
  }

  get #live(): Pace[] {
    return [...this.#paces.values()].filter(({ left }) => !left);
  }

  get #more(): string | null {
    return this.#repeated === 0
      ? null
      : `+${this.#repeated} requests repeat disturbed blocks: ${this.#disturbedBy}`;
  }

  /** A race ends with its verdict: the time that its budget takes is the longest it may go on. */
  #timeLeft(requests: number): string | null {
    const live = this.#live;
    const known = live.filter(({ timed }) => timed > 0);
    if (known.length === 0) return null;
    const meanS = meanOf(known.map(secondsEach));
    if (this.#budget !== undefined) return `at most ${inTime(requests * meanS)} left`;
    const leftS = sumOf(known.map((pace) => (pace.planned - pace.done) * secondsEach(pace)));
    return known.length < live.length ? `more than ${inTime(leftS)} left` : `about ${inTime(leftS)} left`;
  }
}

/**
 * Follows a run from its first event on: `show` gets its progress after each one.
 *
 * ```ts ignore
 * const onEvent = followed(clock, ({ done, total }) => console.error(`${done} of ${total}`));
 * ```
 */
export function followed(
  clock: Clock,
  show: (far: HowFar, event: SessionEvent) => void,
): (event: SessionEvent) => void {
  let progress: RunProgress | null = null;
  return (event) => {
    if (event.kind === "begin") progress = new RunProgress(event, clock);
    else progress?.add(event);
    if (progress !== null) show(progress.howFar, event);
  };
}

const secondsEach = ({ spentMs, timed }: Pace) => spentMs / 1000 / timed;
const inTime = (seconds: number) =>
  seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;

function inWords(event: SessionEvent): string {
  switch (event.kind) {
    case "begin":
      return "";
    case "load":
      return `loading ${event.candidate} alone, to time it`;
    case "opened":
      return `${event.candidate} is loaded`;
    case "warmup":
      return `warming up ${event.candidate}`;
    case "request":
      return `${event.candidate}: ${event.status}`;
    case "left":
      return `${event.candidate} is out: ${event.reason}`;
    case "disturbed":
      return `a block was disturbed: ${event.reason}`;
  }
}
