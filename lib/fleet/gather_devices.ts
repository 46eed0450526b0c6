/** Gathers from the run folders of many devices what a fleet's decision needs. */
import { basename, join } from "node:path";
import { loadPromptSet } from "../prompts/prompts.ts";
import { writeQuality } from "../quality/quality.ts";
import { readRecordedAnswers, type RecordedAnswers } from "../quality/recorded_answers.ts";
import { gatherEvidence } from "../select/decide/evidence.ts";
import type { DeviceRun } from "./fleet_folder.ts";
import type { DeviceEvidence } from "./fleet_quality.ts";

/**
 * Summarizes each device's run and scores its answers by the job that came with it. Only complete runs count.
 *
 * @returns the evidence, and the runs without evidence, with the reason
 *
 * ```ts ignore
 * const { runs } = await readFleet("fleet/class");
 * const { evidence } = await gatherDevices(runs);
 * ```
 */
export async function gatherDevices(
  runs: readonly DeviceRun[],
): Promise<
  { readonly evidence: DeviceEvidence[]; readonly unused: { readonly run: string; readonly why: string }[] }
> {
  const evidence: DeviceEvidence[] = [];
  const unused: { run: string; why: string }[] = [];
  for (const run of runs) {
    if (run.status === "complete") evidence.push(await deviceEvidence(run));
    else {
      const why = run.status === "arriving" ? "it has not arrived whole" : run.reasons.join("; ");
      unused.push({ run: `${run.device.name ?? run.device.id}/${basename(run.folder)}`, why });
    }
  }
  return { evidence, unused };
}

async function deviceEvidence({ device, folder }: DeviceRun): Promise<DeviceEvidence> {
  const recorded = await readRecordedAnswers(folder);
  const scored = await score(folder, recorded);
  const { candidates, baseline, summaries: [summary] } = await gatherEvidence([folder], null);
  if (summary === undefined) throw new Error(`no summary of ${folder}`);
  const { requests, answers } = recorded;
  const texts = new Map<string, string[]>();
  for (const { id, candidate, prompt_id, round } of requests) {
    const text = `${prompt_id}/${round}: ${answers.get(id)?.content ?? ""}`;
    texts.set(candidate, [...texts.get(candidate) ?? [], text]);
  }
  return {
    device,
    summary,
    scores: scored ? new Map(candidates.map(({ id, qualityByPrompt }) => [id, qualityByPrompt])) : new Map(),
    baseline: baseline.byPrompt,
    answers: new Map([...texts].map(([id, lines]) => [id, lines.sort().join("\n")])),
  };
}

/** Whether its answers can be scored by the checks of the job next to them. */
async function score(folder: string, recorded: RecordedAnswers): Promise<boolean> {
  const path = join(folder, "prompts.json");
  if (!await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return false;
  const set = await loadPromptSet(path);
  if (!set.prompts.some(({ checks }) => checks.length > 0)) return false;
  await writeQuality(folder, set, { recorded });
  return true;
}
