/** The constraints as flags: `race` and `select` share them. */
import { type Command, Option } from "commander";
import type { Constraints } from "../../lib/select/decide/constraints.ts";
import { commaList, decimal, wholeNumber } from "../cli.ts";

export interface ConstraintSettings {
  readonly maxRam: number | undefined;
  readonly maxDisk: number | undefined;
  readonly licenses: readonly string[] | undefined;
  readonly capability: readonly string[] | undefined;
  readonly minContext: number | undefined;
  readonly minPass: number | undefined;
  readonly minScore: number | undefined;
  readonly minRating: number | undefined;
  readonly maxLatency: number | undefined;
  readonly maxTtft: number | undefined;
  readonly maxMemory: number | undefined;
}

const above = () => decimal({ above: 0 });
const share = () => decimal({ min: 0, max: 1 });

/** Adds the constraints' flags to a command. */
export function withConstraints(command: Command): Command {
  return command
    .addOption(new Option("--max-ram <gb>", "maximum RAM that a model may need").argParser(above()))
    .addOption(new Option("--max-disk <mb>", "maximum size of the model file").argParser(above()))
    .addOption(
      new Option(
        "--licenses <ids>",
        "allowed licences; open: OSI-approved ones, commercial: all that allow commercial use",
      )
        .argParser(commaList),
    )
    .addOption(
      new Option("--capability <tags>", "capabilities or tasks that the model must have in models.json")
        .argParser(
          commaList,
        ),
    )
    .addOption(
      new Option("--min-context <tokens>", "minimum context size").argParser(wholeNumber(1)),
    )
    .addOption(
      new Option("--min-pass <share>", "quality floor: share of the prompts passed, 0 to 1").argParser(
        share(),
      ),
    )
    .addOption(
      new Option("--min-score <score>", "quality floor: mean check score, 0 to 1").argParser(share()),
    )
    .addOption(
      new Option("--min-rating <rating>", "quality floor: people's mean rating, 1 to 5").argParser(
        decimal({ min: 1, max: 5 }),
      ),
    )
    .addOption(new Option("--max-latency <s>", "maximum mean latency").argParser(above()))
    .addOption(new Option("--max-ttft <s>", "maximum mean time to first token").argParser(above()))
    .addOption(new Option("--max-memory <mb>", "maximum resident memory").argParser(above()));
}

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
