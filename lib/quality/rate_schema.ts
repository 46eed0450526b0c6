/** Rates and intervals as in quality.json. */
import { z } from "zod";

const share = z.number().min(0).max(1);

/** Null where there are too few cases. */
export const interval = z.tuple([z.number(), z.number()]).readonly().nullable();

/** A rate over prompts with Wilson's interval. */
export const rate = z.object({
  /** May be a fraction: a prompt asked several times counts with the share of its answers. */
  passed: z.number().nonnegative(),
  /** Prompts. */
  n: z.number().int().nonnegative(),
  rate: share.nullable(),
  ci95: interval,
});
