/** Decode speed over a run for a time, and the point from which it was another: a machine that throttles. */
import { changePoint } from "../stats/change_point.ts";
import type { Collected, CollectedRun } from "./collect.ts";
import type { Sustained } from "./summary_schema.ts";

/** A change is beyond chance below this probability: the share of runs without a change that seem to have one. */
const FALSE_ALARMS = 0.05;
/** Smaller changes are not worth a sentence. */
const LEAST_CHANGE = 0.05;

/**
 * The decode speed of a candidate's requests over time. Cases differ in speed, so the test looks at each request's
 * speed relative to the mean of its case (logarithms).
 *
 * @param quiet which blocks count; null: all of them
 */
export function sustainedSpeed(
  { good }: Collected,
  { machine }: Pick<CollectedRun, "machine">,
  quiet: ((block: number) => boolean) | null,
): Sustained {
  const [blocks, dues, prompts] = [good.block.view(), good.due.view(), good.prompt.view()];
  const requests = Array.from(good.metrics.decode_tokens_per_s.view(), (speed, at) => ({
    speed,
    block: blocks[at] ?? 0,
    dueMs: dues[at] ?? 0,
    prompt: prompts[at] ?? -1,
  })).filter(({ speed, block }) => speed > 0 && (quiet === null || quiet(block)))
    .sort((a, b) => a.dueMs - b.dueMs);
  const startMs = requests[0]?.dueMs ?? 0;
  const seconds = ((requests.at(-1)?.dueMs ?? 0) - startMs) / 1000;
  const logs = relativeLogs(requests);
  const found = changePoint(logs);
  const ratio = found === null ? 1 : Math.exp(found.after - found.before);
  const none = { n: requests.length, seconds, change: null };
  const first = found === null ? undefined : requests[found.at];
  if (
    found === null || first === undefined || found.p >= FALSE_ALARMS || Math.abs(ratio - 1) < LEAST_CHANGE
  ) {
    return none;
  }
  const meanSpeed = (part: typeof requests) => meanOf(part.map(({ speed }) => speed));
  const beforeAndAfter = (
    of: (record: CollectedRun["machine"][number]) => number | null,
  ): [number, number] | null => {
    const known = machine.flatMap((record) => {
      const value = of(record);
      return value === null ? [] : [{ value, isAfter: record.at_ms >= first.dueMs }];
    });
    const [after, before] = [known.filter(({ isAfter }) => isAfter), known.filter(({ isAfter }) => !isAfter)];
    return after.length === 0 || before.length === 0
      ? null
      : [meanOf(before.map(({ value }) => value)), meanOf(after.map(({ value }) => value))];
  };
  return {
    ...none,
    change: {
      at_s: (first.dueMs - startMs) / 1000,
      ratio,
      tokens_per_s: [meanSpeed(requests.slice(0, found.at)), meanSpeed(requests.slice(found.at))],
      p: found.p,
      temperature_c: beforeAndAfter(({ temperature_c }) => temperature_c),
      frequency_mhz: beforeAndAfter(({ frequency_mhz }) => frequency_mhz),
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

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
