/**
 * People bring ten thousand cases. Opening them must feel instant, and scoring and reporting their answers
 * must stay quick and small.
 *
 *   deno task bench:cases               10,000 rows of tickets and of invoices, one answer to each
 *   deno task bench:cases --cases 1000  another size
 *   deno task bench:cases --json        one JSON document
 *
 * Rows and answers are made up in a temporary folder. Each step is a process of its own, so that its peak
 * memory is its own; the time of a step includes starting it.
 */
import { join } from "node:path";
import process from "node:process";
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { option, shared, wholeNumber } from "../scripts/options.ts";
import { loadPromptSet, promptSetJson } from "../lib/prompts/prompts.ts";
import { writeQuality } from "../lib/quality/quality.ts";
import { formatAnswers, readRecordedAnswers } from "../lib/quality/recorded_answers.ts";
import { reportRun } from "../lib/report/write.ts";
import { seededRandom } from "../lib/stats/random.ts";
import { planInfo } from "../lib/bench/session.ts";
import { writeGeneratedRun } from "./generated_run.ts";

const STEPS = ["open", "score", "report"] as const;
type Step = typeof STEPS[number];

/** What a step took. */
interface Taken {
  readonly seconds: number;
  /** Of all threads: what it takes where nothing else runs. */
  readonly cpu_s: number;
  readonly peak_mb: number;
}

const WORDS =
  "invoice charge refund login password crash error slow export button please thanks team urgent report card"
    .split(" ");
const LABELS = ["account", "billing", "bug", "feature"];

const COMMON = { cases: "table.csv", id: "{{id}}" };
/** The file of a job of each kind, over the same table. */
const JOBS = {
  classify: { ...COMMON, task: "classify", prompt: "Which team?\n{{text}}", expected: "{{label}}" },
  extract: {
    ...COMMON,
    task: "extract",
    prompt: "As JSON:\n{{text}}",
    expected: { amount: "{{amount}}", due: "{{due}}" },
    schema: {
      type: "object",
      properties: { amount: { type: "number" }, due: { type: "string" } },
      required: ["amount", "due"],
      additionalProperties: false,
    },
    fields: { amount: { tolerance: 0.005 }, due: { as: "date" } },
  },
  summarize: {
    ...COMMON,
    task: "summarize",
    prompt: "Summarise:\n{{text}}",
    reference: "{{text}}",
    checks: [
      { kind: "words", name: "short", max: 80 },
      { kind: "nothing_invented", name: "nothing invented" },
      { kind: "language", name: "English", language: "en" },
      { kind: "rouge_l", name: "close to the reference", min: 0.2 },
      { kind: "regex", name: "no refusal", pattern: "as an ai", absent: true },
    ],
  },
};

function tableOf(cases: number): string {
  const random = seededRandom("cases");
  const words = (count: number) =>
    Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");
  const rows = Array.from({ length: cases }, (_, at) => ({
    id: `T${at + 1}`,
    text: words(8 + Math.floor(60 * random())),
    label: LABELS[Math.floor(random() * LABELS.length)] ?? "bug",
    amount: (1000 * random()).toFixed(2),
    due: `2026-0${1 + at % 9}-1${at % 10}`,
  }));
  return ["id,text,label,amount,due", ...rows.map((row) => Object.values(row).join(","))].join("\n");
}

/** An answer as a middling model gives it. */
function answerTo(kind: string, at: number): string {
  if (kind === "classify") return `The team is ${LABELS[at % LABELS.length]}.`;
  if (kind === "extract") {
    return `{"amount": ${(at % 1000).toFixed(2)}, "due": "2026-0${1 + at % 9}-1${at % 10}"}`;
  }
  return `The customer reports an error number ${at} with the invoice and asks for a refund. It is urgent for the team.`;
}

