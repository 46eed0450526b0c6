/** `models learn` writes a run's figures into the registry for the team; it shows the change first. */
import { requireRun } from "../../lib/bench/find_run.ts";
import { replaceFile } from "../../lib/bench/folder.ts";
import { summarizeRun } from "../../lib/bench/summary.ts";
import type { CandidateSummary, Summary } from "../../lib/bench/summary_schema.ts";
import { lineDiff } from "../../lib/text_diff.ts";
import { learn, type Learned, type Lesson, merge } from "../../lib/catalog/learn.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { qualityOf, readQuality } from "../../lib/select/decide/facts.ts";
import { printJson } from "../cli.ts";
import { type Shared } from "../options.ts";

export interface LearnOptions extends Shared<"registry" | "out" | "json"> {
  readonly merge?: string;
  readonly yes?: boolean;
}

/** @throws {UserError} for every mistake of the user; then nothing was written */
export async function learnRuns(runs: readonly string[], options: LearnOptions): Promise<number> {
  if (runs.length === 0 && options.merge === undefined) {
    throw new UserError("models learn needs a run, or a teammate's registry with --merge FILE");
  }
  const before = await readText(options.registry);
  const lessons: Lesson[] = [];
  for (const run of runs) lessons.push(...await lessonsOf(run, options.out));
  const learned = learn(before, options.registry, lessons);
  const theirs = options.merge;
  const merged: Learned = theirs === undefined
    ? learned
    : merge({ text: learned.text, where: options.registry }, { text: await readText(theirs), where: theirs });
  const changed = merged.text !== before;
  const written = changed && options.yes === true;
  if (written) await replaceFile(options.registry, merged.text);
  const diff = lineDiff(before, merged.text);
  const { unknown } = learned;
  const { conflicts } = merged;
  if (options.json) {
    printJson({ registry: options.registry, changed, written, lessons, unknown, conflicts, diff });
    return 0;
  }
  for (const line of diff) console.log(line);
  for (const alias of unknown) {
    console.error(`${alias} is not in ${options.registry}: add it to keep its figures`);
  }
  for (const conflict of conflicts) console.error(`decide yourself: ${conflict}`);
  if (!changed) console.log(`${options.registry} holds these figures already`);
  else if (written) console.log(`written to ${options.registry}`);
  else console.log(`add --yes to write the change to ${options.registry}`);
  return 0;
}

/** Keeps a byte order mark: the file must stay as it was. */
async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await Deno.readFile(path);
  } catch (error) {
    const why = error instanceof Deno.errors.NotFound ? "there is no such file" : reasonOf(error);
    throw new UserError(`can't read the registry ${path}: ${why}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new UserError(`${path} is not UTF-8: save it as UTF-8, so that it can be edited`, 2, {
      cause: error,
    });
  }
}

async function lessonsOf(name: string, root: string): Promise<Lesson[]> {
  const folder = await requireRun(name, root);
  const summary = await summarizeRun(folder);
  const quality = await readQuality(folder);
  const lessons = summary.candidates.filter(({ requests }) => requests.ok > 0)
    .map((one) => lessonOf(one, summary, qualityOf(one.id, quality)));
  if (lessons.length === 0) {
    throw new UserError(`${name} has no figures: none of its requests succeeded`);
  }
  return lessons;
}

function lessonOf(
  one: CandidateSummary,
  { machine, created_at, run_id, versions, plan, blocks }: Summary,
  quality: ReturnType<typeof qualityOf>,
): Lesson {
  const round = (value: number | null) => value === null ? null : Number(value.toPrecision(3));
  return {
    alias: one.alias,
    measured: {
      variant: one.variant,
      where: one.endpoint === "embedded" ? "embedded" : "service",
      machine,
      date: created_at.slice(0, 10),
      run: run_id,
      podium: versions.podium ?? "unknown",
      prompts: plan.prompt_set.name,
      max_tokens: plan.max_tokens,
      prefix: plan.prefix,
      requests: one.requests.ok,
      blocks: { timed: blocks.timed, disturbed: blocks.disturbed },
      latency_s: round(one.latency_s.mean),
      ttft_s: round(one.ttft_s.mean),
      output_tokens_per_s: round(one.output_tokens_per_s.mean),
      memory_mb: round(one.memory_mb),
      load_s: round(one.load_s),
      quality: quality === null
        ? null
        : { score: round(quality.score), passed: quality.passed, prompts: quality.prompts },
    },
  };
}
