/**
 * What a notebook needs and lib/ can't give, because it talks to the kernel: displays that arrive under their
 * own cell, progress in place, and a Stop button that works. Outside the kernel the same calls print text.
 */
import { UserError } from "../lib/errors.ts";
import type { Figure } from "../lib/plot/figure.ts";
import { ratingsOf } from "../lib/quality/import.ts";
import type { RatingRecord } from "../lib/quality/ratings.ts";
import { highestScore, lowestScore } from "../lib/quality/rubric.ts";
import type { Sheet } from "../lib/quality/sheet.ts";

/** A display sent in the last moment of a cell may be lost; awaiting this pause after it brings it home. */
const settleMs = 25;

/** Displays are numbered through a session, so that the notebooks' test can tell when one was lost. */
let displays = 0;

/** `Deno.jupyter`, or undefined outside the kernel, where merely naming it throws. */
function kernel(): typeof Deno.jupyter | undefined {
  try {
    return Deno.jupyter;
  } catch {
    return undefined;
  }
}

/** The pause that belongs behind the last output of a cell. Every display of this module ends with it. */
export const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, settleMs));

/** Text as HTML text. */
export const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

async function display(html: string, plain: string): Promise<void> {
  const jupyter = kernel();
  displays += 1;
  if (jupyter === undefined) return console.log(plain);
  await jupyter.broadcast("display_data", {
    data: { "text/html": html, "text/plain": plain },
    metadata: { podium_output: displays },
    transient: {},
  });
  await settle();
}

/** Shows a paragraph; `**bold**` is all the markup it knows. */
export async function say(text: string): Promise<void> {
  const html = escapeHtml(text).replaceAll(/\*\*(.+?)\*\*/g, "<strong>$1</strong>");
  await display(`<p style="max-width:44em">${html}</p>`, text);
}

/** A drawing with its caption as HTML, in the theme's own colour. */
function figureHtml(figure: Figure): string {
  const style = "color:var(--jp-content-font-color1,var(--vscode-foreground,inherit))";
  return `<figure style="margin:.5em 0;max-width:46em;${style}">${figure.svg}` +
    `<figcaption style="font-size:.9em;margin-top:.3em"><strong>${escapeHtml(figure.title)}.</strong> ` +
    `${escapeHtml(figure.caption)}</figcaption></figure>`;
}

const figureText = (figure: Figure) => `[figure] ${figure.title}. ${figure.caption}`;

/** Shows a drawing of lib/plot with its caption: which statistic each mark shows, and n. */
export async function show(figure: Figure): Promise<void> {
  await display(figureHtml(figure), figureText(figure));
}

/** What a table's cell may hold; null is shown as a dash. */
export type TableValue = string | number | null;

/** A number, or a text that is one: `1.360` keeps its digits. */
const isFigure = (value: TableValue | undefined) =>
  typeof value === "number" || (typeof value === "string" && /^-?[\d.,]+( %)?$/.test(value));

/** Shows rows as a table; its columns are the first row's keys. Give numbers already rounded. */
export async function table(
  rows: readonly Readonly<Record<string, TableValue>>[],
  caption: string,
): Promise<void> {
  const columns = Object.keys(rows[0] ?? {});
  const text = (value: TableValue | undefined) => value === null || value === undefined ? "–" : `${value}`;
  const cell = (value: TableValue | undefined) =>
    isFigure(value)
      ? `<td style="text-align:right;white-space:nowrap">${text(value)}</td>`
      : `<td style="text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;max-width:32em">${
        escapeHtml(text(value))
      }</td>`;
  const head = columns.map((name) => `<th scope="col" style="text-align:left">${escapeHtml(name)}</th>`);
  const body = rows.map((row) => `<tr>${columns.map((name) => cell(row[name])).join("")}</tr>`);
  await display(
    `<table><caption style="caption-side:bottom;text-align:left;padding-top:.4em">${
      escapeHtml(caption)
    }</caption>` +
      `<thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody></table>`,
    [caption, ...rows.map((row) => columns.map((name) => `${name}: ${text(row[name])}`).join(", "))].join(
      "\n",
    ),
  );
}

/** A place under the running cell: the first `display_data` opens it, every `update_display_data` replaces it. */
function placeFor(jupyter: ReturnType<typeof kernel>) {
  const id = crypto.randomUUID();
  const number = ++displays;
  return async (type: "display_data" | "update_display_data", html: string, plain: string) => {
    await jupyter?.broadcast(type, {
      data: { "text/html": html, "text/plain": plain },
      metadata: { podium_output: number },
      transient: { display_id: id },
    });
  };
}

