/** deno task route show and try: what a plan does, without a server. */
import { UserError } from "../../lib/errors.ts";
import { readTextFile } from "../../lib/text_file.ts";
import { makeRouter, type RoutedModel } from "../../lib/select/route/router.ts";
import { parseRoutingPlan, type RoutingPlan } from "../../lib/select/route/router_plan.ts";
import { ANY } from "../../lib/select/route/intent.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { option, type Shared, shared } from "../options.ts";
import { say, table } from "../terminal.ts";

export const showPlan = subcommand(
  bareCommand("route show", "Show what a plan does, and why")
    .usage("<file> [options]")
    .argument("[file]", "plan written by route audit")
    .addOptions(shared("json")),
  async (path: string | undefined, { json }: Shared<"json">) => {
    const plan = await planOf(path);
    if (json) {
      printJson(plan);
      return 0;
    }
    say(`auto: ${plan.mode}${plan.mode === "constant" ? ` (${plan.constant})` : ""}. ${plan.why}.`);
    const { arms } = makeRouter(plan, modelsOf(plan), null, seededRandom(1)).view().intents[ANY] ??
      { arms: {} };
    const rows = Object.entries(arms).map(([id, { mean, ci95 }]) => {
      const { successes, failures } = plan.priors[ANY]?.[id] ?? { successes: 0, failures: 0 };
      const requests = Math.round(10 * (successes + failures)) / 10;
      return [id, mean.toFixed(3), ci95.map((end) => end.toFixed(3)).join(" to "), `${requests} requests`];
    });
    console.log(table(["model", "prior mean", "95 %", "worth"], rows));
    for (const { id, reason } of plan.excluded) say(`never taken: ${id} (${reason})`);
    return 0;
  },
);

interface TryOptions extends Shared<"seed" | "json"> {
  readonly intent?: string;
}

export const tryPlan = subcommand(
  bareCommand("route try", "Show which intent and model a text gets from a new plan")
    .usage("<file> <text> [options]")
    .argument("[file]", "plan written by route audit")
    .argument("[text]", "a request's text")
    .addOptions([option("--intent <name>", "intent stated by the sender"), ...shared("seed", "json")]),
  async (path: string | undefined, text: string | undefined, { intent, seed, json }: TryOptions) => {
    const plan = await planOf(path);
    if (text === undefined) {
      throw new UserError('give a text: deno task route try FILE "Refactor this function"');
    }
    const router = makeRouter(plan, modelsOf(plan), null, seededRandom(`route try ${seed}`));
    const choice = router.choose(
      { text, intentHint: intent ?? null, capability: null, conversation: null },
      () => true,
    );
    if (choice === null) throw new UserError("the plan excludes every model that it names", 1);
    if (json) printJson(choice);
    else console.log(`${choice.order.join(", then ")}\n${choice.reason}`);
    return 0;
  },
);

async function planOf(path: string | undefined): Promise<RoutingPlan> {
  if (path === undefined) {
    throw new UserError("give a plan: deno task route audit RUN --write routing.json makes one");
  }
  return parseRoutingPlan(await readTextFile(path, "the plan"), path);
}

/** The models that the plan itself names; what they can do is not in it. */
function modelsOf(plan: RoutingPlan): [RoutedModel, ...RoutedModel[]] {
  const named = new Set(Object.values(plan.priors).flatMap((priors) => Object.keys(priors)));
  if (plan.constant !== null) named.add(plan.constant);
  const [first, ...rest] = [...named].map((id): RoutedModel => ({ id, capabilities: [] }));
  if (first === undefined) throw new UserError("the plan names no model: it depends on what is served");
  return [first, ...rest];
}
