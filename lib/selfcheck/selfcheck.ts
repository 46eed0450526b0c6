/** The result of a self-check: how far the instrument's times are from the real delays, and what follows. */
import { join } from "node:path";
import { z } from "zod";
import { errorFigures } from "./timing_errors.ts";

const accuracy = z.object({
  transport: z.enum(["raw", "fetch"]),
  concurrency: z.number().int().positive(),
  requests: z.number().int().nonnegative(),
  failed: z.number().int().nonnegative(),
  ttft_error_ms: errorFigures,
  gap_error_ms: errorFigures,
  tpot_error_percent: errorFigures,
  /** Of one core, by the measuring process. */
  cpu_percent: z.number().nonnegative(),
});
/** Errors at one concurrency over one transport. */
export type Accuracy = z.infer<typeof accuracy>;

const highestRate = z.object({
  transport: z.enum(["raw", "fetch"]),
  /** Always `direct` in new results; old ones may hold `openai`, a client that was removed. */
  client: z.enum(["openai", "direct"]),
  concurrency: z.number().int().positive(),
  tokens_per_request: z.number().int().positive(),
  requests_per_s: z.number().nonnegative(),
  failed: z.number().int().nonnegative(),
  cpu_us_per_request: z.number().nonnegative(),
  cpu_us_per_chunk: z.number().nonnegative(),
  /** Of one core, by the measuring process; near 100 the client itself was the limit. */
  cpu_percent: z.number().nonnegative(),
  /** Resident size of the measuring process afterwards. */
  memory_mb: z.number().nonnegative(),
});
/** How many streams per second the client can read, and what each costs. */
export type HighestRate = z.infer<typeof highestRate>;

const load = z.object({
  asked_per_s: z.number().positive(),
  delivered_per_s: z.number().nonnegative(),
  late_ms: errorFigures,
});
/** How well a constant rate is kept. */
export type LoadCheck = z.infer<typeof load>;

/** The result of `deno task selfcheck`, which reports show. */
export const selfcheckResult = z.object({
  schema_version: z.literal(1),
  created_at: z.string(),
  deno: z.string(),
  machine: z.object({
    cpu: z.string(),
    cores: z.number().int().positive(),
    os: z.string(),
    arch: z.string(),
  }),
  /** Processor time that other programs used before and after the check, in percent of one core. */
  others_cpu_percent: z.number().nonnegative(),
  /** Processor time that the hypervisor took during the check, in percent of one core; null where unknown. */
  steal_percent: z.number().nonnegative().nullable().default(null),
  accuracy: z.array(accuracy),
  load: z.array(load),
  rate: z.array(highestRate),
  /** Largest resident size of the measuring process. */
  memory_mb: z.number().nonnegative(),
  /** What can be trusted on this machine, one sentence per entry. */
  trust: z.array(z.string()),
});
export type SelfcheckResult = z.infer<typeof selfcheckResult>;

/** Above this share of a core, other programs disturb a check of milliseconds. */
const DISTURBED_PERCENT = 10;

/** A p99 is decided by anything that takes more than 1 % of the time. */
const STOLEN_PERCENT = 1;

/** What follows from the figures, in sentences. */
export function trustOf(
  result: Pick<SelfcheckResult, "others_cpu_percent" | "steal_percent" | "accuracy" | "load" | "rate">,
): string[] {
  const { others_cpu_percent: others, steal_percent: steal } = result;
  const disturbed = "of a core: the machine was disturbed; repeat the check on a quiet one";
  const sentences: string[] = [];
  if (others > DISTURBED_PERCENT) sentences.push(`other programs used ${significant(others)} % ${disturbed}`);
  if (steal !== null && steal > STOLEN_PERCENT) {
    sentences.push(`the hypervisor took ${significant(steal)} % ${disturbed}`);
  }
  sentences.push(...result.accuracy.map((one) => {
    const { ttft_error_ms: ttft, gap_error_ms: gap, tpot_error_percent: tpot } = one;
    const worst = Math.max(ttft.p99 ?? ttft.max ?? 0, gap.p99 ?? gap.max ?? 0);
    const over = one.transport === "raw" ? "a raw socket (plain http)" : "fetch (https, proxies)";
    return `${over}, ${one.concurrency} at a time: differences below ${
      significant(2 * worst)
    } ms in TTFT or a gap, ` +
      `or ${significant(tpot.p99 ?? tpot.max ?? 0)} % in TPOT, may come from the instrument`;
  }));
  for (const { asked_per_s, delivered_per_s } of result.load) {
    const miss = Math.abs(delivered_per_s / asked_per_s - 1);
    sentences.push(
      `${asked_per_s} requests/s requested, ${significant(delivered_per_s)} delivered: ${
        miss > 0.02 ? "a constant rate can't be trusted here" : "a constant rate is kept"
      }`,
    );
  }
  const best = Math.max(0, ...result.rate.map((one) => one.requests_per_s));
  if (best > 0) {
    sentences.push(`above ${significant(best / 2)} requests/s the instrument itself becomes the bottleneck`);
  }
  return sentences;
}

const significant = (value: number) => Number(value.toPrecision(2));

const FILE = "selfcheck.json";

/** Saves a result, which holds for this machine alone, in its cache folder; returns the path. */
export async function saveSelfcheck(folder: string, result: SelfcheckResult): Promise<string> {
  const path = join(folder, FILE);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(result, null, 2) + "\n");
  return path;
}

/** The last result that was saved in `folder`; null where there is none, or it is damaged. */
export async function lastSelfcheck(folder: string): Promise<SelfcheckResult | null> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(folder, FILE));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  try {
    return selfcheckResult.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null; // an older or truncated file
    throw error;
  }
}