/** A progress bar under its cell, updated in place. */
export interface Progress {
  /** Shows how much is done; cheap to call often, since at most ten updates a second are sent. */
  update(done: number, total: number, label: string): void;
  /** Replaces the bar by a last word. Await it: it also settles the cell. */
  finish(label: string): Promise<void>;
}

/** Opens a progress bar. */
export async function progress(label: string): Promise<Progress> {
  const jupyter = kernel();
  const send = placeFor(jupyter);
  const bar = (value: string, text: string) =>
    `<p><label>${escapeHtml(text)} <progress ${value} style="width:16em"></progress></label></p>`;
  await send("display_data", bar("", label), label);
  let lastSent = 0;
  let sending: Promise<void> = Promise.resolve();
  return {
    update(done, total, text) {
      const now = performance.now();
      if (now - lastSent < 100 && done < total) return;
      lastSent = now;
      const plain = `${done}/${total} ${text}`;
      sending = sending.then(() =>
        send("update_display_data", bar(`value="${done}" max="${total}"`, plain), plain)
      );
    },
    async finish(text) {
      await sending;
      await send("update_display_data", `<p>${escapeHtml(text)}</p>`, text);
      if (jupyter === undefined) console.log(text);
      await settle();
    },
  };
}

/** A figure under its cell that grows while something is measured. */
export interface LiveFigure {
  /** Draws it anew; cheap to call often, since at most two drawings a second are made. */
  update(draw: () => Figure): void;
  /** The last drawing. Await it: it also settles the cell. */
  finish(figure: Figure): Promise<void>;
}

/** Opens a figure that is updated in place; until its first drawing it says `label`. */
export async function liveFigure(label: string): Promise<LiveFigure> {
  const jupyter = kernel();
  const send = placeFor(jupyter);
  const sendFigure = (figure: Figure) => send("update_display_data", figureHtml(figure), figureText(figure));
  await send("display_data", `<p>${escapeHtml(label)}</p>`, label);
  let lastDrawn = -Infinity;
  let sending: Promise<void> = Promise.resolve();
  return {
    update(draw) {
      const now = performance.now();
      if (now - lastDrawn < 500) return;
      lastDrawn = now;
      const figure = draw();
      sending = sending.then(() => sendFigure(figure));
    },
    async finish(figure) {
      await sending;
      await sendFigure(figure);
      if (jupyter === undefined) console.log(figureText(figure));
      await settle();
    },
  };
}

let stop = new AbortController();
let listening = false;

/**
 * A signal for one piece of work, aborted by Jupyter's Stop button (■). Without a listener that button ends
 * the kernel, and everything measured so far with it; so call this in the first cell as well.
 */
export function stopSignal(): AbortSignal {
  if (!listening) {
    listening = true;
    Deno.addSignalListener("SIGINT", () => stop.abort(new DOMException("stopped", "AbortError")));
  }
  if (stop.signal.aborted) stop = new AbortController();
  return stop.signal;
}

/**
 * A number from an environment variable.
 *
 * @throws {UserError} naming the variable, what it holds and what it takes
 */
export function numberSetting(
  name: string,
  fallback: number,
  takes: { min: number; whole: boolean },
): number {
  const text = Deno.env.get(name)?.trim() ?? "";
  if (text === "") return fallback;
  const value = Number(text);
  if (Number.isFinite(value) && value >= takes.min && (!takes.whole || Number.isInteger(value))) return value;
  const kind = takes.whole ? "a whole number" : "a number";
  throw new UserError(`${name} holds ${JSON.stringify(text)}: give ${kind} of at least ${takes.min}`);
}

/**
 * Scores that were typed into a cell, in the order of a sheet's items, as ratings of the answers behind them.
 *
 * @throws {UserError} for a score that is no whole number from 1 to 5, or too few or too many of them
 */
export function typedRatings(
  { key, items }: Sheet,
  { rater, dimension, scores }: { rater: string; dimension: string; scores: readonly number[] },
): RatingRecord[] {
  const wrong = scores.find((score) =>
    !Number.isInteger(score) || score < lowestScore || score > highestScore
  );
  if (wrong !== undefined) throw new UserError(`A score is ${wrong}: give whole numbers from 1 to 5`);
  if (scores.length !== items.length) {
    throw new UserError(`There are ${scores.length} scores for ${items.length} answers: give one for each`);
  }
  const marks = new Map(
    items.map(({ item }, at) => [item, { scores: { [dimension]: scores[at] ?? lowestScore }, comment: "" }]),
  );
  return ratingsOf({ key: { ...key, annotator: rater }, marks, unrated: 0 });
}

/** True in the short setting that the notebooks' test uses (environment variable PODIUM_SHORT=1). */
export const isShort = (): boolean => Deno.env.get("PODIUM_SHORT") === "1";
