/** The flags of `race`, checked before anything else happens. */
import { type Command, Option } from "commander";
import { PLAN_DEFAULTS } from "../../lib/bench/plan.ts";
import type { RaceTerms } from "../../lib/bench/records.ts";
import { UserError } from "../../lib/errors.ts";
import { parseWeights, utilityParts } from "../../lib/select/race/criterion.ts";
import { type RaceScope, raceScopes } from "../../lib/select/race/race_state.ts";
import type { BenchSettings } from "../bench/options.ts";
import {
  bareCommand,
  decimal,
  endpointOption,
  epsilonOption,
  gpuOption,
  jsonOption,
  maxTokensOption,
  modelsOption,
  openOption,
  outOption,
  pathValue,
  promptOption,
  registryOption,
  seedOption,
  statedSettings,
  storeOption,
  temperatureOption,
  timeoutOption,
  weightsOption,
  wholeNumber,
  withCases,
} from "../cli.ts";
import { type ConstraintSettings, withConstraints } from "../select/constraint_options.ts";

export interface RaceSettings extends ConstraintSettings {
  /** The settings that bench would have for the same candidates. */
  readonly bench: BenchSettings;
  readonly by: RaceTerms["by"];
  readonly scope: RaceScope;
  readonly weights: Record<string, number> | null;
  readonly delta: number;
  readonly epsilon: number;
  readonly budget: number;
  readonly quality: string | undefined;
  readonly replay: string | undefined;
  readonly simulate: boolean;
  readonly gaps: readonly number[];
  readonly noise: number;
  readonly json: boolean;
  /** The terms that were given, not taken from the defaults: they change a replay. */
  readonly given: Partial<RaceTerms>;
}

const kinds = ["latency", "ttft", "throughput", "checks", "utility"] as const;

export function raceCommand(): Command {
  const named = bareCommand("race")
    .addOption(modelsOption())
    .addOption(endpointOption())
    .addOption(
      new Option("--by <figure>", "figure to race by; utility combines several by --weights").choices(kinds)
        .default("latency"),
    )
    .addOption(scopeOption())
    .addOption(weightsOption())
    .addOption(
      new Option("--delta <share>", "accepted probability of a wrong winner").default(0.05)
        .argParser(decimal({ above: 0, max: 0.5 })),
    )
    .addOption(epsilonOption(0.1))
    .addOption(
      new Option("--budget <n>", "maximum number of requests").default(200).argParser(
        wholeNumber(1, 1_000_000),
      ),
    )
    .addOption(promptOption());
  const command = withCases(named)
    .addOption(maxTokensOption(PLAN_DEFAULTS.maxTokens))
    .addOption(temperatureOption(0))
    .addOption(
      new Option("--warmup <n>", "warm-up requests per candidate").default(1).argParser(
        wholeNumber(0, 1000),
      ),
    )
    .addOption(
      new Option(
        "--prefix <kind>",
        "cold: the prompt cache never helps; warm: the same prompt was sent right before",
      )
        .choices(["cold", "warm"]).default("cold"),
    )
    .addOption(seedOption())
    .addOption(timeoutOption(120))
    .addOption(
      new Option(
        "--quality <run>",
        "apply the quality floor to the answers of this run instead of capturing answers first",
      )
        .argParser(pathValue),
    );
  return withConstraints(command)
    .addOption(
      new Option("--replay <run>", "repeat the race over recorded samples; other flags change its terms")
        .argParser(
          pathValue,
        ),
    )
    .option("--simulate", "race simulated models, to see how many requests a verdict takes", false)
    .addOption(
      new Option("--gaps <list>", "simulated rivals, slower by these shares").default([0.1, 0.3, 0.6])
        .argParser(gapList),
    )
    .addOption(
      new Option("--noise <sd>", "simulated noise: standard deviation of a latency's logarithm").default(0.1)
        .argParser(decimal({ min: 0, max: 2 })),
    )
    .addOption(gpuOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(outOption())
    .addOption(openOption())
    .addOption(jsonOption().default(false))
    .addHelpText(
      "after",
      `
Constraints come first and give a reason for each exclusion. With a quality floor, every model then answers the prompts
once and is scored. The remaining models race. Verdicts: winner, tie, undecided, left (the
others failed), only, none.
Exit codes: 0 done, whatever the verdict; 1 nothing could be measured; 2 wrong usage or input; 130 interrupted.`,
    );
}

/** Which cases the verdict speaks about. */
const scopeOption = () =>
  new Option(
    "--scope <cases>",
    "claim about cases like these (each counts once), or about these cases alone (drawn with replacement)",
  ).default("cases like these" satisfies RaceScope, "like-these").argParser((text): RaceScope => {
    const scope = raceScopes.find((one) =>
      one === `cases ${text.replace("-", " ")}` || one === `${text} cases`
    );
    if (scope === undefined) throw new UserError(`--scope ${text}: give these or like-these`);
    return scope;
  });

function gapList(text: string): number[] {
  const parse = decimal({ min: 0, max: 100 });
  return text.split(",").map((part) => parse(part));
}

/** @throws {UserError} where options contradict each other */
export function raceSettings(command: Command): RaceSettings {
  const given = command.opts<
    Omit<RaceSettings, "bench" | "weights"> & BenchSettings & { weights?: string }
  >();
  if (command.args.length > 0) {
    throw new UserError(`race takes no arguments, only options: "${command.args.join(" ")}"`);
  }
  const asked = (name: string) => ["cli", "env"].includes(command.getOptionValueSource(name) ?? "");
  if (asked("prompt") && command.getOptionValueSource("prompts") === "cli") {
    throw new UserError("--prompt and --prompts exclude each other: give one prompt, or a prompt set");
  }
  if (given.replay !== undefined && given.simulate) {
    throw new UserError("--replay and --simulate exclude each other");
  }
  if (given.weights !== undefined && given.by !== "utility") {
    throw new UserError("--weights belongs to --by utility: give both, or neither");
  }
  if (given.by === "utility" && given.weights === undefined && given.replay === undefined) {
    throw new UserError("--by utility needs --weights, as in checks=1,latency=0.1");
  }
  const weights = given.weights === undefined ? null : weightsOf(given.weights);
  const terms = {
    by: given.by,
    scope: given.scope,
    delta: given.delta,
    epsilon: given.epsilon,
    budget: given.budget,
  };
  return {
    ...given,
    weights,
    given: {
      ...Object.fromEntries(Object.entries(terms).filter(([name]) => asked(name))),
      ...(weights === null ? {} : { weights }),
    },
    bench: {
      ...given,
      stated: statedSettings(command),
      rounds: 1,
      samplingSeed: undefined,
      concurrency: 1,
      rate: undefined,
      slo: undefined,
      fixedOutput: false,
      stream: true,
      resume: undefined,
    },
  };
}

function weightsOf(text: string): Record<string, number> {
  return Object.fromEntries(Object.entries<number>(parseWeights(text, utilityParts)));
}
