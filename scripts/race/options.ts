/** The flags of `race`, checked before anything else happens. */
import type { Command } from "commander";
import { PLAN_DEFAULTS } from "../../lib/bench/plan.ts";
import type { RaceTerms } from "../../lib/bench/records.ts";
import { UserError } from "../../lib/errors.ts";
import { parseWeights, utilityParts } from "../../lib/select/race/criterion.ts";
import { type RaceScope, raceScopes } from "../../lib/select/race/race_state.ts";
import type { BenchSettings } from "../bench/options.ts";
import { bareCommand } from "../cli.ts";
import {
  caseOptions,
  decimal,
  epsilonOption,
  isStated,
  maxTokensOption,
  option,
  pathValue,
  prefixOption,
  type Shared,
  shared,
  statedSettings,
  temperatureOption,
  timeoutOption,
  weightsOption,
  wholeNumber,
} from "../options.ts";
import { constraintOptions, type ConstraintSettings } from "../select/constraint_options.ts";

export interface RaceSettings extends ConstraintSettings, Shared<"open" | "json"> {
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
  readonly simulate?: boolean;
  readonly gaps: readonly number[];
  readonly noise: number;
  /** The terms that were given, not taken from the defaults: they change a replay. */
  readonly given: Partial<RaceTerms>;
}

const kinds = ["latency", "ttft", "throughput", "checks", "utility"] as const;

export const raceCommand = () =>
  bareCommand("race").addOptions([
    ...shared("models", "endpoint"),
    option("--by <figure>", "figure to race by; utility combines several by --weights", kinds, "latency"),
    scopeOption(),
    weightsOption(),
    option(
      "--delta <share>",
      "accepted probability of a wrong winner",
      decimal({ above: 0, max: 0.5 }),
      0.05,
    ),
    epsilonOption(0.1),
    option("--budget <n>", "maximum number of requests", wholeNumber(1, 1_000_000), 200),
    ...shared("prompt"),
    ...caseOptions(),
    maxTokensOption(PLAN_DEFAULTS.maxTokens),
    temperatureOption(0),
    option("--warmup <n>", "warm-up requests per candidate", wholeNumber(0, 1000), 1),
    prefixOption(),
    ...shared("seed"),
    timeoutOption(120),
    option(
      "--quality <run>",
      "apply the quality floor to the answers of this run instead of capturing answers first",
      pathValue,
    ),
    ...constraintOptions(),
    option(
      "--replay <run>",
      "repeat the race over recorded samples; other flags change its terms",
      pathValue,
    ),
    option("--simulate", "race simulated models, to see how many requests a verdict takes"),
    option("--gaps <list>", "simulated rivals, slower by these shares", gapList, [0.1, 0.3, 0.6]),
    option(
      "--noise <sd>",
      "simulated noise: standard deviation of a latency's logarithm",
      decimal({ min: 0, max: 2 }),
      0.1,
    ),
    ...shared("gpu", "registry", "store", "out", "open", "json"),
  ])
    .addHelpText(
      "after",
      `
Constraints come first and give a reason for each exclusion. With a quality floor, every model then answers the prompts
once and is scored. The remaining models race. Verdicts: winner, tie, undecided, left (the
others failed), only, none.
Exit codes: 0 done, whatever the verdict; 1 nothing could be measured; 2 wrong usage or input; 130 interrupted.`,
    );

/** Which cases the verdict speaks about. */
const scopeOption = () =>
  option(
    "--scope <cases>",
    "claim about cases like these (each counts once), or about these cases alone (drawn with replacement)",
    (text): RaceScope => {
      const scope = raceScopes.find((one) =>
        one === `cases ${text.replace("-", " ")}` || one === `${text} cases`
      );
      if (scope === undefined) throw new UserError(`--scope ${text}: give these or like-these`);
      return scope;
    },
  ).default("cases like these" satisfies RaceScope, "like-these");

function gapList(text: string): number[] {
  const parse = decimal({ min: 0, max: 100 });
  return text.split(",").map((part) => parse(part));
}

/** @throws {UserError} where options contradict each other */
export function raceSettings(command: Command): RaceSettings {
  const given = command.opts<
    Omit<RaceSettings, "bench" | "weights"> & BenchSettings & { weights?: string }
  >();
  if (isStated(command, "prompt") && command.getOptionValueSource("prompts") === "cli") {
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
      ...Object.fromEntries(Object.entries(terms).filter(([name]) => isStated(command, name))),
      ...(weights === null ? {} : { weights }),
    },
    bench: {
      ...given,
      stated: statedSettings(command),
      rounds: 1,
      concurrency: 1,
      stream: true,
    },
  };
}

function weightsOf(text: string): Record<string, number> {
  return Object.fromEntries(Object.entries<number>(parseWeights(text, utilityParts)));
}
