/** What a race is about: which figure of an answer counts, and what of it is better. */
import { latencyS, outputTokensPerS, ttftS } from "../../bench/metrics.ts";
import type { RaceTerms, RequestRecord } from "../../bench/records.ts";
import { UserError } from "../../errors.ts";
import { sumOf } from "../../stats/mean.ts";
import type { CaseOutcome } from "./pairing.ts";
import type { RaceRules } from "./race_state.ts";

/** Weight of each part of a utility; a part without a weight does not count. */
export interface UtilityWeights {
  /** A check score of 1 instead of 0. */
  readonly checks?: number;
  /** Half the latency. */
  readonly latency?: number;
  /** Half the time to first token. */
  readonly ttft?: number;
  /** Twice the output tokens per second. */
  readonly throughput?: number;
}

export const utilityParts = ["checks", "latency", "ttft", "throughput"] as const;

/** The rules of a race by its terms. Times and rates are compared as ratios, scores and utilities as differences. */
export function rulesOf(terms: Pick<RaceTerms, "by" | "delta" | "epsilon" | "budget">): RaceRules {
  const { by, delta, epsilon, budget } = terms;
  const common = { delta, epsilon, budget };
  switch (by) {
    case "latency":
    case "ttft":
      return { ...common, better: "lower", effect: "ratio" };
    case "throughput":
      return { ...common, better: "higher", effect: "ratio" };
    case "checks":
      return { ...common, better: "higher", effect: "difference", span: 1 };
    case "utility":
      return { ...common, better: "higher", effect: "difference" };
  }
}

/** Whether a race needs the scores of its answers. */
export function needsScores({ by, weights }: Pick<RaceTerms, "by" | "weights">): boolean {
  return by === "checks" || (by === "utility" && (weights?.checks ?? 0) > 0);
}

/** Whether a race counts times or rates, which other programs on the machine change. */
export function needsTimes({ by, weights }: Pick<RaceTerms, "by" | "weights">): boolean {
  return by === "utility"
    ? utilityParts.some((part) => part !== "checks" && (weights?.[part] ?? 0) > 0)
    : by !== "checks";
}

/** `checks` and `quality` name the same part: the score of an answer. */
const synonyms: Readonly<Record<string, string>> = { checks: "quality", quality: "checks" };

/**
 * Reads relative weights, e.g. `checks=1,latency=0.1`; the grammar of `--weights` in every task. A weight of
 * 1 on checks (or quality, the same thing) counts a score of 1; the weight of a time counts for each halving.
 *
 * @param parts what may be weighted
 * @throws {UserError} for an unknown part, a weight that is not a number of at least
 * 0, or weights that sum to 0
 *
 * ```ts
 * const { checks, latency } = parseWeights("checks=1, latency=0.1", utilityParts);
 * if (checks !== 1 || latency !== 0.1) throw new Error("two weights");
 * if (parseWeights("quality=1", utilityParts).checks !== 1) throw new Error("quality is another word for checks");
 * ```
 */
export function parseWeights<Part extends string>(
  text: string,
  parts: readonly Part[],
): Partial<Record<Part, number>> {
  const takes = `give relative weights of at least 0 for ${parts.join(", ")}, as in ${parts[0]}=1,${
    parts[1]
  }=0.1`;
  const weights: Partial<Record<Part, number>> = {};
  for (const piece of text.split(",").filter((one) => one.trim() !== "")) {
    const [name = "", value = ""] = piece.split("=").map((one) => one.trim());
    const part = parts.find((one) => one === name || one === synonyms[name]);
    const weight = value === "" ? NaN : Number(value);
    if (part === undefined || !(weight >= 0 && weight < Infinity)) {
      const fault = part === undefined ? "unknown part" : "not a weight";
      throw new UserError(`--weights ${text}: ${fault} "${piece.trim()}": ${takes}`);
    }
    if (weights[part] !== undefined) throw new UserError(`--weights ${text}: ${part} is given twice`);
    weights[part] = weight;
  }
  if (Object.values<number | undefined>(weights).every((one) => (one ?? 0) === 0)) {
    throw new UserError(`--weights ${text}: the weights sum to 0: ${takes}`);
  }
  return weights;
}

/**
 * What a request is worth in a race. A request that failed, that broke off, or of which the figure is not
 * known, has failed.
 *
 * @param score of its answer, 0 to 1; null where nothing scored it
 *
 * ```ts ignore
 * const outcome = outcomeOf(record, 0.8, { by: "utility", weights: { checks: 1, latency: 0.1 } });
 * ```
 */
export function outcomeOf(
  record: RequestRecord,
  score: number | null,
  { by, weights }: Pick<RaceTerms, "by" | "weights">,
): CaseOutcome {
  if (record.status !== "ok") return { status: "failed", reason: record.reason ?? record.status };
  const value = valueOf(record, score, by, weights ?? {});
  return value === null || Number.isNaN(value)
    ? { status: "failed", reason: `its ${by} is not known` }
    : { status: "ok", value };
}

function valueOf(
  record: RequestRecord,
  score: number | null,
  by: RaceTerms["by"],
  weights: UtilityWeights,
): number | null {
  switch (by) {
    case "latency":
      return positive(latencyS(record));
    case "ttft":
      return positive(ttftS(record));
    case "throughput":
      return outputTokensPerS(record);
    case "checks":
      return score;
    case "utility":
      return utilityOf({
        checks: score,
        latency: positive(latencyS(record)),
        ttft: positive(ttftS(record)),
        throughput: outputTokensPerS(record),
      }, weights);
  }
}

/** Clocks count in steps: a time of 0 s is shorter than a microsecond, not absent. */
const positive = (seconds: number | null) => seconds === null ? null : Math.max(seconds, 1e-6);

/**
 * A utility of several figures: score × weight, and the weight once more for each halving of a time and each
 * doubling of a rate. Logarithms to base 2 make the weights mean that, whatever the unit.
 *
 * @returns null where a figure that has a weight is not known
 *
 * ```ts
 * const slow = utilityOf({ checks: 0.8, latency: 4, ttft: null, throughput: null }, { checks: 1, latency: 0.1 });
 * const fast = utilityOf({ checks: 0.7, latency: 2, ttft: null, throughput: null }, { checks: 1, latency: 0.1 });
 * if (slow === null || fast === null || Math.abs(slow - fast) > 1e-12) throw new Error("worth the same");
 * ```
 */
export function utilityOf(
  figures: Readonly<Record<keyof UtilityWeights, number | null>>,
  weights: UtilityWeights,
): number | null {
  const worths = utilityParts.filter((part) => (weights[part] ?? 0) > 0).map((part) => {
    const value = figures[part];
    if (value === null) return NaN;
    const worth = part === "checks" ? value : part === "throughput" ? Math.log2(value) : -Math.log2(value);
    return (weights[part] ?? 0) * worth;
  });
  const sum = sumOf(worths);
  return Number.isFinite(sum) ? sum : null;
}