/** One step, in this process. */
async function take(step: Step, folder: string): Promise<void> {
  if (step === "open") await loadPromptSet(join(folder, "job.json"));
  if (step === "score") {
    const run = join(folder, "run");
    const report = await writeQuality(run, await loadPromptSet(join(run, "prompts.json")));
    await Deno.writeTextFile(join(run, "answers.csv"), formatAnswers(await readRecordedAnswers(run), report));
  }
  if (step === "report") await reportRun(join(folder, "run"));
  const { user, system } = process.cpuUsage();
  const taken: Taken = {
    seconds: performance.now() / 1000,
    cpu_s: (user + system) / 1e6,
    peak_mb: process.resourceUsage().maxRSS / 1024,
  };
  console.log(JSON.stringify(taken));
}

async function inProcess(step: Step, folder: string): Promise<Taken> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: "run -q --allow-read --allow-write --allow-env --allow-sys".split(" ")
      .concat(import.meta.url, "--step", step, folder),
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`${step} ended with code ${code}`);
  const taken: Taken = JSON.parse(new TextDecoder().decode(stdout));
  return taken;
}

/** A run whose plan holds the job's cases, with one answer to each. */
async function writeRun(folder: string, kind: string): Promise<void> {
  const set = await loadPromptSet(join(folder, "job.json"));
  const { prompt_set } = planInfo({ prompts: set }, "interleaved");
  const answers = new Map(set.prompts.map(({ id }, at) => [id, answerTo(kind, at)]));
  const candidates = [{ id: "small-model", ttftMs: 40, itlMs: 6, tokens: 16, answers }];
  const prompts = set.prompts.map(({ id }) => ({ id, text: "" }));
  await writeGeneratedRun(join(folder, "run"), {
    candidates,
    prompts,
    rounds: 1,
    plan: { prompt_set, prefix: "as is" },
  });
  await Deno.writeTextFile(join(folder, "run", "prompts.json"), promptSetJson(set));
}

const megabytes = async (path: string) => (await Deno.stat(path)).size / 1e6;

async function measure(cases: number) {
  const rows = [];
  const table = tableOf(cases);
  for (const [kind, job] of Object.entries(JOBS)) {
    const folder = await Deno.makeTempDir({ prefix: "podium-cases-" });
    try {
      await Deno.writeTextFile(join(folder, "job.json"), JSON.stringify(job));
      await Deno.writeTextFile(join(folder, "table.csv"), table);
      const open = await inProcess("open", folder);
      await writeRun(folder, kind);
      const score = await inProcess("score", folder);
      const report = await inProcess("report", folder);
      const files = ["run.json", "prompts.json", "quality.json", "summary.json", "report.md", "report.html"];
      const sizes = await Promise.all(
        files.map(async (name) => [name, await megabytes(join(folder, "run", name))]),
      );
      rows.push({ kind, cases, open, score, report, file_mb: Object.fromEntries(sizes) });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  return rows;
}

const [flag, step, folder] = Deno.args;
if (flag === "--step" && folder !== undefined) {
  const known = STEPS.find((one) => one === step);
  if (known !== undefined) await take(known, folder);
} else {
  const command = bareCommand("bench:cases").addOptions([
    option("--cases <n>", "rows of each table", wholeNumber(1, 1_000_000), 10_000),
    ...shared("json"),
  ]);
  await runTask(command, async ({ cases, json }: { cases: number; json?: boolean }) => {
    const rows = await measure(cases);
    if (json) printJson(rows);
    else {
      for (const { kind, open, score, report, file_mb } of rows) {
        const taken = Object.entries({ open, score, report })
          .map(([name, { seconds, cpu_s, peak_mb }]) =>
            `${name} ${seconds.toFixed(1)} s (processor ${cpu_s.toFixed(1)} s), ${Math.round(peak_mb)} MB`
          );
        const sizes = Object.entries(file_mb).map(([name, mb]) => `${name} ${Number(mb).toFixed(1)} MB`);
        console.log(`${kind}, ${cases} cases: ${taken.join("; ")}\n  ${sizes.join(", ")}`);
      }
    }
    return 0;
  });
}
