/**
 * Energy of an answer: measured by a counter, else estimated from the stated watts. The two are
 * never mixed without a mark.
 */
import type { MachineRecord, RequestRecord } from "./records.ts";
import type { CandidateSummary } from "./summary_schema.ts";

/** An estimate, with what it rests on. */
export interface EnergyEstimate {
  readonly joulesPerAnswer: number;
  readonly wattHoursPer1000: number;
  /** The power that was stated, not measured. */
  readonly watts: number;
}

/**
 * Output tokens ÷ output tokens/s × watts: a slower model occupies the machine for longer and so costs more.
 * (The course multiplies tokens/s by tokens, which makes the faster model the more expensive one.) Null where
 * tokens or tokens/s are not known.
 *
 * @throws {RangeError} when `watts` is not above 0.
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
 * The cost of 1,000 requests at a price per kilowatt-hour, in the price's currency.
 *
 * ```ts
 * if (costPer1000(3600, 0.3) !== 0.3) throw new Error("3,600 J × 1,000 are one kWh");
 * ```
 */
export function costPer1000(joulesPerRequest: number, pricePerKwh: number): number {
  return joulesPerRequest * 1000 / 3.6e6 * pricePerKwh;
}

/** Collects a counter's readings, and shares each block's joules among its requests. */
export interface EnergyMeter {
  add(record: RequestRecord | MachineRecord): void;
  /** Mean joules per timed request of each candidate; empty where no counter could be read. */
  joulesPerRequest(): ReadonlyMap<string, number>;
}

/**
 * A block's joules are shared by the time that each request took: its candidates ran one after the other, and
 * the counter measures the whole processor, including its idle power.
 *
 * ```ts ignore
 * const meter = energyMeter();
 * for await (const record of readSamples(folder)) meter.add(record);
 * ```
 */
export function energyMeter(): EnergyMeter {
  const joules = new Map<number, number>();
  const requests = new Map<number, { readonly candidate: string; readonly ms: number }[]>();
  return {
    add(record) {
      if (record.kind === "machine") {
        if (record.package_j !== undefined) joules.set(record.block, record.package_j);
      } else if (record.phase === "timed") {
        const block = requests.get(record.block) ?? [];
        block.push({ candidate: record.candidate, ms: record.end_ms - record.sent_ms });
        requests.set(record.block, block);
      }
    },
    joulesPerRequest() {
      const sums = new Map<string, { sum: number; n: number }>();
      for (const [number, total] of joules) {
        const block = requests.get(number) ?? [];
        const ms = block.reduce((sum, request) => sum + request.ms, 0);
        if (ms === 0) continue;
        for (const request of block) {
          const { sum, n } = sums.get(request.candidate) ?? { sum: 0, n: 0 };
          sums.set(request.candidate, { sum: sum + total * request.ms / ms, n: n + 1 });
        }
      }
      return new Map([...sums].map(([id, { sum, n }]) => [id, sum / n]));
    },
  };
}
