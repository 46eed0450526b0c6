/** The race live: a few lines that are drawn again in a terminal, plain lines where it is piped. */
import type { RunEvent } from "../../lib/bench/candidate_session.ts";
import type { RaceState } from "../../lib/select/race/race.ts";
import { terminalLine, terminalText } from "../../lib/terminal_text.ts";
import { raceLines } from "../../lib/select/race/race_report.ts";

export interface RaceView {
  readonly event: (event: RunEvent) => void;
  readonly block: (state: RaceState) => void;
}

/** Between two lines of a piped race, in blocks. */
const LINE_EVERY = 5;

export function raceView(): RaceView {
  return Deno.stderr.isTerminal() ? drawn() : plain();
}

const encoder = new TextEncoder();
const write = (text: string) => Deno.stderr.writeSync(encoder.encode(text));

function drawn(): RaceView {
  let height = 0;
  /** Over the lines of before, each cleared to its end. */
  const draw = (lines: readonly string[]) => {
    const up = height === 0 ? "" : `\x1b[${height}A`;
    // Some terminals don't tell their width.
    const width = (Deno.consoleSize().columns || 80) - 1;
    write(up + lines.map((line) => `\r\x1b[2K${terminalText(line).slice(0, width)}\n`).join(""));
    height = lines.length;
  };
  return {
    event(event) {
      if (event.kind === "load" || event.kind === "warmup") {
        write(
          `\r\x1b[2K${event.kind === "load" ? "loading" : "warming up"} ${terminalLine(event.candidate)}\r`,
        );
      }
      if (event.kind === "left") {
        write(`\r\x1b[2K${terminalLine(`${event.candidate} is out: ${event.reason}`)}\n`);
        height = 0;
      }
    },
    block: (state) => draw(raceLines(state)),
  };
}

function plain(): RaceView {
  let gone = 0;
  return {
    event(event) {
      if (event.kind === "left") console.error(`${event.candidate} is out: ${event.reason}`);
    },
    block(state) {
      const news = state.eliminated.length > gone || state.verdict !== null;
      gone = state.eliminated.length;
      if (!news && state.blocks % LINE_EVERY !== 0) return;
      console.error(raceLines(state).map((line) => line.trim()).join("; "));
    },
  };
}
