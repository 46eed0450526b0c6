/** Decode speed over a run for a time, and the point from which it was another: a machine that throttles. */
import { meanOf } from "../stats/mean.ts";
import { changePoint } from "../stats/change_point.ts";
import type { CollectedRun, GoodRequest } from "./collect.ts";
import type { Sustained } from "./summary_schema.ts";

/** A change is beyond chance below this probability: the share of runs without a change that seem to have one. */
const FALSE_ALARMS = 0.05;
/** Smaller changes are not worth a sentence. */
const LEAST_CHANGE = 0.05;

/**
 * The decode speed of a candidate's requests over time. Cases differ in speed, so the test looks at each
 * request's speed relative to the mean of its case (logarithms).
 *
 * @param machine temperature and frequency at the end of each block
 */
export function sustainedSpeed(good: readonly GoodRequest[], machine: CollectedRun["machine"]): Sustained {
  const requests = good.flatMap(({ decode_tokens_per_s: speed, dueMs, prompt }) =>
    speed === null ? [] : [{ speed, dueMs, prompt }]
  ).sort((a, b) => a.dueMs - b.dueMs);
  const startMs = requests[0]?.dueMs ?? 0;
  const known = { n: requests.length, seconds: ((requests.at(-1)?.dueMs ?? 0) - startMs) / 1000 };
  const found = changePoint(relativeLogs(requests));
  const first = found === null ? undefined : requests[found.at];
  if (found === null || first === undefined || found.p >= FALSE_ALARMS) return { ...known, change: null };
  const ratio = Math.exp(found.after - found.before);
  if (Math.abs(ratio - 1) < LEAST_CHANGE) return { ...known, change: null };
  const meanSpeed = (part: typeof requests) => meanOf(part.map(({ speed }) => speed));
  const beforeAndAfter = (figure: "temperature_c" | "frequency_mhz"): [number, number] | null => {
    const read = (part: typeof machine) => part.flatMap((record) => record[figure] ?? []);
    const before = read(machine.filter(({ at_ms }) => at_ms < first.dueMs));
    const after = read(machine.filter(({ at_ms }) => at_ms >= first.dueMs));
    return after.length === 0 || before.length === 0 ? null : [meanOf(before), meanOf(after)];
  };
  return {
    ...known,
    change: {
      at_s: (first.dueMs - startMs) / 1000,
      ratio,
      tokens_per_s: [meanSpeed(requests.slice(0, found.at)), meanSpeed(requests.slice(found.at))],
      p: found.p,
      temperature_c: beforeAndAfter("temperature_c"),
      frequency_mhz: beforeAndAfter("frequency_mhz"),
    },
  };
}

/** Logarithms of the speeds, less the mean of each request's case. */
function relativeLogs(requests: readonly { readonly speed: number; readonly prompt: number }[]): number[] {
  const means = new Map(
    [...Map.groupBy(requests, ({ prompt }) => prompt)].map(([prompt, same]) =>
      [prompt, meanOf(same.map(({ speed }) => Math.log(speed)))] as const
    ),
  );
  return requests.map(({ speed, prompt }) => Math.log(speed) - (means.get(prompt) ?? 0));
}
