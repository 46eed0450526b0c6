/** Shows results and progress: under a notebook's running cell, or in a terminal. */
import type { Clock, Sleep } from "../clock.ts";
import { terminalLine } from "../terminal_text.ts";
import { escapeHtml } from "../markup.ts";
import { TextView, type View } from "./view.ts";

/** A progress bar. */
export interface Progress {
  /** Shows how much is done. Cheap to call often: at most ten updates a second are shown. */
  update(done: number, total: number, label: string): void;
  /** Adds a line that stays below the bar, for notes before the measurement. */
  readonly note: (line: string) => void;
  /** Replaces the bar with a last sentence. */
  finish(label: string): Promise<void>;
}

/** A view that is redrawn during a measurement. */
export interface LiveView {
  /** Redraws it. Cheap to call often: at most two drawings a second are made. */
  update(draw: () => View): void;
  /** Shows the last drawing. */
  finish(view: View): Promise<void>;
}

/** Where results and progress appear. */
export interface Screen {
  /** Shows a view now, as opposed to a cell's last line. */
  show(view: View): Promise<void>;
  /** Opens a progress bar. */
  progress(label: string): Promise<Progress>;
  /** Opens a view that is redrawn; until its first drawing it shows `label`. */
  live(label: string): Promise<LiveView>;
}

/** Sends a message of the Jupyter protocol: `Deno.jupyter.broadcast`. */
export type Broadcast = (type: string, content: Record<string, unknown>) => Promise<void>;

/** The kernel may lose a message that is sent in the last moment of a cell; this pause, in ms, prevents it. */
export const SETTLE_MS = 25;
const PROGRESS_EVERY_MS = 100;
const DRAWING_EVERY_MS = 500;

/**
 * The screen of a notebook. Its outputs are numbered in their metadata (`podium_output`), so that a test of
 * the notebooks notices a lost one.
 */
export class NotebookScreen implements Screen {
  #outputs = 0;

  constructor(readonly broadcast: Broadcast, readonly clock: Clock, readonly sleep: Sleep) {}

  async show(view: View): Promise<void> {
    await this.#newOutput()("display_data", view.html, view.toString());
    await this.sleep(SETTLE_MS);
  }

  async progress(label: string): Promise<Progress> {
    const send = this.#newOutput();
    const notes: string[] = [];
    const below = () => notes.map((line) => new TextView(line).html).join("");
    const bar = (value: string, text: string) =>
      `<p><label>${escapeHtml(text)} <progress ${value} style="width:16em"></progress></label></p>${below()}`;
    await send("display_data", bar("", label), label);
    const paced = pace(this.clock, PROGRESS_EVERY_MS);
    return {
      update(done, total, text) {
        const plain = `${done}/${total} ${text}`;
        const html = bar(`value="${done}" max="${total}"`, plain);
        paced.run(() => send("update_display_data", html, plain), done >= total);
      },
      note: (line) => void notes.push(line),
      finish: async (text) => {
        await paced.done();
        await send("update_display_data", new TextView(text).html + below(), [text, ...notes].join("\n"));
        await this.sleep(SETTLE_MS);
      },
    };
  }

  async live(label: string): Promise<LiveView> {
    const send = this.#newOutput();
    const sendView = (view: View) => send("update_display_data", view.html, view.toString());
    await send("display_data", new TextView(label).html, label);
    const paced = pace(this.clock, DRAWING_EVERY_MS);
    return {
      update: (draw) => paced.run(() => sendView(draw()), false),
      finish: async (view) => {
        await paced.done();
        await sendView(view);
        await this.sleep(SETTLE_MS);
      },
    };
  }

  /** Sends one output, and then its updates. */
  #newOutput() {
    const metadata = { podium_output: ++this.#outputs };
    const transient = { display_id: `podium-${this.#outputs}` };
    return (type: "display_data" | "update_display_data", html: string, plain: string) =>
      this.broadcast(type, { data: { "text/html": html, "text/plain": plain }, metadata, transient });
  }
}

/** Runs tasks one after the other, and drops those that come too soon after the one before. */
function pace(clock: Clock, everyMs: number) {
  let last = -Infinity;
  let running: Promise<void> = Promise.resolve();
  return {
    run(task: () => Promise<void>, always: boolean) {
      if (clock() - last < everyMs && !always) return;
      last = clock();
      running = running.then(task);
    },
    done: () => running,
  };
}

/** The streams of a terminal screen: results to standard output, progress to standard error. */
export interface TerminalStreams {
  /** Writes text to standard output, with a newline. */
  readonly print: (text: string) => void;
  /** Writes text to standard error, as it is. */
  readonly report: (text: string) => void;
  /** Whether standard error is a terminal, where a line can be overwritten. */
  readonly interactive: boolean;
}

/**
 * The screen of a terminal.
 *
 * ```ts
 * import { TextView } from "./view.ts";
 * const lines: string[] = [];
 * const screen = terminalScreen({ print: (text) => lines.push(text), report: () => {}, interactive: false }, () => 0);
 * await screen.show(new TextView("**Done**"));
 * if (lines[0] !== "Done") throw new Error(lines[0]);
 * ```
 */
export function terminalScreen({ print, report, interactive }: TerminalStreams, clock: Clock): Screen {
  return {
    show: (view) => Promise.resolve(print(view.toString())),
    progress(label) {
      const paced = pace(clock, PROGRESS_EVERY_MS);
      // In a terminal the bar's line is overwritten; elsewhere only final lines are written.
      const begin = interactive ? "\r\x1b[K" : "";
      const line = (text: string, end: string) => report(`${begin}${terminalLine(text)}${end}`);
      line(label, interactive ? "" : "\n");
      return Promise.resolve({
        update(done, total, text) {
          if (!interactive) return;
          paced.run(() => Promise.resolve(line(`${done}/${total} ${text}`, "")), done >= total);
        },
        note: (text) => line(text, "\n"),
        async finish(text) {
          await paced.done();
          line(text, "\n");
        },
      });
    },
    live: () =>
      Promise.resolve({ update: () => {}, finish: (view) => Promise.resolve(print(view.toString())) }),
  };
}
