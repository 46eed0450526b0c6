/** Figures as people read them: one place, so that the terminal, Markdown and the page agree. */
import type { SummaryStatistic } from "../bench/summary_schema.ts";

/** Shown where a figure is not known. */
export const missing = "—";

/**
 * A duration with up to three significant digits and a unit that fits: 0.0421 s is
 * `42 ms`. Never an exponent.
 *
 * ```ts
 * if (seconds(0.0421) !== "42 ms" || seconds(-1.234) !== "−1.23 s") throw new Error("wrong unit");
 * ```
 */
export function seconds(value: number | null): string {
  if (value === null) return missing;
  if (value < 0) return `−${seconds(-value)}`;
  const ms = value * 1000;
  if (ms < 0.95) return `${Number(ms.toFixed(3))} ms`;
  if (ms < 9.95) return `${ms.toPrecision(2)} ms`;
  if (value < 0.9995) return `${Math.round(ms)} ms`;
  return `${value < 99.95 ? value.toPrecision(3) : Math.round(value).toLocaleString("en-GB")} s`;
}

/**
 * How to show the durations of one column of a table, all in one unit: seconds where the
 * longest takes a second or more.
 *
 * ```ts
 * if (secondsLike([0.672, 1.3])(0.672) !== "0.672 s" || secondsLike([0.672])(0.672) !== "672 ms") throw new Error("wrong unit");
 * ```
 */
export function secondsLike(column: readonly (number | null)[]): (value: number | null) => string {
  if (column.every((value) => value === null || value < 0.9995)) return seconds;
  return (value) => value === null || value >= 0.9995 ? seconds(value) : `${plain(value)} s`;
}

/**
 * Three significant digits, never an exponent: 0.123, 12.3, 1,234.
 *
 * ```ts
 * if (plain(1234.5) !== "1,235" || plain(12.345) !== "12.3") throw new Error("wrong digits");
 * ```
 */
export function plain(value: number | null): string {
  if (value === null) return missing;
  if (Math.abs(value) >= 999.5) return Math.round(value).toLocaleString("en-GB");
  if (Math.abs(value) < 0.001) return value === 0 ? "0" : value.toFixed(6);
  return String(Number(value.toPrecision(3)));
}

/**
 * A ratio with three significant digits, trailing zeros kept, so that the ends of an
 * interval line up: 1.48–1.60.
 *
 * ```ts
 * if (ratio(1.6) !== "1.60" || ratio(1234) !== "1,234") throw new Error("wrong digits");
 * ```
 */
export function ratio(value: number | null): string {
  if (value === null) return missing;
  return Math.abs(value) >= 999.5 || Math.abs(value) < 0.001 ? plain(value) : value.toPrecision(3);
}

/**
 * An interval, e.g. `91–242 ms`; empty where there is none. The unit stands once,
 * and is the same for both ends.
 *
 * ```ts
 * if (intervalOf([0.98, 1.2], seconds) !== "0.98–1.20 s") throw new Error(intervalOf([0.98, 1.2], seconds));
 * if (intervalOf([0.091, 0.242], seconds) !== "91–242 ms") throw new Error(intervalOf([0.091, 0.242], seconds));
 * ```
 */
export function intervalOf(interval: readonly [number, number] | null, show: (v: number) => string): string {
  if (interval === null) return "";
  const [low, high] = interval.map((end) => show(end).split(" "));
  const [from = "", lowUnit] = low ?? [];
  const [to = "", unit] = high ?? [];
  if (unit === lowUnit) return `${from}–${to}${unit === undefined ? "" : ` ${unit}`}`;
  // Only durations have several units: in seconds, with the digits of the longer one.
  const digits = Math.min(3, Math.max(2, to.split(".")[1]?.length ?? 0));
  return `${interval[0].toFixed(digits)}–${to} s`;
}

/**
 * Keeps a figure with its sign and unit on one line: `n = 30`, `95 %` and `42 ms` do not break.
 *
 * ```ts
 * if (unbroken("n = 30 of 95 %") !== "n\u00a0=\u00a030 of 95\u00a0%") throw new Error("it breaks");
 * ```
 */
export function unbroken(text: string): string {
  return text.replaceAll(/\bn = (?=[\d<])/g, "n\u00a0=\u00a0")
    .replaceAll(/(\d) (?=(?:%|ms|s|min|kB|MB|GB|GiB|W|J)(?![\p{L}\d]))/gu, "$1\u00a0");
}

/**
 * A p95 for a table that shows n, or the reason why there is none: a p95 needs 20 requests.
 *
 * ```ts
 * const none = { n: 9, units: 9, mean: 1, sd: 0, min: 1, p50: 1, p95: null, p99: null, max: 1, mean_ci95: null,
 *   p95_ci95: null };
 * if (p95Of(none, seconds) !== "< 20 cases") throw new Error("the reason is missing");
 * ```
 */
export function p95Of(statistic: SummaryStatistic, show: (value: number) => string): string {
  if (statistic.p95 !== null) return show(statistic.p95);
  return statistic.n === 0 ? missing : "< 20 cases";
}

/** A share with three significant digits: `38.8 %`. */
export function percent(share: number | null): string {
  return share === null ? missing : `${plain(100 * share)} %`;
}

/** A score from 0 to 1 with its interval: `0.61 (0.20–0.90)`. */
export function scoreText(score: number | null, ci95: readonly [number, number] | null = null): string {
  if (score === null) return missing;
  return `${score.toFixed(2)}${ci95 === null ? "" : ` (${ci95.map((end) => end.toFixed(2)).join("–")})`}`;
}

/** `1 request`, `3 requests`. */
export function counted(n: number, noun: string, plural = `${noun}s`): string {
  return `${n.toLocaleString("en-GB")} ${n === 1 ? noun : plural}`;
}

/**
 * How many times as long, or as fast: `1.80 times`.
 *
 * ```ts
 * if (times(1.82) !== "1.82 times") throw new Error("wrong ratio");
 * ```
 */
export function times(value: number): string {
  return `${ratio(value)} times`;
}

/** A size in MB, or in GB from 1,000 MB. */
export function megabytes(value: number | null): string {
  if (value === null) return missing;
  return value >= 1000 ? `${(value / 1000).toFixed(2)} GB` : `${Math.round(value)} MB`;
}

/**
 * Begins with a capital letter, unless with a name such as `smollm2:q4_1`, and ends with a full stop.
 *
 * ```ts
 * if (sentence("close other programs") !== "Close other programs.") throw new Error("not a sentence");
 * ```
 */
export function sentence(text: string): string {
  const first = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() : text.charAt(0);
  return `${first}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
