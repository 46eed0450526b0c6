/** How far a run is: a bar with the time left in a terminal, now and then a line where it is piped. */
// @ts-types="@types/cli-progress"
import { Presets, SingleBar } from "cli-progress";
import process from "node:process";
import type { RunEvent } from "../../lib/bench/run.ts";
import type { RunInfo } from "../../lib/bench/records.ts";
import { realClock } from "../cli.ts";

export interface RunProgress {
  readonly event: (event: RunEvent) => void;
  stop(): void;
}

/** Between two lines of a piped run. */
const LINE_EVERY_MS = 15_000;

export function runProgress({ plan, candidates }: RunInfo, done: ReadonlySet<string>): RunProgress {
  const total = plan.rounds * plan.prompt_set.prompts.length * candidates.length;
  const before = [...done].filter((id) => id.startsWith("timed/")).length;
  return Deno.stderr.isTerminal() ? bar(total, before) : lines(total, before);
}

function textOf(event: RunEvent): string | null {
  switch (event.kind) {
    case "load":
      return `loading ${event.candidate} alone, to time it`;
    case "warmup":
      return `warming up ${event.candidate}`;
    case "left":
      return `${event.candidate} is out: ${event.reason}`;
    case "disturbed":
      return `disturbed: ${event.reason}${event.repeated > 0 ? "; the block will be made up for" : ""}`;
    case "request":
      return null;
  }
}

function bar(total: number, before: number): RunProgress {
  const shown = new SingleBar({
    format: "{bar} {value}/{total} requests, {eta_formatted} left  {note}",
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    etaBuffer: 30,
  }, Presets.shades_classic);
  shown.start(total, before, { note: "" });
  let count = before;
  return {
    event(event) {
      const note = textOf(event);
      if (event.kind === "left" || event.kind === "disturbed") shown.update({ note: note ?? "" });
      else if (note !== null) shown.update({ note });
      if (event.kind === "disturbed") shown.setTotal(shown.getTotal() + event.repeated);
      if (event.kind !== "request" || event.phase === "warmup") return;
      count++;
      shown.update(count, { note: event.candidate });
    },
    stop: () => shown.stop(),
  };
}

function lines(planned: number, before: number): RunProgress {
  const start = realClock();
  let total = planned;
  let lastLine = start;
  let count = before;
  return {
    event(event) {
      if (event.kind === "left") console.error(textOf(event));
      if (event.kind === "disturbed") total += event.repeated;
      if (event.kind !== "request" || event.phase === "warmup") return;
      count++;
      const now = realClock();
      if (now - lastLine < LINE_EVERY_MS) return;
      lastLine = now;
      const left = Math.max(0, total - count) * ((now - start) / 1000 / Math.max(1, count - before));
      console.error(`${count} of ${total} requests, about ${Math.ceil(left)} s left`);
    },
    stop: () => {},
  };
}
