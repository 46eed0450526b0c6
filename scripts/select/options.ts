/** The flags of `select`. */
import { type Command, Option } from "commander";
import { parseWeights } from "../../lib/select/race/criterion.ts";
import { decisionParts, type DecisionWeights, DEFAULT_WEIGHTS } from "../../lib/select/decide/ranking.ts";
import {
  bareCommand,
  decimal,
  epsilonOption,
  jsonOption,
  maxDropOption,
  openOption,
  outOption,
  pathValue,
  registryOption,
  seedOption,
  weightsOption,
} from "../cli.ts";
import { type ConstraintSettings, withConstraints } from "./constraint_options.ts";

export interface SelectSettings extends ConstraintSettings {
  readonly runs: readonly string[];
  readonly policy: "evidence" | "course";
  readonly task: string;
  readonly quality: string | undefined;
  readonly weights: DecisionWeights;
  readonly delta: number;
  readonly epsilon: number;
  readonly maxDrop: number;
  readonly watts: number | undefined;
  readonly price: number | undefined;
  readonly seed: number;
  readonly registry: string;
  readonly out: string;
  readonly json: boolean;
}

export function selectCommand(): Command {
  const command = bareCommand("select")
    .usage("[runs...] [options]")
    .argument("[runs...]", "folders of runs, or their names below --out (default: the latest run)")
    .addOption(
      new Option(
        "--policy <name>",
        "evidence, or the course's rule: the first model for the task whose RAM fits",
      )
        .choices(["evidence", "course"]).default("evidence"),
    )
    .option("--task <task>", "task, for the course's rule", "chat")
    .addOption(
      new Option("--quality <run>", "run with scored answers, if the answers of these runs were not scored")
        .argParser(
          pathValue,
        ),
    )
    .addOption(weightsOption("checks=1,latency=0.1,memory=0.05"))
    .addOption(
      new Option("--delta <share>", "accepted probability of a winner among identical candidates").default(
        0.05,
      )
        .argParser(decimal({ above: 0, max: 0.5 })),
    )
    .addOption(epsilonOption(0.05))
    .addOption(maxDropOption());
  return withConstraints(command)
    .addOption(
      new Option("--watts <w>", "power of the machine under load, for an estimate if no counter was read")
        .argParser(
          decimal({ above: 0, max: 100_000 }),
        ),
    )
    .addOption(
      new Option("--price <per kWh>", "price of a kilowatt-hour, for a cost per 1,000 requests").argParser(
        decimal({ min: 0, max: 1000 }),
      ),
    )
    .addOption(seedOption())
    .addOption(registryOption())
    .addOption(outOption())
    .addOption(openOption())
    .addOption(jsonOption().default(false))
    .addHelpText(
      "after",
      `
Writes decision.html, decision.md, decision.json and pareto.svg into the first run's folder. Runs of different machines are refused.
Exit codes: 0 done, whatever the verdict; 2 wrong usage or input.`,
    );
}

/** @throws {UserError} for weights that can't be read */
export function selectSettings(command: Command): SelectSettings {
  const given = command.opts<Omit<SelectSettings, "weights" | "runs"> & { weights?: string }>();
  return {
    ...given,
    runs: command.args,
    weights: given.weights === undefined ? DEFAULT_WEIGHTS : parseWeights(given.weights, decisionParts),
  };
}
