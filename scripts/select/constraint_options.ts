/** The constraints as flags: `race` and `select` share them. */
import type { Option } from "commander";
import type { Constraints } from "../../lib/select/decide/constraints.ts";
import { commaList, decimal, option, wholeNumber } from "../options.ts";

export interface ConstraintSettings {
  readonly maxRam?: number | undefined;
  readonly maxDisk?: number | undefined;
  readonly licenses?: readonly string[] | undefined;
  readonly capability?: readonly string[] | undefined;
  readonly minContext?: number | undefined;
  readonly minPass?: number | undefined;
  readonly minScore?: number | undefined;
  readonly minRating?: number | undefined;
  readonly maxLatency?: number | undefined;
  readonly maxTtft?: number | undefined;
  readonly maxMemory?: number | undefined;
}

const above = decimal({ above: 0 });
const share = decimal({ min: 0, max: 1 });

export const constraintOptions = (): Option[] => [
  option("--max-ram <gb>", "maximum RAM that a model may need", above),
  option("--max-disk <mb>", "maximum size of the model file", above),
  option(
    "--licenses <ids>",
    "allowed licences; open: OSI-approved ones, commercial: all that allow commercial use",
    commaList,
  ),
  option(
    "--capability <tags>",
    "capabilities or tasks that the model must have in models.json",
    commaList,
  ),
  option("--min-context <tokens>", "minimum context size", wholeNumber(1)),
  option("--min-pass <share>", "quality floor: share of the prompts passed, 0 to 1", share),
  option("--min-score <score>", "quality floor: mean check score, 0 to 1", share),
  option(
    "--min-rating <rating>",
    "quality floor: people's mean rating, 1 to 5",
    decimal({ min: 1, max: 5 }),
  ),
  option("--max-latency <s>", "maximum mean latency", above),
  option("--max-ttft <s>", "maximum mean time to first token", above),
  option("--max-memory <mb>", "maximum resident memory", above),
];

export function constraintsOf(given: ConstraintSettings): Constraints {
  return {
    maxRamGb: given.maxRam ?? null,
    maxDiskMb: given.maxDisk ?? null,
    licenses: given.licenses ?? [],
    capabilities: given.capability ?? [],
    minContextTokens: given.minContext ?? null,
    minPassRate: given.minPass ?? null,
    minScore: given.minScore ?? null,
    minRating: given.minRating ?? null,
    maxLatencyS: given.maxLatency ?? null,
    maxTtftS: given.maxTtft ?? null,
    maxMemoryMb: given.maxMemory ?? null,
  };
}
