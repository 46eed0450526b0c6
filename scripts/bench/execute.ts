/** Runs a session, shows how far it is, and writes the reports. */
import { dirname, join } from "node:path";
import { replaceFile } from "../../lib/bench/folder.ts";
import { requireRun } from "../../lib/bench/find_run.ts";
import { runSession, type SessionPlan } from "../../lib/bench/session.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import { type PromptSet, promptSetJson, singlePrompt } from "../../lib/prompts/prompts.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import type { QualityReport } from "../../lib/quality/quality_schema.ts";
import { terminalSummary } from "../../lib/report/terminal_summary.ts";
import { reportRun } from "../../lib/report/write.ts";
import { lastSelfcheck, saveSelfcheck } from "../../lib/selfcheck/selfcheck.ts";
import { runNamed, sayNext, showPage } from "../cli.ts";
import { casesOf } from "../options.ts";
import { promptsFile } from "../quality/run_folder.ts";
import { engineOf, sessionResources } from "../session_resources.ts";
import type { BenchSettings } from "./options.ts";
import { shownProgress } from "../progress.ts";
import { stdoutStyle } from "../terminal.ts";

export interface Executed {
  readonly summary: Summary;
  /** Scores, where lengths were measured with a job that has checks. */
  readonly quality: QualityReport | null;
  readonly folder: string;
  /** Whether any case has checks. */
  readonly checked: boolean;
  readonly interrupted: boolean;
}

/**
 * Runs a session. The cases stay with the run, so that its answers can be scored later.
 *
 * @param given instead of the prompt set that the flags name
 * @throws {UserError} as `runSession`
 */
export async function execute(
  settings: BenchSettings,
  given?: PromptSet,
): Promise<Executed> {
  const prompts = given ?? await promptsOf(settings);
  const resources = await sessionResources(settings);
  const keepPrompts = (path: string) => replaceFile(join(path, promptsFile), promptSetJson(prompts));
  const progress = shownProgress();
  const { folder, status } = await runSession(
    {
      names: settings.models ?? null,
      endpoints: settings.endpoint,
      engine: engineOf(settings),
      plan: planOf(settings, prompts),
      resume: settings.resume === undefined
        ? undefined
        : await requireRun(settings.resume, settings.out, "--resume"),
    },
    resources,
    {
      out: settings.out,
      now: new Date(),
      random: Math.random,
      onEvent: progress.event,
      ...(settings.resume === undefined ? { onFolder: keepPrompts } : {}),
    },
  ).finally(() => progress.stop());
  const interrupted = status === "interrupted";
  if (interrupted) {
    const task = given === undefined ? "bench" : "quality capture";
    const run = settings.out === "reports" ? folder.replace(/^reports[\\/]/, "") : folder;
    console.error(
      `Interrupted; everything up to here is kept. Continue with: deno task ${task} --resume ${run}`,
    );
  }
  const check = await lastSelfcheck(dirname(resources.store.dir));
  // The run keeps this machine's last self-check, so that its report can be made again on any machine.
  if (check !== null) await saveSelfcheck(folder, check);
  // By length, the share of right answers is shown with the times.
  if (settings.promptTokens !== undefined && prompts.prompts.some(({ checks }) => checks.length > 0)) {
    await writeQuality(folder, prompts);
  }
  const { summary, quality } = await reportRun(folder);
  const checked = prompts.prompts.some(({ checks }) => checks.length > 0);
  return { summary, quality, folder, checked, interrupted };
}

/** The prompt set that the flags name. */
export async function promptsOf(settings: BenchSettings): Promise<PromptSet> {
  const { prompt } = settings;
  return prompt === undefined ? await casesOf(settings) : singlePrompt(prompt);
}

/** The session's plan, from the flags. */
export function planOf(
  { rounds, warmup, maxTokens, temperature, seed, samplingSeed, prefix, concurrency, ...rest }: BenchSettings,
  prompts: PromptSet,
): SessionPlan {
  const { rate, timeout: timeoutS, slo, stream, fixedOutput } = rest;
  return {
    prompts,
    promptTokens: rest.promptTokens,
    stated: rest.stated ?? [],
    forS: rest.for,
    ...(rounds === undefined ? {} : { rounds }),
    warmup,
    maxTokens,
    temperature,
    seed,
    samplingSeed,
    prefix,
    concurrency,
    rate,
    timeoutS,
    slo,
    stream,
    fixedOutput: fixedOutput ?? false,
  };
}

/** Prints the table, and where the other files are. */
export async function show(
  { summary, quality, folder, checked, interrupted }: Executed,
  open: boolean | undefined,
): Promise<void> {
  console.log(terminalSummary(summary, { ...stdoutStyle(110), quality }));
  console.log();
  await showPage("Report", join(folder, "report.html"), open);
  if (interrupted) return sayNext(`deno task bench --resume ${folder} measures the rest`);
  const run = await runNamed(folder);
  sayNext(
    ...(open ? [] : [`deno task report${run} --open shows the page`]),
    ...(quality !== null
      ? [`deno task select${run} decides`]
      : checked
      ? [`deno task quality check${run} scores the answers`, `deno task select${run} decides`]
      : ["deno task quality new makes a job of your own cases"]),
  );
}
