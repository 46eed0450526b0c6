/** How far a run is: a bar with the time left in a terminal, now and then a line where it is piped. */
// @ts-types="@types/cli-progress"
import { Presets, SingleBar } from "cli-progress";
import process from "node:process";
import type { SessionEvent } from "../../lib/bench/session.ts";
import { terminalLine } from "../../lib/terminal_text.ts";
import { realClock } from "../cli.ts";

export interface RunProgress {
  readonly event: (event: SessionEvent) => void;
  stop(): void;
}

/** Between two lines of a piped run. */
const LINE_EVERY_MS = 15_000;

/** Shows nothing until the run begins. */
export function runProgress(): RunProgress {
  let shown: RunProgress | null = null;
  return {
    event(event) {
      if (event.kind === "begin") {
        const { plan, candidates } = event.info;
        const each = plan.rounds * plan.prompt_set.prompts.length;
        const before = [...event.done].filter((id) => id.startsWith("timed/")).length;
        const tally = new Tally(each * candidates.length, before, each, plan.for_s);
        shown = Deno.stderr.isTerminal() ? bar(tally) : lines(tally);
      }
      shown?.event(event);
    },
    stop: () => shown?.stop(),
  };
}

/** How many timed requests are done, and how many there will be. */
class Tally {
  readonly #ofCandidate = new Map<string, number>();
  #startMs = realClock();
  readonly #before: number;

  /** @param each requests per candidate */
  constructor(
    public total: number,
    public count: number,
    readonly each: number,
    /** Seconds that the run goes on for, where the number of requests is open. */
    readonly forS: number | undefined,
  ) {
    this.#before = count;
  }

  /** By the pace so far; null before the first request. */
  get left(): string | null {
    const done = this.count - this.#before;
    if (done === 0) return null;
    if (this.forS !== undefined) return `${Math.max(0, Math.ceil(this.forS - this.seconds))} s`;
    const seconds = Math.ceil(((realClock() - this.#startMs) / 1000 / done) * (this.total - this.count));
    return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
  }

  get seconds(): number {
    return (realClock() - this.#startMs) / 1000;
  }

  /** What a bar shows: requests, or seconds of a run for a time. */
  get part(): { value: number; total: number; unit: string } {
    return this.forS === undefined
      ? { value: this.count, total: this.total, unit: "requests" }
      : { value: Math.min(this.forS, Math.floor(this.seconds)), total: this.forS, unit: "s" };
  }

  add(event: SessionEvent): void {
    if (event.kind === "disturbed") this.total += event.repeated;
    if (event.kind === "left") {
      this.total -= Math.max(0, this.each - (this.#ofCandidate.get(event.candidate) ?? 0));
    }
    if (event.kind === "request" && event.phase === "timed") {
      // The time of a run for a time begins after the warm-ups.
      if (this.forS !== undefined && this.count === this.#before) this.#startMs = realClock();
      this.count++;
      this.#ofCandidate.set(event.candidate, (this.#ofCandidate.get(event.candidate) ?? 0) + 1);
    }
    this.total = Math.max(this.total, this.count);
  }
}

function textOf(event: SessionEvent): string {
  switch (event.kind) {
    case "begin":
      return "";
    case "load":
      return `loading ${event.candidate} alone, to time it`;
    case "opened":
      return `${event.candidate} is loaded`;
    case "warmup":
      return `warming up ${event.candidate}`;
    case "left":
      return `${event.candidate} is out: ${event.reason}`;
    case "disturbed":
      return `disturbed: ${event.reason}${event.repeated > 0 ? "; the block will be repeated" : ""}`;
    case "request":
      return event.candidate;
  }
}

function bar(tally: Tally): RunProgress {
  const shown = new SingleBar({
    format: "{bar} {value}/{total} {unit}{left}  {note}",
    barsize: 12,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  }, Presets.shades_classic);
  const { unit } = tally.part;
  shown.start(tally.part.total, tally.part.value, { note: "", left: "", unit });
  return {
    event(event) {
      tally.add(event);
      const { value, total } = tally.part;
      shown.setTotal(total);
      const left = tally.left === null ? "" : `, about ${tally.left} left`;
      // Some terminals don't report their width.
      const room = (Deno.consoleSize().columns || 80) - 1 - 12 -
        ` ${value}/${total} ${unit}${left}  `.length;
      shown.update(value, { note: terminalLine(textOf(event)).slice(0, Math.max(0, room)), left, unit });
    },
    stop: () => shown.stop(),
  };
}

function lines(tally: Tally): RunProgress {
  let lastMs = realClock();
  return {
    event(event) {
      tally.add(event);
      if (event.kind === "left") console.error(textOf(event));
      const nowMs = realClock();
      if (event.kind !== "request" || nowMs - lastMs < LINE_EVERY_MS || tally.left === null) return;
      lastMs = nowMs;
      const done = tally.forS === undefined ? `${tally.count} of ${tally.total}` : `${tally.count}`;
      console.error(`${done} requests, about ${tally.left} left`);
    },
    stop: () => {},
  };
}
