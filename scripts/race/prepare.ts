/** From settings to a race that can start: candidates, constraints, the quality gate. */
import { prefixText } from "../../lib/bench/records.ts";
import { requireRun } from "../../lib/bench/find_run.ts";
import type { NamedCandidate } from "../../lib/bench/named_candidate.ts";
import type { Exclusion, RaceTerms } from "../../lib/bench/records.ts";
import {
  chooseCandidates,
  openableCandidates,
  type SessionCandidates,
  type SessionPlan,
  type SessionResources,
} from "../../lib/bench/session.ts";
import { orderThatFits } from "../../lib/bench/live_candidate.ts";
import type { Machine } from "../../lib/catalog/machine.ts";
import { locate, type Store } from "../../lib/catalog/store.ts";
import { freeBytes } from "../../lib/catalog/files.ts";
import { UserError } from "../../lib/errors.ts";
import { type PromptSet, promptSetJson } from "../../lib/prompts/prompts.ts";
import type { QualityReport } from "../../lib/quality/quality_schema.ts";
import { type Constraints, exclusionsOf, NO_CONSTRAINTS } from "../../lib/select/decide/constraints.ts";
import { factsOfCandidate, readQuality } from "../../lib/select/decide/facts.ts";
import { racePlan } from "../../lib/select/decide/race_and_decide.ts";
import { assertChecks } from "../../lib/select/race/recorded_race.ts";
import { planOf, promptsOf } from "../bench/execute.ts";
import { constraintsOf } from "../select/constraint_options.ts";
import { engineOf } from "../session_resources.ts";
import { note } from "../terminal.ts";
import { qualityGate } from "./gate.ts";
import type { RaceSettings } from "./options.ts";

export interface PreparedRace {
  readonly found: SessionCandidates;
  /** All named candidates, including those that a constraint excluded. */
  readonly entered: readonly NamedCandidate[];
  readonly terms: RaceTerms;
  readonly plan: SessionPlan;
  /** The prompt set's text, to keep with the run. */
  readonly text: string;
  /** The run of the quality gate, or of --quality. */
  readonly qualityFolder: string | null;
}

/** @throws {UserError} for everything the user can fix */
export async function prepareRace(
  settings: RaceSettings,
  resources: SessionResources,
): Promise<PreparedRace> {
  const { bench } = settings;
  const set = await promptsOf(bench);
  const text = promptSetJson(set);
  assertChecks(set, settings);
  const plan = planOf(bench, set);
  const chosen = await chooseCandidates({
    names: bench.models ?? null,
    endpoints: bench.endpoint,
    engine: engineOf(bench),
    plan,
  }, resources);
  const { named, machine } = chosen;
  try {
    const wanted = constraintsOf(settings);
    const known = { ...resources, machine };
    const before = await exclude(named, withoutEvidence(wanted), { ...known, quality: null });
    const passed = named.filter(({ info }) => !before.some(({ id }) => id === info.id));
    const gate = await gateFor(settings, passed, wanted, set);
    const after = gate === null
      ? []
      : await exclude(passed, onlyQuality(wanted), { ...known, quality: gate.report });
    const racing = passed.filter(({ info }) => !after.some(({ id }) => id === info.id));
    assertFitTogether(racing, machine);
    const terms: RaceTerms = {
      by: settings.by,
      scope: settings.scope,
      weights: settings.weights,
      delta: settings.delta,
      epsilon: settings.epsilon,
      budget: settings.budget,
      excluded: [...before, ...after],
      quality_run: gate?.report.run_id ?? null,
    };
    announce(racing, terms, prefixText(racePlan(plan, terms, racing.length).prefix), chosen.why);
    const found = await openableCandidates(chosen, resources, racing);
    return { found, entered: named, terms, plan, text, qualityFolder: gate?.folder ?? null };
  } catch (error) {
    chosen.client.close();
    throw error;
  }
}

/** Before anything is measured, quality and times are unknown. */
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

async function exclude(
  candidates: readonly NamedCandidate[],
  wanted: Constraints,
  known: Pick<SessionResources, "store" | "registry"> & {
    readonly machine: Machine;
    readonly quality: QualityReport | null;
  },
): Promise<Exclusion[]> {
  const found: Exclusion[] = [];
  for (const candidate of candidates) {
    const freeDiskMb = await isMissing(known.store, candidate)
      ? await freeBytes(known.store.dir) / 1e6
      : null;
    found.push(...exclusionsOf(factsOfCandidate(candidate, { ...known, freeDiskMb }), wanted));
  }
  return found;
}

async function isMissing(store: Store, candidate: NamedCandidate): Promise<boolean> {
  return candidate.kind === "embedded" && candidate.file === null &&
    await locate(store, candidate.model, candidate.variant) === null;
}

function assertFitTogether(racing: readonly NamedCandidate[], machine: Machine): void {
  if (racing.length < 2 || orderThatFits(racing, machine) === "interleaved") return;
  const ids = racing.map(({ info }) => info.id).join(", ");
  throw new UserError(
    `${ids} don't fit in memory together, and a race sends them requests in turns (${machine.freeRamGb} GB are free): ` +
      "stop other programs, race fewer, or measure them one after the other with deno task bench",
    1,
  );
}

async function gateFor(
  { quality, bench }: RaceSettings,
  candidates: readonly NamedCandidate[],
  { minPassRate, minScore, minRating }: Constraints,
  set: PromptSet,
): Promise<{ report: QualityReport; folder: string } | null> {
  if (quality !== undefined) {
    const folder = await requireRun(quality, bench.out, "--quality");
    const report = await readQuality(folder);
    if (report !== null) return { report, folder };
    throw new UserError(
      `--quality ${quality}: its answers were not scored: deno task quality check ${quality}`,
    );
  }
  if (candidates.length === 0 || minPassRate === null && minScore === null && minRating === null) return null;
  if (minRating !== null) {
    throw new UserError(
      "--min-rating needs people: let them rate answers (quality capture, annotate, import), then give --quality RUN",
    );
  }
  return await qualityGate(candidates, bench, set);
}

function announce(
  racing: readonly NamedCandidate[],
  { excluded, by, delta, budget }: RaceTerms,
  prefix: string,
  why: string,
): void {
  for (const { id, reason, admit } of excluded) {
    note(`Excluded: ${id}: ${reason}. To admit it: ${admit}.`);
  }
  // With fewer than two there is no race, as its verdict says.
  if (racing.length < 2) return;
  const ids = racing.map(({ info }) => info.id).join(", ");
  note(`Racing ${ids} (${why}) by ${by}: delta ${delta}, at most ${budget} requests, ${prefix}.`);
}
