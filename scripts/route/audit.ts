/** deno task route audit: rules per request against the one best model, on recorded answers. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { requireRun } from "../../lib/bench/find_run.ts";
import { replaceFile } from "../../lib/bench/folder.ts";
import { readTextFile } from "../../lib/text_file.ts";
import { type Audit, audit, LEAST_PROMPTS } from "../../lib/select/route/audit.ts";
import { scoredCases } from "../../lib/select/route/audit_data.ts";
import { planFromAudit } from "../../lib/select/route/audit_plan.ts";
import { type Decision, parseDecision } from "../../lib/select/decide/decision_schema.ts";
import { DEFAULT_INTENTS, parseIntents } from "../../lib/select/route/intent.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { decimal, option, pathValue, type Shared, shared, wholeNumber } from "../options.ts";
import { say, table } from "../terminal.ts";

interface Options extends Shared<"seed" | "out" | "json"> {
  readonly intents?: string;
  readonly decision?: string;
  readonly write?: string;
  readonly k: number;
  readonly folds: number;
  readonly repeats: number;
  readonly alpha: number;
  readonly strength: number;
  readonly discount?: number;
}

const command = bareCommand(
  "route audit",
  "Test whether a rule per request beats the one best model on your recorded answers",
)
  .usage("[runs...] [options]")
  .argument(
    "[runs...]",
    "runs with scored answers: folders, or names below --out (default: the latest run)",
  )
  .addOptions([
    option(
      "--intents <file>",
      "a JSON array of {name, patterns, needs} (default: the workshop's)",
      pathValue,
    ),
    option(
      "--decision <file>",
      "decision whose choice is the one best model (default: the first run's decision.json)",
      pathValue,
    ),
    option("--write <file>", "file to write the plan to, for deno task serve", pathValue),
    option("--k <n>", "number of neighbours", wholeNumber(1, 1000), 5),
    option("--folds <n>", "number of parts for cross-validation", wholeNumber(2, 1000), 10),
    option("--repeats <n>", "repeats of the cross-validation", wholeNumber(1, 1000), 5),
    option(
      "--alpha <p>",
      "accepted probability of switching on a rule that gains nothing",
      decimal({ above: 0, max: 0.5 }),
      0.05,
    ),
    option(
      "--strength <n>",
      "weight of the recorded figures as a prior, in requests",
      decimal({ min: 0, max: 1e6 }),
      10,
    ),
    option(
      "--discount <γ>",
      "discount of the evidence while serving, below 1 (default: none)",
      decimal({ above: 0, max: 0.999999 }),
    ),
    ...shared("seed", "out", "json"),
  ])
  .addHelpText(
    "after",
    `
A rule is switched on only if its gain over the best single model is more than chance (a permutation test that learns
every rule anew, over all rules together) and there are at least ${LEAST_PROMPTS} prompts. Gains are in check scores, or in ratings scaled to 0 to 1.
Exit codes: 0 done, whatever the finding; 1 too little to audit; 2 wrong usage or input.`,
  );

export const auditRuns = subcommand(command, async (names: string[], options: Options) => {
  const folders = await foldersOf(names, options.out);
  const decision = await decisionOf(options.decision, folders);
  const intents = options.intents === undefined
    ? [...DEFAULT_INTENTS]
    : parseIntents(await readTextFile(options.intents, "the intents"), options.intents);
  const { k, folds, repeats, alpha, seed, strength, discount = null } = options;
  const recorded = await scoredCases(folders, (decision?.excluded ?? []).map(({ id }) => id));
  const random = seededRandom(`route audit ${seed}`);
  const found = audit(recorded.outcomes, recorded.arms, { intents, k, folds, repeats, alpha, random });
  const plan = planFromAudit(found, recorded.outcomes, { intents, decision, strength, discount, k });
  if (options.write !== undefined) {
    await replaceFile(options.write, `${JSON.stringify(plan, null, 2)}\n`);
  }
  const { runs, source, left_out } = recorded;
  if (options.json) printJson({ runs, source, left_out, seed, ...found, plan });
  else {
    printAudit(found, { runs, source, left_out });
    console.log("");
    say(`auto: ${plan.mode}${plan.mode === "constant" ? ` (${plan.constant})` : ""}. ${plan.why}.`);
    const hint = "give --write routing.json to keep this plan";
    say(options.write === undefined ? `Nothing was written: ${hint}.` : `Written: ${options.write}`);
  }
  return 0;
});

async function foldersOf(names: readonly string[], out: string): Promise<string[]> {
  if (names.length === 0) return [await requireRun(undefined, out)];
  return await Promise.all(names.map((name) => requireRun(name, out)));
}

/** The decision that was named, else the one in the first run's folder, else none. */
async function decisionOf(given: string | undefined, [first]: readonly string[]): Promise<Decision | null> {
  const path = given ?? join(first ?? "", "decision.json");
  if (given === undefined && !existsSync(path)) return null;
  return parseDecision(await readTextFile(path, "the decision"), path);
}

function printAudit(
  found: Audit,
  { runs, source, left_out }: { runs: readonly string[]; source: string; left_out: number },
): void {
  const interval = (ci: readonly [number, number] | null) =>
    ci === null ? "–" : `${points(ci[0])} to ${points(ci[1])}`;
  const level = `${(100 * (found.rules[0]?.level ?? 0.95)).toFixed(1)} %`;
  const { best_single: best, rules, oracle, single } = found;
  const rows = [
    [`best single model (${best.arm})`, points(best.mean), interval(best.ci95), "", "", "", ""],
    ...rules.map(({ rule, mean, ci95, gain, gain_ci, p, on }) => [
      rule === "intent" ? "map by intent" : "nearest neighbours",
      points(mean),
      interval(ci95),
      points(gain),
      interval(gain_ci),
      p.toFixed(3),
      on ? "on" : "off",
    ]),
    ["oracle (profits from luck)", points(oracle.mean), interval(oracle.ci95), "", "", "", ""],
  ];
  const left = left_out > 0 ? `; ${left_out} prompts that a model did not answer are left out` : "";
  say(
    `Worth of the answers by ${source}, ${found.prompts} prompts, each tried with rules learned on others ` +
      `(${runs.join(", ")})${left}`,
  );
  console.log(table(["rule", "worth", "95 %", "gain", `its ${level}`, "p", "switched"], rows));
  say(
    `By itself: ${single.map(({ arm, mean }) => `${arm} ${mean.toFixed(3)}`).join(", ")}\n` +
      "Likeness of prompts: words and runs of three characters (TF-IDF, cosine); no embedding model.",
  );
}

const points = (value: number) => value.toFixed(3).replace("-", "−");
