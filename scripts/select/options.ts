/** The flags of `select`. */
import { type Command } from "commander";
import { parseWeights } from "../../lib/select/race/criterion.ts";
import { decisionParts, type DecisionWeights, DEFAULT_WEIGHTS } from "../../lib/select/decide/ranking.ts";
import { bareCommand } from "../cli.ts";
import { decimal, epsilonOption, option, pathValue, type Shared, shared, weightsOption } from "../options.ts";
import { constraintOptions, type ConstraintSettings } from "./constraint_options.ts";

export interface SelectSettings
  extends ConstraintSettings, Shared<"epsilon" | "maxDrop" | "seed" | "registry" | "out" | "open" | "json"> {
  readonly runs: readonly string[];
  readonly policy: "evidence" | "course";
  readonly task: string;
  readonly quality?: string | undefined;
  readonly weights: DecisionWeights;
  readonly delta: number;
  readonly watts?: number | undefined;
  readonly price?: number | undefined;
}

export const selectCommand = () =>
  bareCommand("select")
    .usage("[runs...] [options]")
    .argument("[runs...]", "folders of runs, or their names below --out (default: the latest run)")
    .addOptions([
      option(
        "--policy <name>",
        "evidence, or the course's rule: the first model for the task whose RAM fits",
        ["evidence", "course"],
        "evidence",
      ),
      option("--task <task>", "task, for the course's rule").default("chat"),
      option(
        "--quality <run>",
        "run with scored answers, if the answers of these runs were not scored",
        pathValue,
      ),
      weightsOption("checks=1,latency=0.1,memory=0.05"),
      option(
        "--delta <share>",
        "accepted probability of a winner among identical candidates",
        decimal({ above: 0, max: 0.5 }),
        0.05,
      ),
      epsilonOption(0.05),
      ...shared("maxDrop"),
      ...constraintOptions(),
      option(
        "--watts <w>",
        "power of the machine under load, for an estimate if no counter was read",
        decimal({ above: 0, max: 100_000 }),
      ),
      option(
        "--price <per kWh>",
        "price of a kilowatt-hour, for a cost per 1,000 requests",
        decimal({ min: 0, max: 1000 }),
      ),
      ...shared("seed", "registry", "out", "open", "json"),
    ])
    .addHelpText(
      "after",
      `
Writes decision.html, decision.md, decision.json and pareto.svg into the first run's folder. Runs of different machines are refused.
Exit codes: 0 done, whatever the verdict; 2 wrong usage or input.`,
    );

/** @throws {UserError} for weights that can't be read */
export function selectSettings(command: Command): SelectSettings {
  const given = command.opts<Omit<SelectSettings, "weights" | "runs"> & { weights?: string }>();
  return {
    ...given,
    runs: command.args,
    weights: given.weights === undefined ? DEFAULT_WEIGHTS : parseWeights(given.weights, decisionParts),
  };
}
