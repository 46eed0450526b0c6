/**
 * Does it help to choose a model per request? This finds out on your own prompts and recorded answers, and
 * writes a plan for `auto`; without a gain beyond chance the plan is one model for everything.
 *
 * deno task route audit RUN                          on a run whose answers were scored (quality capture)
 * deno task route audit RUN --write routing.json     and write the plan for deno task serve
 * deno task route show routing.json
 * deno task route try routing.json "Refactor this function"
 */
import { runSubcommand } from "./cli.ts";

const help = `Usage: deno task route <audit|show|try> [options]

  audit [RUN...]  test whether a rule per request beats the one best model on held-out prompts
  show FILE       show what a plan (routing.json) does, and why
  try FILE TEXT   show which intent and model a text gets

deno task route <command> --help lists all options.`;

await runSubcommand("route", help, {
  audit: async (args) => await (await import("./route/audit.ts")).auditRuns(args),
  show: async (args) => await (await import("./route/plan.ts")).showPlan(args),
  try: async (args) => await (await import("./route/plan.ts")).tryPlan(args),
});
