/**
 * Every command that README, docs, teaching kit and notebooks print is run, in a copy of the project in which the names
 * that pages use for a reader's own things (RUN, CASES.csv) are real. What is not run says why.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { copyProject, RECORDED_RUN } from "../scripts/pack/tree.ts";
import { type PrintedCommand, printedCommands, root } from "./docs_commands.ts";
import { writeGeneratedRun } from "../benchmarks/generated_run.ts";
import { realModel } from "./engine/real_model.ts";

/** Commands that are not run, and why. The fast test holds their tasks and flags against the programs all the same. */
const notRun: readonly (readonly [RegExp, string])[] = [
  [
    /^(chat|compare|fidelity|fleet( import)?|init|models|pack|quality( new)?|route)$|…/,
    "the name of a command, in prose",
  ],
  [/@foundry|:5273|^models (download|load|unload|move-service|compile)/, "needs Foundry Local"],
  [/192\.0\.2\.7|HOST|models\.example|--endpoint URL/, "needs another machine"],
  [/^fleet (hub|join|run|status|stop|decide)/, "needs a hub and devices: tests/fleet has both"],
  [/hf:|phi-4-mini|qwen|llama3|all-minilm|^models pull$/, "downloads from Hugging Face"],
  [/^(test|ok|check|fmt|lint|notebook|pack)/, "a step of .ci/run"],
  [/^bench:/, "measures Podium for minutes"],
  [/^(capacity|selfcheck)|--for 10m|--prompt-tokens/, "takes minutes"],
  [/^models (remove|clean|move)/, "would take this machine's models away: tests/catalog has others"],
  [/longest-line/, "a model that its page shows how to add: tests/adapter does"],
  [
    /^(route |serve --routing|quality (judge|import|errors RUN))/,
    "needs a scored run of many cases: tests/select, tests/quality",
  ],
  [/^fleet import/, "refuses a run of this machine's own: tests/fleet imports others'"],
  [/gpu=vulkan/, "needs a graphics card"],
];

/** What keeps a command short: of two equal flags the last one counts. */
const shorter: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^bench(?!.*--(plan|resume))/, ["--shortest", "1", "--rounds", "1", "--max-tokens", "4", "--warmup", "1"]],
  [/^race(?!.*--(replay|simulate))/, ["--shortest", "2", "--max-tokens", "4"]],
  [/^quality capture/, ["--shortest", "1", "--max-tokens", "4"]],
  [/^chat/, ["--max-tokens", "4"]],
  [/^fidelity/, ["--tokens", "128", "--block", "64"]],
  [/^serve/, ["--port", "0"]],
  [/^workshop:(bench|export)/, ["--rounds", "1"]],
];

/** What goes on until Ctrl-C: it is stopped once it prints its address. */
const server = /^serve|--pa(ge|irs)$/;

const RUNS = ["RUN", "RUN_A", "RUN_B", "BASELINE", "ANNA", "BERT", "CLARA"];

/** What a page's words for something of the reader's stand for. */
function meant(words: readonly string[]): string[] {
  // What reads answers, or checks a run's hashes, gets the recorded run; the others get one of 100 cases.
  const real = /^(quality|fleet)$/.test(words[0] ?? "");
  const own = new RegExp(`^(?:reports/)?(${RUNS.join("|")})(?=$|/)`);
  return words.map((word) =>
    word.replace(own, real ? "runs/RECORDED" : "runs/$1")
      .replaceAll(/\bNAME\b/g, "smollm2-135m")
      .replace(/^TABLE$/, "TABLE.csv")
      .replace(/^FILE$/, real ? "job.json" : "models.json")
  );
}

/** Commands that load models differ for this test by their flags: values are the fast test's. */
const shapeOf = (line: string) =>
  /^(bench|race(?!.*--(replay|simulate))|quality capture|chat)/.test(line)
    ? line.replaceAll(/(?<=\s)[^-\s]\S*|"[^"]*"/g, "")
    : line;

const lineOf = ({ words }: PrintedCommand) => words.join(" ");

