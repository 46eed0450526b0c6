/**
 * Plans that lead to one document instead of a run: how much load a device can take, how
 * far two candidates are apart.
 */
import { join } from "node:path";
import { measureCapacity } from "../bench/capacity.ts";
import { newRunId, replaceFile } from "../bench/folder.ts";
import { UserError } from "../errors.ts";
import { compareTexts } from "../quality/fidelity_session.ts";
import type { DocumentKind } from "./device.ts";
import { CAPACITY, capacityTerms, readingTerms } from "./document_terms.ts";
import { type CarriedOut, type PlanRun, sessionPlan } from "./session_plan.ts";

/**
 * Carries out a plan whose result is one document, into a folder of the device's own. A document that an
 * earlier process finished is reused.
 *
 * @throws {UserError} as `measureCapacity` and `compareTexts`, and where nothing was measured
 */
export async function runDocument(run: PlanRun, kind: DocumentKind): Promise<CarriedOut> {
  const { resume, onFolder } = run;
  if (resume !== null) return { folder: resume, status: "completed" };
  const made = kind === "capacity" ? await runCapacity(run) : await runFidelity(run);
  if (!run.resources.signal.aborted && made.ended === undefined) await onFolder(made.folder);
  return made;
}

async function runCapacity(run: PlanRun): Promise<CarriedOut> {
  const { plan, prompts, resources, out, now, random, onEvent, maxRequests } = run;
  const { perLevel, ...terms } = capacityTerms(plan);
  const spent = new AbortController();
  const warmup = plan.warmup ?? CAPACITY.warmup;
  let requests = warmup * plan.models.length;
  const { report, folder } = await measureCapacity(
    {
      names: plan.models,
      downloads: run.downloads ? "all" : "none",
      plan: { ...sessionPlan({ ...plan, warmup }, prompts), slo: plan.slo },
    },
    terms,
    { ...resources, signal: AbortSignal.any([resources.signal, spent.signal]) },
    {
      out,
      now,
      random,
      onLevel: (_candidate, _load, _level, records) => {
        requests += records.length;
        onEvent({ kind: "made", requests });
        if (requests + perLevel > maxRequests) spent.abort();
      },
    },
  );
  if (report.candidates.every(({ users, rate }) => users === null && rate === null)) {
    throw new UserError(report.candidates.map(({ id, problem }) => `${id}: ${problem}`).join("; "), 1);
  }
  const ended = spent.signal.aborted && report.candidates.some(({ problem }) => problem !== null) ||
      report.candidates.length < plan.models.length
    ? `the device allows ${maxRequests} requests`
    : undefined;
  return { folder, status: report.status, ended };
}

async function runFidelity(run: PlanRun): Promise<CarriedOut> {
  const { plan, resources, out, now, random, onEvent } = run;
  const [first = "", second = ""] = plan.models;
  const { blockTokens, mostTokens } = readingTerms(plan);
  const { ids, fidelity } = await compareTexts([first, second], {
    text: plan.job.text,
    blockTokens,
    mostTokens,
    downloads: run.downloads ? "all" : "none",
    onBlock: (done) => onEvent({ kind: "made", requests: 2 * done }),
  }, resources);
  const folder = join(out, `fidelity-${newRunId(now, random)}`);
  await Deno.mkdir(folder, { recursive: true });
  const report = {
    schema_version: 1,
    created_at: now.toISOString(),
    candidates: ids,
    text: { file: plan.job.name, sha256: plan.job.sha256, ...fidelity },
    job: null,
  };
  await replaceFile(join(folder, "fidelity.json"), `${JSON.stringify(report, null, 2)}\n`);
  return { folder, status: "completed" };
}
