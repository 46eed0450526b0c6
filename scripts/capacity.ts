/**
 * No other tool answers "how many colleagues can share it?". This finds the largest number of users, and the
 * highest rate, at which a model keeps the limits, with 95 % confidence.
 *
 * deno task capacity --slo ttft=2s,e2e=10s                        the defaults of bench, users and rate
 * deno task capacity --slo e2e=5s --models smollm2-135m --think 3
 * deno task capacity --slo ttft=1s --endpoint lab=http://192.0.2.7:5273/v1 --search users
 */
import { type Load, loadText } from "../lib/bench/load_level.ts";
import type { CapacityLevel } from "../lib/bench/search_capacity.ts";
import { join } from "node:path";
import { PLAN_DEFAULTS } from "../lib/bench/plan.ts";
import { UserError } from "../lib/errors.ts";
import { bareCommand, printJson, runTask, sayNext, showPage } from "./cli.ts";
import {
  caseOptions,
  type CaseSettings,
  casesOf,
  decimal,
  maxTokensOption,
  option,
  parseSlo,
  type Shared,
  shared,
  type Slo,
  timeoutOption,
  wholeNumber,
} from "./options.ts";

interface CapacitySettings extends
  CaseSettings,
  Shared<
    "models" | "endpoint" | "maxTokens" | "timeout" | "gpu" | "registry" | "store" | "out" | "open" | "json"
  > {
  readonly slo?: Slo;
  readonly within: number;
  readonly think: number;
  readonly search: "users" | "rate" | "both";
  readonly maxUsers: number;
  readonly requests: number;
  readonly warmup: number;
}

const command = bareCommand("capacity").addOptions([
  option("--slo <limits>", "limits of a request, e.g. ttft=2s,e2e=10s (required)", parseSlo),
  option(
    "--within <share>",
    "share of the requests that must meet the limits",
    decimal({ above: 0, max: 0.99 }),
    0.95,
  ),
  option(
    "--think <seconds>",
    "mean time that a user thinks between an answer and the next request",
    decimal({ min: 0, max: 3600 }),
    5,
  ),
  option("--search <what>", "what to search for", ["users", "rate", "both"], "both"),
  option("--max-users <n>", "largest number of users to try", wholeNumber(1, 4096), 256),
  option(
    "--requests <n>",
    "largest number of requests per level, where fewer don't decide",
    wholeNumber(1),
    800,
  ),
  ...shared("models", "endpoint"),
  option("--warmup <n>", "warm-up requests per candidate", wholeNumber(0, 1000), 3),
  ...caseOptions(),
  maxTokensOption(PLAN_DEFAULTS.maxTokens),
  ...shared("seed"),
  timeoutOption(PLAN_DEFAULTS.timeoutS),
  ...shared("gpu", "registry", "store", "out", "open", "json"),
]);

await runTask(command, async ({ slo, ...settings }: CapacitySettings) => {
  if (slo === undefined) {
    throw new UserError(
      "--slo is missing: give the limits that a request must meet, e.g. --slo ttft=2s,e2e=10s",
    );
  }
  const { measureCapacity } = await import("../lib/bench/capacity.ts");
  const { terminalCapacity, writeCapacityReports } = await import("../lib/report/capacity.ts");
  const { engineOf, sessionResources } = await import("./session_resources.ts");
  const { stdoutStyle } = await import("./terminal.ts");
  const { within, think, search, maxUsers, requests, seed, warmup, maxTokens, timeout } = settings;
  const { report, folder } = await measureCapacity(
    {
      names: settings.models ?? null,
      endpoints: settings.endpoint,
      engine: engineOf(settings),
      plan: { prompts: await casesOf(settings), seed, warmup, maxTokens, timeoutS: timeout, slo },
    },
    { limits: { ...slo, within, mostRequests: requests }, thinkS: think, search, maxUsers },
    await sessionResources(settings),
    { out: settings.out, now: new Date(), random: Math.random, onLevel: sayLevel },
  );
  await writeCapacityReports(folder, report);
  if (settings.json) printJson(report);
  else {
    console.log(terminalCapacity(report, stdoutStyle(110).columns));
    console.log();
    await showPage("Report", join(folder, "capacity.html"), settings.open);
    sayNext("deno task serve NAME serves the model that you chose");
  }
  if (report.status === "interrupted") return 130;
  return report.candidates.some(({ users, rate }) => users !== null || rate !== null) ? 0 : 1;
});

function sayLevel(candidate: string, load: Load, { verdict, met, n, saturated }: CapacityLevel): void {
  console.error(
    `${candidate}: ${loadText(load)}: ${verdict} (${met} of ${n} within the limits)${
      saturated ? ", saturated" : ""
    }`,
  );
}