async function git(cwd: string, ...args: string[]): Promise<void> {
  const name = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "init.defaultBranch=main"];
  const { code, stderr } = await new Deno.Command("git", { args: [...name, ...args], cwd }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

/** A copy of the project with the reader's files in it: runs, tables, models, a revision and a tag. */
async function copyWithFiles(): Promise<string> {
  const copy = await Deno.makeTempDir({ prefix: "podium-docs-" });
  const folder = join(root, "reports", RECORDED_RUN);
  const named = [RECORDED_RUN, "2026-11-21T04-55-07-x1y2", "../some/folder", "../runs/RECORDED"].map((
    name,
  ) => ({
    name,
    folder,
  }));
  await copyProject(root, copy, join(root, "models.json"), named);
  const candidates = ["smollm2-135m-instruct:q4_1", "gemma-3-270m:q4_k_m"]
    .map((id) => ({ id, ttftMs: 90, itlMs: 8, tokens: 30, answer: "The launch moves to Friday." }));
  const prompts = Array.from({ length: 100 }, (_, at) => ({ id: `p${at}`, text: `Question ${at}?` }));
  for (const [at, name] of [...RUNS, "../reports/RUN_A"].entries()) {
    const seed = name.endsWith("RUN_A") ? 2 : at + 1;
    await writeGeneratedRun(join(copy, "runs", name), {
      runId: name,
      seed,
      candidates,
      prompts,
      plan: { prefix: "warm" },
    });
  }
  const model = await realModel();
  const files: Record<string, string> = {
    "CASES.csv": "prompts/tickets.csv",
    "TABLE.csv": "prompts/tickets.csv",
    "my_cases.csv": "prompts/tickets.csv",
    "letters.txt": "prompts/fidelity.txt",
    "job.json": "prompts/four_kinds.json",
    "THEIRS.json": "models.json",
  };
  for (const [name, from] of Object.entries(files)) await Deno.copyFile(join(copy, from), join(copy, name));
  for (const name of ["model-Q8_0.gguf", "model-Q4_K_M.gguf"]) await Deno.symlink(model, join(copy, name));
  await git(copy, "init", "-q");
  await git(copy, "add", "-f", "reports/RUN_A");
  await git(copy, "commit", "-qm", "a run");
  await git(copy, "tag", "v1");
  await Deno.remove(join(copy, "reports", "RUN_A"), { recursive: true });
  return copy;
}

/** Runs a task; what serves is interrupted at its address, and ends well with 0 or with Ctrl-C's 130. */
async function runToItsEnd(
  cwd: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  serves: boolean,
): Promise<{ code: number; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "-q", ...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(120_000),
  }).spawn();
  let [text, stopped] = ["", false];
  const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (!serves || stopped || !/http:\/\/127\.0\.0\.1:\d+/.test(text)) continue;
      stopped = true;
      child.kill("SIGINT");
    }
  };
  const [{ code }] = await Promise.all([child.status, read(child.stdout), read(child.stderr)]);
  return { code: stopped && code === 130 ? 0 : code, stderr: text };
}

Deno.test("every command of the pages that can be run here ends well", async () => {
  const commands = new Map((await printedCommands()).map((command) => [lineOf(command), command]));
  const reasons = new Set<string>();
  const shapes = new Set<string>();
  const wanted = [...commands].filter(([line]) => {
    const reason = notRun.find(([shape]) => shape.test(line))?.[1];
    if (reason !== undefined) {
      reasons.add(reason);
      return false;
    }
    const repeats = shapes.has(shapeOf(line));
    shapes.add(shapeOf(line));
    return !repeats;
  });
  assert.ok(wanted.length > 60, `only ${wanted.length} of ${commands.size} commands are run`);
  assert.equal(reasons.size, notRun.length, "a reason applies to no command any more");
  const [failed, times]: [string[], string[]] = [[], []];
  const runInOrder = async (commands: typeof wanted) => {
    const copy = await copyWithFiles();
    try {
      for (const [line, { words, env }] of commands) {
        const args = meant([...words, ...(shorter.find(([shape]) => shape.test(line))?.[1] ?? [])]);
        const started = performance.now();
        await Deno.remove(join(copy, "runs/RECORDED/annotation"), { recursive: true }).catch(() => {});
        const { code, stderr } = await runToItsEnd(copy, args, env, server.test(line));
        times.push(`${code} ${((performance.now() - started) / 1000).toFixed(1)} s ${line}`);
        if (code !== 0) failed.push(`${line}: exit code ${code}: ${stderr.trim().slice(-300)}`);
      }
    } finally {
      await Deno.remove(copy, { recursive: true });
    }
  };
  // No figure matters here, so two run at once, each half in a copy of its own: what it leaves is always the same.
  const { measures = [], others = [] } = Object.groupBy(
    wanted,
    ([line]) => /^(bench|workshop:|fidelity|doctor|fit|chat|serve)\b/.test(line) ? "measures" : "others",
  );
  await Promise.all([runInOrder(measures), runInOrder(others)]);
  console.log(times.join("\n"));
  assert.deepEqual(failed, []);
});
