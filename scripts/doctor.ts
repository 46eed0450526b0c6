/**
 * Before measuring, a learner wants to know what is installed, what is missing, and what to type next. One
 * line for each row of the workshop's validation checklist, and a question to every target.
 *
 * deno task doctor                                     what is here; each model answers one question
 * deno task doctor --models qwen2.5-0.5b,phi-4-mini    these must answer
 * deno task doctor --endpoint lab=http://192.0.2.7:5273/v1
 *
 * Exit codes: 0 every target answers, 1 one does not (or there is none), 2 wrong usage, 130 interrupted.
 */
import { bareCommand, printJson, runTask } from "./cli.ts";
import { option, type Shared, shared, timeoutOption } from "./options.ts";
import type { Check } from "./doctor/checks.ts";
import { fitTerminal } from "./terminal.ts";
import { type Shell, shellOf, SHELLS } from "./doctor/shell.ts";

interface Settings extends Shared<"models" | "endpoint" | "timeout" | "registry" | "store" | "json"> {
  readonly shell?: Shell;
}

const MARKS: Record<Check["status"], string> = {
  ok: "ok     ",
  note: "note   ",
  missing: "missing",
  failed: "FAILED ",
};

async function examine(settings: Settings): Promise<Check[]> {
  const checks = await import("./doctor/checks.ts");
  const probes = await import("./doctor/probes.ts");
  const { servicesAt, sessionResources } = await import("./session_resources.ts");
  const resources = await sessionResources(settings);
  const os = Deno.build.os;
  const checkResources = { ...resources, os, shell: settings.shell ?? shellOf(Deno.env, os) };
  const [cli, services] = await Promise.all([
    checks.findCli(checkResources),
    servicesAt(settings.endpoint),
  ]);
  const targets = settings.models ?? await probes.targetsHere(services, checkResources);
  const show = (rows: readonly Check[]) => settings.json === true ? rows : printRows(rows);
  const first = show([
    ...await checks.prerequisites(checkResources, cli),
    ...checks.serviceChecks(services, cli, checkResources),
    ...await checks.cacheChecks(services, cli, checkResources),
    checks.workshopTargets(services, cli, checkResources),
  ]);
  const onProbe = (id: string) => Deno.stderr.isTerminal() && console.error(`        probing ${id} …`);
  const timeoutS = settings.timeout;
  const asked = show(await probes.probeChecks(targets, { resources, services, timeoutS, cli, onProbe }));
  return [...first, ...asked];
}

function printRows(rows: readonly Check[]): readonly Check[] {
  for (const { status, row, found, next } of rows) {
    // Lines after the first begin below the row's name.
    const text = fitTerminal(`        ${row}: ${found}`, Deno.stdout).trimStart();
    console.log(`${MARKS[status]} ${text}`);
    if (next !== null) console.log(`        → ${next}`);
  }
  return rows;
}

const command = bareCommand("doctor").addOptions([
  ...shared("models", "endpoint"),
  timeoutOption(60),
  option("--shell <name>", "shell whose commands to show (default: this machine's)", SHELLS),
  ...shared("registry", "store", "json"),
]);

await runTask(command, async (settings: Settings) => {
  const checks = await examine(settings);
  const failed = checks.filter(({ status }) => status === "failed");
  if (settings.json) printJson({ ok: failed.length === 0, checks });
  else {
    console.log(
      failed.length === 0
        ? "Every model answers. Next: deno task bench"
        : `${failed.length} of ${checks.length} rows failed.`,
    );
  }
  return failed.length === 0 ? 0 : 1;
});
