/**
 * No other tool answers "how many colleagues can share it?". This finds the largest number of users, and the
 * highest rate, at which a model keeps the limits, with 95 % confidence.
 *
 * deno task capacity --slo ttft=2s,e2e=10s                        the defaults of bench, users and rate
 * deno task capacity --slo e2e=5s --models smollm2-135m --think 3
 * deno task capacity --slo ttft=1s --endpoint lab=http://192.0.2.7:5273/v1 --search users
 */
import { join } from "node:path";
import { Option } from "commander";
import { PLAN_DEFAULTS } from "../lib/bench/plan.ts";
import { UserError } from "../lib/errors.ts";
import { parseSlo, type Slo } from "./bench/options.ts";
import {
  bareCommand,
  type CaseSettings,
  casesOf,
  decimal,
  endpointOption,
  gpuOption,
  jsonOption,
  maxTokensOption,
  modelsOption,
  openOption,
  outOption,
  printJson,
  registryOption,
  runCli,
  sayNext,
  seedOption,
  showPage,
  storeOption,
  timeoutOption,
  wholeNumber,
  withCases,
} from "./cli.ts";

interface CapacitySettings extends CaseSettings {
  readonly slo: Slo | undefined;
  readonly within: number;
  readonly think: number;
  readonly search: "users" | "rate" | "both";
  readonly maxUsers: number;
  readonly requests: number;
  readonly models: readonly string[] | undefined;
  readonly endpoint: readonly string[] | undefined;
  readonly warmup: number;
  readonly maxTokens: number;
  readonly timeout: number;
  readonly gpu: "auto" | "off" | "vulkan" | "cuda" | "metal" | undefined;
  readonly registry: string;
  readonly store: string | undefined;
  readonly out: string;
  readonly json: boolean;
}

function capacityCommand() {
  const command = bareCommand("capacity")
    .addOption(
      new Option("--slo <limits>", "limits of a request, e.g. ttft=2s,e2e=10s (required)").argParser(
        parseSlo,
      ),
    )
    .addOption(
      new Option("--within <share>", "share of the requests that must meet the limits").default(0.95)
        .argParser(decimal({ above: 0, max: 0.99 })),
    )
    .addOption(
      new Option("--think <seconds>", "mean time that a user thinks between an answer and the next request")
        .default(5).argParser(decimal({ min: 0, max: 3600 })),
    )
    .addOption(
      new Option("--search <what>", "what to search for").choices(["users", "rate", "both"]).default("both"),
    )
    .addOption(
      new Option("--max-users <n>", "largest number of users to try").default(256).argParser(
        wholeNumber(1, 4096),
      ),
    )
    .addOption(
      new Option("--requests <n>", "largest number of requests per level, where fewer don't decide").default(
        800,
      )
        .argParser(wholeNumber(1)),
    )
    .addOption(modelsOption())
    .addOption(endpointOption())
    .addOption(
      new Option("--warmup <n>", "warm-up requests per candidate").default(3).argParser(wholeNumber(0, 1000)),
    );
  return withCases(command)
    .addOption(maxTokensOption(PLAN_DEFAULTS.maxTokens))
    .addOption(seedOption())
    .addOption(timeoutOption(PLAN_DEFAULTS.timeoutS))
    .addOption(gpuOption())
    .addOption(registryOption())
    .addOption(storeOption())
    .addOption(outOption())
    .addOption(openOption())
    .addOption(jsonOption().default(false));
}

await runCli(async () => {
  const command = capacityCommand();
  await command.parseAsync(Deno.args, { from: "user" });
  const settings = command.opts<CapacitySettings>();
  if (settings.slo === undefined) {
    throw new UserError(
      "--slo is missing: give the limits that a request must meet, e.g. --slo ttft=2s,e2e=10s",
    );
  }
  const { measureCapacity } = await import("../lib/bench/capacity.ts");
  const { terminalCapacity, writeCapacityReports } = await import("../lib/report/capacity.ts");
  const { engineOf, sessionResources } = await import("./session_resources.ts");
  const { models, endpoint, within, think, search, maxUsers, requests, seed, warmup, maxTokens, timeout } =
    settings;
  const { report, folder } = await measureCapacity(
    {
      names: models ?? null,
      endpoints: endpoint,
      engine: engineOf(settings),
      plan: {
        prompts: await casesOf(settings),
        seed,
        warmup,
        maxTokens,
        timeoutS: timeout,
        slo: settings.slo,
      },
    },
    { limits: { ...settings.slo, within, mostRequests: requests }, thinkS: think, search, maxUsers },
    await sessionResources(settings),
    {
      out: settings.out,
      now: new Date(),
      random: Math.random,
      onLevel: (candidate, load, level) => {
        const at = load.kind === "users"
          ? `${load.users} ${load.users === 1 ? "user" : "users"}`
          : `${load.perS.toFixed(3)} requests/s`;
        console.error(
          `${candidate}: ${at}: ${level.verdict} (${level.met} of ${level.n} within the limits)` +
            (level.saturated ? ", saturated" : ""),
        );
      },
    },
  );
  await writeCapacityReports(folder, report);
  if (settings.json) printJson(report);
  else {
    console.log(terminalCapacity(report, Deno.stdout.isTerminal() ? Deno.consoleSize().columns : 110));
    console.log();
    await showPage("Report", join(folder, "capacity.html"), command.opts<{ open?: boolean }>().open);
    sayNext("deno task serve NAME serves the model that you chose");
  }
  if (report.status === "interrupted") return 130;
  return report.candidates.some(({ users, rate }) => users !== null || rate !== null) ? 0 : 1;
});
