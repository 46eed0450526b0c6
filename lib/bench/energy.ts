/** Energy of an answer: what a counter measured, else the stated-watts heuristic. The two are never mixed unmarked. */
import type { CandidateSummary } from "./summary_schema.ts";

/** An estimate, with what it rests on. */
export interface EnergyEstimate {
  readonly joulesPerAnswer: number;
  readonly wattHoursPer1000: number;
  /** The power that was stated, not measured. */
  readonly watts: number;
}

/**
 * Output tokens ÷ output tokens/s × watts: a slower model holds the machine for longer and so costs more.
 * (The course multiplies tokens/s by tokens, which makes the faster model the dearer one.)
 * Null where tokens or tokens/s are not known.
 *
 * @throws {RangeError} when `watts` is not above 0.
 * @example
 * ```ts
 * const estimate = energyOf({ tokens: { output_mean: 100 }, output_tokens_per_s: { mean: 50 } }, 15);
 * if (estimate?.joulesPerAnswer !== 30) throw new Error("100 tokens at 50/s and 15 W are 30 J");
 * ```
 */
export function energyOf(
  candidate: {
    readonly tokens: Pick<CandidateSummary["tokens"], "output_mean">;
    readonly output_tokens_per_s: { readonly mean: number | null };
  },
  watts: number,
): EnergyEstimate | null {
  if (!(watts > 0)) throw new RangeError(`Cannot estimate energy from ${watts} W: give watts above 0`);
  const tokens = candidate.tokens.output_mean;
  const rate = candidate.output_tokens_per_s.mean;
  if (tokens === null || rate === null || rate === 0) return null;
  const joulesPerAnswer = (tokens / rate) * watts;
  return { joulesPerAnswer, wattHoursPer1000: joulesPerAnswer / 3.6, watts };
}

/**
 * What 1,000 requests cost at a price for a kilowatt-hour, in the price's currency.
 *
 * @example
 * ```ts
 * if (costPer1000(3600, 0.3) !== 0.3) throw new Error("3,600 J × 1,000 are one kWh");
 * ```
 */
export function costPer1000(joulesPerRequest: number, pricePerKwh: number): number {
  return joulesPerRequest * 1000 / 3.6e6 * pricePerKwh;
}
