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
        const tally = new Tally(each * candidates.length, before, each);
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
  readonly #startMs = realClock();
  readonly #before: number;

  /** @param each requests per candidate */
  constructor(public total: number, public count: number, readonly each: number) {
    this.#before = count;
  }

  /** By the pace so far; null before the first request. */
  get left(): string | null {
    const done = this.count - this.#before;
    if (done === 0) return null;
    const seconds = Math.ceil(((realClock() - this.#startMs) / 1000 / done) * (this.total - this.count));
    return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
  }

  add(event: SessionEvent): void {
    if (event.kind === "disturbed") this.total += event.repeated;
    if (event.kind === "left") {
      this.total -= Math.max(0, this.each - (this.#ofCandidate.get(event.candidate) ?? 0));
    }
    if (event.kind === "request" && event.phase === "timed") {
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
    format: "{bar} {value}/{total} requests{left}  {note}",
    barsize: 12,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
  }, Presets.shades_classic);
  shown.start(tally.total, tally.count, { note: "", left: "" });
  return {
    event(event) {
      tally.add(event);
      shown.setTotal(tally.total);
      const left = tally.left === null ? "" : `, about ${tally.left} left`;
      // Some terminals don't report their width.
      const room = (Deno.consoleSize().columns || 80) - 1 - 12 -
        ` ${tally.count}/${tally.total} requests${left}  `.length;
      shown.update(tally.count, { note: terminalLine(textOf(event)).slice(0, Math.max(0, room)), left });
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
      console.error(`${tally.count} of ${tally.total} requests, about ${tally.left} left`);
    },
    stop: () => {},
  };
}
