/** From settings to a race that can start: candidates, constraints, the quality gate, the run's folder. */
import { join } from "node:path";
import type { LiveCandidate } from "../../lib/bench/candidate.ts";
import type { Choice } from "../../lib/bench/choose.ts";
import { findRun } from "../../lib/bench/find_run.ts";
import { createRunFolder, replaceFile, type RunFolder } from "../../lib/bench/folder.ts";
import { orderThatFits } from "../../lib/bench/live.ts";
import type { Exclusion, PlanInfo, RaceTerms, RunInfo } from "../../lib/bench/records.ts";
import { withRoom } from "../../lib/bench/room.ts";
import { newRunInfo, promptSetInfo } from "../../lib/bench/run_info.ts";
import { describeMachine, type Machine } from "../../lib/catalog/machine.ts";
import { loadRegistry, type Registry } from "../../lib/catalog/registry.ts";
import { defaultStore, locate, openStore, type Store } from "../../lib/catalog/store.ts";
import { freeBytes } from "../../lib/catalog/files.ts";
import { socketTargets } from "../../lib/endpoint/loopback.ts";
import { type TimedClient, timedClient } from "../../lib/endpoint/timed_client.ts";
import { UserError } from "../../lib/errors.ts";
import { loadPromptSet, type PromptSet, singlePrompt } from "../../lib/prompts/prompts.ts";
import type { QualityReport } from "../../lib/quality/quality_schema.ts";
import { type Constraints, exclusionsOf, NO_CONSTRAINTS } from "../../lib/select/decide/constraints.ts";
import { factsOfChoice, readQuality } from "../../lib/select/decide/facts.ts";
import { needsScores } from "../../lib/select/race/criterion.ts";
import { assertChecks } from "../../lib/select/race/recorded_race.ts";
import { liveCandidates, planOf } from "../bench/prepare.ts";
import { chosen, servicesOf } from "../bench/sources.ts";
import { realClock } from "../cli.ts";
import { promptsFile } from "../quality/run_folder.ts";
import { constraintsOf } from "../select/constraint_options.ts";
import { qualityGate } from "./gate.ts";
import type { RaceSettings } from "./options.ts";

export interface PreparedRace {
  readonly info: RunInfo;
  readonly folder: RunFolder;
  readonly candidates: readonly LiveCandidate[];
  readonly prompts: PromptSet;
  readonly transport: TimedClient;
  /** The run of the quality gate, or of --quality. */
  readonly qualityFolder: string | null;
}

/** @throws {UserError} for everything the user can mend */
export async function prepareRace(settings: RaceSettings): Promise<PreparedRace> {
  const { bench } = settings;
  const { text, set } = await promptsOf(settings);
  assertChecks(set, settings);
  const registry = await loadRegistry(bench.registry);
  const transport = timedClient({ clock: realClock, fetch, accepts: socketTargets(Deno.env) });
  const machine = await describeMachine();
  const store = await openStore(bench.store ?? defaultStore(Deno.env, Deno.build.os));
  const services = await servicesOf(bench, null);
  const { choices: named, why } = await chosen(
    bench,
    { registry, services, engine: { gpu: bench.gpu } },
    store,
  );
  const choices = withRoom(named, set.prompts, bench.maxTokens);
  const wanted = constraintsOf(settings);
  const before = await exclude(choices, withoutEvidence(wanted), { machine, store, registry, quality: null });
  const passed = choices.filter(({ info }) => !before.some(({ id }) => id === info.id));
  const gate = await gateFor(settings, passed, wanted, set, text);
  const after = gate === null
    ? []
    : await exclude(passed, onlyQuality(wanted), { machine, store, registry, quality: gate.report });
  const racing = passed.filter(({ info }) => !after.some(({ id }) => id === info.id));
  const excluded = [...before, ...after];
  if (racing.length > 1 && orderThatFits(racing, machine) !== "interleaved") {
    throw new UserError(
      `${
        racing.map(({ info }) => info.id).join(", ")
      } don't fit in memory together, and a race asks them in ` +
        `turns (${machine.freeRamGb} GB are free): stop other programs, race fewer, or measure them one after the ` +
        "other with deno task bench",
      1,
    );
  }
  const terms: RaceTerms = {
    by: settings.by,
    weights: settings.weights,
    delta: settings.delta,
    epsilon: settings.epsilon,
    budget: settings.budget,
    excluded,
    quality_run: gate?.report.run_id ?? null,
  };
  const plan = racePlan(settings, terms, set, racing.length);
  const info = newRunInfo({
    plan,
    machine,
    candidates: choices.map((choice) => choice.info),
    now: new Date(),
    random: Math.random,
  });
  const folder = await createRunFolder(bench.out, info);
  try {
    await replaceFile(join(folder.path, promptsFile), text);
    await recordExcluded(folder, excluded);
    console.error(firstLine(racing, plan, why));
    const candidates = await liveCandidates(racing, plan, { store, machine, transport });
    return { info, folder, candidates, prompts: set, transport, qualityFolder: gate?.folder ?? null };
  } catch (error) {
    folder.close();
    throw error;
  }
}

