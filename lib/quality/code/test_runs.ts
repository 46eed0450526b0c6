/** The tests of all answers of a run: each text is run once, and its result is kept in the run's folder. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../../bench/folder.ts";
import type { CheckByKind } from "../../prompts/checks.ts";
import type { Prompt } from "../../prompts/prompts.ts";
import type { CheckVerdict } from "../outcomes.ts";
import { visibleAnswer } from "../text.ts";
import { runTests, type TestRun } from "./run_tests.ts";

/** By `testKey`. */
export type TestRuns = ReadonlyMap<string, TestRun>;

/** Changes whenever the same code could give another result. */
const RUNNER = 1;
/** Processes at a time. */
const PARALLEL = 2;
const TIME_IS_OVER = /time limit/;

const reasonText = z.string();
const keptRuns = z.object({
  runner: z.literal(RUNNER),
  runs: z.record(
    z.string(),
    z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("no code") }),
      z.object({ kind: z.enum(["not loaded", "ended"]), reason: reasonText }),
      z.object({
        kind: z.literal("ran"),
        tests: z.array(z.object({ name: z.string(), reason: reasonText.nullable() })),
      }),
    ]),
  ),
});

/** The key of the run of an answer's code against the tests of a check. */
function testKey(answer: string, { tests, time_limit_s }: CheckByKind["tests"]): string {
  return createHash("sha256").update(JSON.stringify([answer, tests, time_limit_s])).digest("hex");
}

/**
 * Runs the tests of a run's answers, as far as they were not run before. Answers that timed out are tried
 * again alone, since the machine may have been busy.
 *
 * @param folder of the run; `tests.json` in it keeps the results
 */
export async function testAnswers(
  folder: string,
  answers: readonly { readonly prompt_id: string; readonly content: string }[],
  prompts: readonly Prompt[],
): Promise<TestRuns> {
  const checks = new Map(
    prompts.map(({ id, checks }) => [id, checks.filter((check) => check.kind === "tests")]),
  );
  const wanted = new Map(answers.flatMap(({ prompt_id, content }) => {
    const answer = visibleAnswer(content);
    return (checks.get(prompt_id) ?? []).map((check) => [testKey(answer, check), { answer, check }] as const);
  }));
  if (wanted.size === 0) return new Map();
  const path = join(folder, "tests.json");
  const runs = await readRuns(path);
  const open = [...wanted].filter(([key]) => !runs.has(key));
  const run = async ([key, { answer, check }]: typeof open[number]) => {
    const { tests, time_limit_s: limitS } = check;
    const word = crypto.randomUUID();
    runs.set(key, await runTests(answer, tests, { denoPath: Deno.execPath(), limitS, word }));
  };
  const queue = open.values();
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (const one of queue) await run(one);
  }));
  for (const one of open) if (isLate(runs.get(one[0]))) await run(one);
  if (open.length > 0) {
    const kept = { runner: RUNNER, runs: Object.fromEntries(runs) };
    await replaceFile(path, `${JSON.stringify(kept, null, 1)}\n`);
  }
  return runs;
}

function isLate(run: TestRun | undefined): boolean {
  if (run === undefined || run.kind === "no code") return false;
  if (run.kind === "ran") return run.tests.some(({ reason }) => TIME_IS_OVER.test(reason ?? ""));
  return TIME_IS_OVER.test(run.reason);
}

/**
 * The stored results; empty where the file is missing, damaged or of another version, so
 * that everything runs again.
 */
async function readRuns(path: string): Promise<Map<string, TestRun>> {
  try {
    return new Map(Object.entries(keptRuns.parse(JSON.parse(await Deno.readTextFile(path))).runs));
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError || error instanceof z.ZodError
    ) {
      return new Map();
    }
    throw error;
  }
}

/** The verdict of the tests on an answer; none where they were not run. */
export function scoreTests(answer: string, check: CheckByKind["tests"], runs: TestRuns): CheckVerdict {
  const run = runs.get(testKey(answer, check));
  switch (run?.kind) {
    case undefined:
      return {
        passed: false,
        supported: false,
        detail: "can't judge: the code is run by quality check alone",
      };
    case "no code":
      return { passed: false, offFormat: true, detail: "no TypeScript or JavaScript in the answer" };
    case "not loaded":
      return { passed: false, detail: `the code can't be used: ${run.reason}` };
    case "ended":
      return { passed: false, detail: `the tests came to no end: ${run.reason}` };
    case "ran": {
      const [failed] = run.tests.filter(({ reason }) => reason !== null);
      const passed = run.tests.filter(({ reason }) => reason === null).length;
      const count = run.tests.length === 1
        ? (passed === 1 ? "the test passes" : "the test fails")
        : `${passed} of ${run.tests.length} tests pass`;
      return {
        passed: failed === undefined,
        credit: passed / run.tests.length,
        detail: failed === undefined ? count : `${count}; ${failed.name}: ${failed.reason}`,
      };
    }
  }
}
