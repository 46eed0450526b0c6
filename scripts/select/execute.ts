/** Gathers the evidence, decides, and writes the decision to the run's folder. */
import { basename, join } from "node:path";
import { findRun, requireRun } from "../../lib/bench/find_run.ts";
import { replaceFile } from "../../lib/bench/folder.ts";
import { readRunInfo } from "../../lib/bench/read_run.ts";
import { describeMachine, firstViable, fits, type MachineDescription } from "../../lib/catalog/machine.ts";
import { tasksOf } from "../../lib/catalog/model.ts";
import { loadRegistry, type Registry } from "../../lib/catalog/registry.ts";
import { UserError } from "../../lib/errors.ts";
import { svgFile } from "../../lib/plot/figure.ts";
import { paretoPlot } from "../../lib/plot/pareto.ts";
import { evidencePlot } from "../../lib/plot/race.ts";
import { adapterAnswers } from "../../lib/select/decide/baseline.ts";
import { flagOf } from "../../lib/select/decide/constraints.ts";
import { decide, MAX_DROP } from "../../lib/select/decide/decision.ts";
import { decisionMarkdown } from "../../lib/select/decide/decision_markdown.ts";
import { type Decision, decisionSchema } from "../../lib/select/decide/decision_schema.ts";
import { gatherEvidence } from "../../lib/select/decide/evidence.ts";
import { DEFAULT_WEIGHTS } from "../../lib/select/decide/ranking.ts";
import { documentPage } from "../../lib/report/document_page.ts";
import { evidencePoints } from "../../lib/select/race/race_report.ts";
import { type RecordedRace, replayRecorded } from "../../lib/select/race/recorded_race.ts";
import { seededRandom } from "../../lib/stats/random.ts";
import { terminalText } from "../../lib/terminal_text.ts";
import { constraintsOf } from "./constraint_options.ts";
import type { SelectSettings } from "./options.ts";

export interface Selected {
  readonly decision: Decision;
  readonly markdown: string;
  /** The folder it was written to; null for the course's rule, which has no run. */
  readonly written: string | null;
}

/** @throws {UserError} for everything that the user can fix; nothing was written then */
export async function select(settings: SelectSettings): Promise<Selected> {
  const registry = await loadRegistry(settings.registry);
  if (settings.policy === "course") return await byCourse(settings, registry);
  const folders: string[] = [];
  // Without a name: the latest run.
  const names = settings.runs.length === 0 ? [undefined] : settings.runs;
  for (const name of names) folders.push(await requireRun(name, settings.out));
  const quality = settings.quality === undefined
    ? null
    : await requireRun(settings.quality, settings.out, "--quality");
  return await selectFrom(folders, quality, settings, registry);
}

/** The decision from run folders. A race adds the run of its own quality gate. */
export async function selectFrom(
  folders: readonly string[],
  qualityFolder: string | null,
  settings: Omit<SelectSettings, "runs" | "policy" | "quality">,
  registry: Registry,
): Promise<Selected> {
  const [first] = folders;
  if (first === undefined) throw new RangeError("Cannot decide without a run");
  const race = folders.length === 1 && (await readRunInfo(first)).plan.mode === "race"
    ? await replayRecorded(first)
    : null;
  const gate = race?.terms.quality_run ?? null;
  const found = gate === null ? null : await findRun(gate, settings.out);
  const answers = qualityFolder ?? found;
  // Only candidates that raced or were excluded from it count: the run of the answers may hold others.
  const evidence = await gatherEvidence(folders, answers, {
    answersOf: adapterAnswers(registry, { denoPath: Deno.execPath(), env: Deno.env }),
  });
  const decision = decide(evidence, {
    constraints: constraintsOf(settings),
    weights: settings.weights,
    delta: settings.delta,
    epsilon: settings.epsilon,
    registry,
    race,
    watts: settings.watts ?? null,
    pricePerKwh: settings.price ?? null,
    maxDrop: settings.maxDrop,
    command: commandOf(
      evidence.runs.map(({ run_id }) => run_id),
      answers === null || folders.includes(answers) ? null : basename(answers),
      settings,
    ),
    course: courseOf(settings.task, registry, evidence.machine),
    random: seededRandom(`select ${settings.seed}`),
  });
  const figures = { pareto: paretoOf(decision), evidence: evidenceFigure(race) };
  const markdown = await writeDecision(first, decision, figures);
  return { decision, markdown, written: first };
}