async function promptsOf({ bench }: RaceSettings): Promise<{ text: string; set: PromptSet }> {
  if (bench.prompt !== undefined) {
    return {
      text: JSON.stringify([{ id: "prompt", prompt: bench.prompt }]),
      set: singlePrompt(bench.prompt),
    };
  }
  const set = await loadPromptSet(bench.prompts);
  return { text: await Deno.readTextFile(bench.prompts), set };
}

/** Before anything is measured nothing is known of quality and times. */
const withoutEvidence = (wanted: Constraints): Constraints => ({
  ...wanted,
  minPassRate: null,
  minScore: null,
  minRating: null,
});

const onlyQuality = ({ minPassRate, minScore, minRating }: Constraints): Constraints => ({
  ...NO_CONSTRAINTS,
  minPassRate,
  minScore,
  minRating,
});

interface Around {
  readonly machine: Machine;
  readonly store: Store;
  readonly registry: Registry;
  readonly quality: QualityReport | null;
}

async function exclude(
  choices: readonly Choice[],
  wanted: Constraints,
  around: Around,
): Promise<Exclusion[]> {
  const found: Exclusion[] = [];
  for (const choice of choices) {
    const freeDiskMb = await missingFrom(around.store, choice)
      ? await freeBytes(around.store.dir) / 1e6
      : null;
    found.push(...exclusionsOf(factsOfChoice(choice, { ...around, freeDiskMb }), wanted));
  }
  return found;
}

async function missingFrom(store: Store, choice: Choice): Promise<boolean> {
  return choice.kind === "embedded" && await locate(store, choice.entry, choice.variant) === null;
}

async function gateFor(
  { quality, bench }: RaceSettings,
  choices: readonly Choice[],
  { minPassRate, minScore, minRating }: Constraints,
  set: PromptSet,
  text: string,
): Promise<{ report: QualityReport; folder: string } | null> {
  if (quality !== undefined) {
    const folder = await findRun(quality, bench.out);
    const report = folder === null ? null : await readQuality(folder);
    if (folder !== null && report !== null) return { report, folder };
    throw new UserError(
      folder === null
        ? `--quality ${quality}: there is no such run: give its folder, or its name below ${bench.out}`
        : `--quality ${quality}: its answers were not scored: deno task quality check ${quality}`,
    );
  }
  if (choices.length === 0 || minPassRate === null && minScore === null && minRating === null) return null;
  if (minRating !== null) {
    throw new UserError(
      "--min-rating needs people: let them rate answers (quality capture, annotate, import), then give --quality RUN",
    );
  }
  return await qualityGate(choices, bench, set, text);
}

/** Scored answers carry no nonce. */
function racePlan(settings: RaceSettings, terms: RaceTerms, set: PromptSet, racing: number): PlanInfo {
  const scored = needsScores(terms);
  const perPass = Math.max(1, racing) * set.prompts.length;
  return {
    ...planOf(settings.bench, "interleaved"),
    mode: "race",
    race: terms,
    prompt_set: promptSetInfo(set),
    rounds: Math.max(1, Math.ceil(terms.budget / perPass)),
    ...(scored ? { prefix: "as is" as const, warmup: 0 } : {}),
  };
}

/** A row for everybody, also for those who never ran. */
async function recordExcluded(folder: RunFolder, excluded: readonly Exclusion[]): Promise<void> {
  for (const [candidate, reasons] of Map.groupBy(excluded, ({ id }) => id)) {
    const reason = `excluded: ${reasons.map(({ reason }) => reason).join("; ")}`;
    await folder.sample({ kind: "candidate", candidate, at_ms: 0, status: "skipped", reason });
  }
}

function firstLine(racing: readonly Choice[], plan: PlanInfo, why: string): string {
  for (const { id, reason, admit } of plan.race?.excluded ?? []) {
    console.error(`Excluded: ${id}: ${reason}. To admit it: ${admit}.`);
  }
  const ids = racing.map(({ info }) => info.id).join(", ");
  const { by, delta, budget } = plan.race ?? { by: "latency", delta: 0, budget: 0 };
  return racing.length < 2
    ? `Nothing to race: ${racing.length === 0 ? "nobody" : `only ${ids}`} passed the constraints.`
    : `Racing ${ids} (${why}) by ${by}: delta ${delta}, at most ${budget} requests, ${plan.prefix} prefix.`;
}
