/** How far a run or a race is: a bar with the current step in a terminal, an occasional line where it is piped. */
// @ts-types="@types/cli-progress"
import { MultiBar, Presets, type SingleBar } from "cli-progress";
import process from "node:process";
import { followed } from "../lib/bench/progress.ts";
import type { SessionEvent } from "../lib/bench/session.ts";
import type { RaceState } from "../lib/select/race/race_state.ts";
import { raceLines } from "../lib/select/race/race_report.ts";
import { terminalLine, terminalText } from "../lib/terminal_text.ts";
import { realClock } from "./cli.ts";

/** What follows a run. */
export interface ShownProgress {
  readonly event: (event: SessionEvent) => void;
  /** A block of a race is over. */
  readonly block: (state: RaceState) => void;
  readonly stop: () => void;
}

/** Shows nothing until the run begins. */
export function shownProgress(): ShownProgress {
  return Deno.stderr.isTerminal() ? drawn() : lines();
}

function drawn(): ShownProgress {
  const screen = new MultiBar({
    format: "{text}",
    barsize: 12,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    linewrap: true,
    // Drawing must not disturb what is measured.
    fps: 4,
  }, Presets.shades_classic);
  // Some terminals don't tell their width.
  const cut = (line: string) => terminalText(line).slice(0, (Deno.consoleSize().columns || 80) - 1);
  /** Prints a line above the bar; the rest of the old line is cleared. */
  const keep = (line: string) => screen.log(`${line}\u001b[K\n`);
  const texts: SingleBar[] = [];
  const write = (at: number, text: string) => {
    for (let next = texts.length; next <= at; next++) texts.push(screen.create(1, 0, { text: "" }));
    texts[at]?.update(0, { text: cut(text) });
  };
  let bar: SingleBar | null = null;
  let evidence: readonly string[] = [];
  return {
    event: followed(realClock, ({ done, total, unit, left, now, more }, event) => {
      const format = "{bar} {value} of {total} {unit}{left}";
      bar ??= screen.create(total, 0, { unit, left: "" }, { format });
      if (event.kind === "left") keep(terminalLine(now));
      bar.setTotal(total);
      bar.update(done, { left: left === null ? "" : `, ${left}` });
      if (evidence.length === 0) write(0, terminalLine(now));
      if (more !== null) write(1, terminalLine(more));
    }),
    block(state) {
      evidence = raceLines(state);
      evidence.forEach((line, at) => write(at, line));
    },
    stop() {
      if (bar === null && texts.length === 0) return;
      for (const line of evidence) keep(cut(line));
      screen.update();
      screen.stop();
    },
  };
}

/** Between two lines of a piped run, and of a piped race. */
const LINE_EVERY_MS = 15_000;
const LINE_EVERY_BLOCKS = 5;

function lines(): ShownProgress {
  let lastMs = realClock();
  let said: string | null = null;
  let gone = 0;
  return {
    event: followed(realClock, ({ done, total, unit, left, now, more }, event) => {
      if (event.kind === "left") console.error(now);
      const nowMs = realClock();
      if (event.kind !== "request" || nowMs - lastMs < LINE_EVERY_MS || left === null) return;
      lastMs = nowMs;
      console.error(`${done} of ${total} ${unit}, ${left}${more === said ? "" : ` (${more})`}`);
      said = more;
    }),
    block(state) {
      const news = state.eliminated.length > gone || state.verdict !== null;
      gone = state.eliminated.length;
      if (!news && state.blocks % LINE_EVERY_BLOCKS !== 0) return;
      lastMs = realClock();
      const [far = "", ...each] = raceLines(state);
      console.error(`${far} ${each.map(terminalLine).join("; ")}`);
    },
    stop: () => {},
  };
}