/** Writes a decision and its figures to the run's folder; returns its Markdown. */
async function writeDecision(
  folder: string,
  decision: Decision,
  figures: Readonly<Record<"pareto" | "evidence", string | null>>,
): Promise<string> {
  const files = new Map<string, string>();
  const names: { pareto?: string; evidence?: string } = {};
  for (const name of ["pareto", "evidence"] as const) {
    const figure = figures[name];
    if (figure === null) continue;
    names[name] = `${name}.svg`;
    files.set(`${name}.svg`, figure);
  }
  const markdown = terminalText(decisionMarkdown(decision, names));
  await keepEarlier(folder, decision);
  const page = documentPage(markdown, files);
  const json = `${JSON.stringify(decision, null, 2)}\n`;
  const written = [...files, ["decision.md", markdown], ["decision.html", page], [
    "decision.json",
    json,
  ]] as const;
  for (const [name, text] of written) await replaceFile(join(folder, name), text);
  return markdown;
}

/** The command that makes the same decision again: its runs, and every setting that is not the default. */
function commandOf(
  runs: readonly string[],
  quality: string | null,
  settings: Omit<SelectSettings, "runs" | "policy" | "quality">,
): string {
  const defaults = { delta: 0.05, epsilon: 0.05, maxDrop: MAX_DROP, seed: 1, weights: DEFAULT_WEIGHTS };
  const weights = (of: SelectSettings["weights"]) =>
    Object.entries(of).map(([part, weight]) => `${part}=${weight}`).join(",");
  const unlike = (value: string | number, usual: string | number) => value === usual ? null : value;
  const limits = constraintsOf(settings);
  const flags: [string, string | number | readonly string[] | null | undefined][] = [
    ["quality", quality],
    ...Object.entries(limits).map(([name, limit]): [string, typeof limit] => [flagOf(name), limit]),
    ["weights", unlike(weights(settings.weights), weights(defaults.weights))],
    ["delta", unlike(settings.delta, defaults.delta)],
    ["epsilon", unlike(settings.epsilon, defaults.epsilon)],
    ["max-drop", unlike(settings.maxDrop, defaults.maxDrop)],
    ["task", unlike(settings.task, "chat")],
    ["watts", settings.watts],
    ["price", settings.price],
    ["seed", unlike(settings.seed, defaults.seed)],
  ];
  const words = flags.flatMap(([flag, value]) =>
    value === null || value === undefined || Array.isArray(value) && value.length === 0
      ? []
      : [`--${flag} ${Array.isArray(value) ? value.join(",") : value}`]
  );
  return ["deno task select", ...runs, ...words].join(" ");
}

/** Keeps an earlier decision that differs next to the new one, and says so. */
async function keepEarlier(folder: string, { verdict, choice }: Decision): Promise<void> {
  const path = join(folder, "decision.json");
  const text = await Deno.readTextFile(path).catch(() => null);
  if (text === null) return;
  const earlier = decisionSchema.safeParse(JSON.parse(text));
  if (!earlier.success || earlier.data.verdict === verdict && earlier.data.choice === choice) return;
  await replaceFile(join(folder, "decision.earlier.json"), text);
  const { verdict: was, choice: chosen } = earlier.data;
  console.error(
    `The decision of ${folder} was ${was}${
      chosen === null ? "" : ` (${chosen})`
    }; it is kept in decision.earlier.json.`,
  );
}

