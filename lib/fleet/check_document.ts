/** Checks whether a document from a device is plausible and belongs to its plan. Each reason is a sentence. */
import { join } from "node:path";
import { z } from "zod";
import { readSamples } from "../bench/read_run.ts";
import { machineInfo } from "../bench/records.ts";
import { boundedJson } from "../bounded_json.ts";
import { reasonOf, UserError } from "../errors.ts";
import { parsePromptSet } from "../prompts/prompts.ts";
import type { FleetPlan } from "./device.ts";
import { checkTime, Faults, type PlausibleTerms, RequestCheck } from "./plausible.ts";
import { readingTerms } from "./document_terms.ts";

const text = z.string().max(1000);
const count = z.number().int().nonnegative();
const share = z.number().min(0).max(1);
const amount = z.number().nonnegative();
const figure = z.object({ mean: amount.nullable(), p95: amount.nullable() });
const level = z.object({
  load: z.number().positive(),
  verdict: z.enum(["meets", "misses", "not shown"]),
  n: count,
  failed: count,
  met: count,
  share,
  low: share,
  high: share,
  due_per_s: amount,
  completed_per_s: amount,
  goodput_per_s: amount,
  saturated: z.boolean(),
  latency_s: figure,
  ttft_s: figure,
  tpot_s: figure,
  disturbed: text.nullable(),
});
const load = z.number().positive().nullable();
const curve = z.object({ best: load, next: load, knee: load, levels: z.array(level).max(200) });
const limit = z.number().positive().nullable();
const capacity = z.object({
  schema_version: z.literal(1),
  capacity_id: text,
  created_at: text,
  status: z.enum(["completed", "interrupted"]),
  machine: machineInfo,
  slo: z.object({ ttft_s: limit, e2e_s: limit }),
  within: share,
  confidence: z.literal(0.95),
  think_s: amount,
  prompt_set: z.object({ name: text, sha256: text }),
  max_tokens: count,
  prefix: z.enum(["cold", "warm", "as is"]),
  seed: count,
  candidates: z.array(
    z.object({ id: text, problem: text.nullable(), users: curve.nullable(), rate: curve.nullable() }),
  ).max(50),
}).strict();

const estimate = z.object({ value: z.number(), ci95: z.tuple([z.number(), z.number()]).nullable() });
const settings = z.object({
  threads: count,
  kv_cache: text,
  batch_tokens: count,
  flash_attention: z.enum(["on", "off", "auto"]),
});
const fidelity = z.object({
  schema_version: z.literal(1),
  created_at: text,
  candidates: z.tuple([text, text]),
  text: z.object({
    file: text,
    sha256: text,
    tokens: count,
    blocks: count,
    block_tokens: count,
    compared: count,
    kl_mean: estimate,
    kl_p99: estimate.nullable(),
    perplexity: z.tuple([estimate, estimate]),
    perplexity_ratio: estimate,
    same_top: estimate,
    furthest: z.array(z.object({ before: text, token: text, top: z.tuple([text, text]), kl: z.number() }))
      .max(100),
    settings: z.tuple([settings, settings]),
    seconds: amount,
  }).strict(),
  job: z.null(),
}).strict();

/**
 * Why the document in a folder can't be the result of its plan; empty where it can.
 *
 * ```ts ignore
 * const reasons = await documentProblems("fleet/class/devices/d-0123456789/capacity-RUN", plan, { now: new Date() });
 * ```
 */
export async function documentProblems(
  folder: string,
  plan: FleetPlan,
  terms: PlausibleTerms,
): Promise<string[]> {
  const faults = new Faults();
  try {
    const json = boundedJson(await Deno.readTextFile(join(folder, `${plan.kind}.json`)));
    if (plan.kind === "capacity") await checkCapacity(folder, capacity.parse(json), plan, terms, faults);
    else checkFidelity(fidelity.parse(json), plan, terms, faults);
  } catch (error) {
    if (error instanceof z.ZodError) faults.add(`${plan.kind}.json: ${reasonOf(z.prettifyError(error))}`);
    else if (error instanceof SyntaxError) faults.add(`${plan.kind}.json is not JSON`);
    else if (error instanceof UserError) {
      faults.add(reasonOf(error).replaceAll(folder, "").replace(/^[\\/]/, ""));
    } else throw error;
  }
  return faults.reasons;
}

async function checkCapacity(
  folder: string,
  { machine, candidates, prompt_set, created_at, max_tokens }: z.infer<typeof capacity>,
  plan: FleetPlan,
  terms: PlausibleTerms,
  faults: Faults,
): Promise<void> {
  checkTime(created_at, terms, faults);
  const set = parsePromptSet(JSON.parse(plan.job.text), plan.job.name);
  if (prompt_set.sha256 !== set.sha256) faults.add("job: it is about another job than the plan");
  if (candidates.length > plan.models.length) {
    faults.add(`counts: ${candidates.length} candidates of ${plan.models.length}`);
  }
  const checked = new RequestCheck({
    machine,
    plan: { rounds: Infinity, concurrency: Infinity, max_tokens, prompt_set: set },
    candidates: candidates.map(({ id }) => ({ id, size_mb: null, endpoint: "embedded" })),
  }, faults);
  const made = new Map<string, number>();
  for await (const record of readSamples(folder, () => faults.add("samples.jsonl ends inside a line"))) {
    if (record.kind !== "request") faults.add(`units: a ${record.kind} record among requests`);
    else {
      const key = `${record.candidate} ${record.id.split("/")[0]}`;
      made.set(key, (made.get(key) ?? 0) + 1);
      checked.record(record);
    }
    if (faults.isFull) return;
  }
  checked.end();
  checkLevels(candidates, made, faults);
}

/** No level may count more requests than were sent at it, by candidate, kind of load and load. */
function checkLevels(
  candidates: z.infer<typeof capacity>["candidates"],
  sentBy: ReadonlyMap<string, number>,
  faults: Faults,
): void {
  for (const { id, users, rate } of candidates) {
    for (const [kind, curve] of [["users", users], ["rate", rate]] as const) {
      for (const { load, n, met, failed } of curve?.levels ?? []) {
        const sent = sentBy.get(`${id} ${kind} ${load}`) ?? 0;
        if (n <= sent && met + failed <= n) continue;
        faults.add(`counts: ${id}, ${kind} ${load}: ${n} requests, ${met} met, ${failed} failed, of ${sent}`);
      }
    }
  }
}

function checkFidelity(
  { created_at, text }: z.infer<typeof fidelity>,
  plan: FleetPlan,
  terms: PlausibleTerms,
  faults: Faults,
): void {
  checkTime(created_at, terms, faults);
  const { blockTokens, mostTokens } = readingTerms(plan);
  const { blocks, block_tokens, compared, tokens } = text;
  if (text.sha256 !== plan.job.sha256) faults.add("job: it is about another text than the plan");
  if (block_tokens !== blockTokens || blocks * block_tokens > Math.min(tokens, mostTokens)) {
    faults.add(`counts: ${blocks} blocks of ${block_tokens} tokens, of a text with ${tokens}`);
  }
  if (compared > blocks * block_tokens) faults.add(`counts: ${compared} predictions in ${blocks} blocks`);
  const { kl_mean, same_top, perplexity } = text;
  if (kl_mean.value < -1e-6) faults.add(`units: a divergence of ${kl_mean.value}`);
  if (same_top.value < 0 || same_top.value > 1) faults.add(`units: the same token in ${same_top.value}`);
  if (perplexity.some(({ value }) => value < 1)) faults.add("units: a perplexity below 1");
}