function paretoOf({ candidates }: Decision): string | null {
  const points = candidates.flatMap(({ id, quality, latency_s, memory_mb, on_front }) =>
    quality === null || latency_s === null
      ? []
      : [{ id, quality, latencyS: latency_s, memoryMb: memory_mb, onFront: on_front }]
  );
  if (points.length === 0) return null;
  return svgFile(paretoPlot(points, {
    title: "Quality, latency and memory",
    caption: "Full marks: on the Pareto front. Area: resident memory.",
  }));
}

/** How the evidence of a race grew; null where there was no race. */
function evidenceFigure(race: RecordedRace | null): string | null {
  if (race === null || race.state.blocks === 0) return null;
  const { terms: { by, delta }, state } = race;
  return svgFile(evidencePlot(evidencePoints(race), {
    threshold: state.candidates.length / delta,
    title: `Evidence, by ${by}`,
    caption: `${state.requests} requests in ${state.blocks} blocks, delta ${delta}.`,
  }));
}

/** The choice of the course's rule on this kind of machine. */
function courseOf(task: string, registry: Registry, machine: MachineDescription): Decision["course"] {
  if (!tasksOf(registry).includes(task)) return null;
  const model = firstViable(registry, task, { ...machine, freeRamGb: Infinity });
  const note = model === undefined
    ? `no model for it runs in ${machine.ram_gb} GB of RAM`
    : `${model.alias}, the registry's first whose ${model.minRamGb} GB of RAM the machine has; nothing of it was ` +
      "measured";
  return { task, choice: model?.alias ?? null, note };
}

/** What a decision by the course's rule says of evidence: it has none. */
const NOTHING_MEASURED = {
  schema_version: 2,
  policy: "course",
  runs: [],
  versions: {},
  prompt_set: null,
  scope: { claim: "cases like these", cases: 0, scored_cases: 0 },
  max_drop: 0,
  baseline: null,
  baseline_score: null,
  limits: {},
  fastest: null,
  disturbed_blocks: 0,
  left: [],
  quality_run: null,
  quality_source: null,
  quality_prompt_set: null,
  runner_up: null,
  best_of_the_rest: null,
  requests: 0,
  blocks: 0,
  delta: 0,
  epsilon: 0,
  eliminated: [],
  weights: {},
  lead_ci95: null,
  sensitivity: [],
  candidates: [],
  what_would_change_it: [
    "the order of models.json, the machine's RAM, or evidence: deno task quality capture, then deno task select RUN",
  ],
} satisfies Partial<Decision>;

async function byCourse({ task, registry: path }: SelectSettings, registry: Registry): Promise<Selected> {
  const tasks = tasksOf(registry);
  if (!tasks.includes(task)) {
    throw new UserError(
      `--task ${task}: no model of ${path} is for it: give ${tasks.join(", ")}`,
    );
  }
  const { freeRamGb, vramGb: _vramGb, ...machine } = await describeMachine();
  const course = courseOf(task, registry, machine);
  const choice = course?.choice ?? null;
  const excluded = registry.models.filter((model) => model.task.includes(task)).flatMap((model) => {
    const fit = fits(model, { ...machine, freeRamGb: Infinity });
    return fit.ok ? [] : [{
      id: model.alias,
      constraint: "ram" as const,
      reason: fit.reasons.join("; "),
      admit: "a machine with more RAM",
    }];
  });
  const running = registry.models.find(({ alias }) => alias === choice);
  const now = running === undefined ? null : fits(running, { ...machine, freeRamGb });
  const decision: Decision = {
    ...NOTHING_MEASURED,
    machine,
    command: `deno task select --policy course --task ${task}`,
    verdict: choice === null ? "none" : "only",
    winner: choice,
    choice,
    leader: choice,
    reason: course?.note ?? "",
    excluded,
    course,
    warnings: now === null || now.ok ? [] : [`it can't run at this moment: ${now.reasons.join("; ")}`],
  };
  return { decision, markdown: decisionMarkdown(decision), written: null };
}
