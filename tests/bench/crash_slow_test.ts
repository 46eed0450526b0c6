/** A real process is ended in the middle of a run: by Ctrl-C, and by kill -9. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readAnswers, readRunInfo, readSamples } from "../../lib/bench/read_run.ts";
import { summarySchema } from "../../lib/bench/summary_schema.ts";
import { startFake } from "../fake_endpoint.ts";
import { bench, benchUntil } from "./command.ts";

const models = { quick: { ttftMs: 5, itlMs: 5, tokens: 4 }, slow: { ttftMs: 15, itlMs: 5, tokens: 4 } };
const PLANNED = 2 * 5 * 3;

interface Stage {
  readonly out: string;
  readonly args: readonly string[];
  /** The only run's folder, once it is there. */
  readonly folder: () => Promise<string>;
  readonly requests: () => Promise<number>;
  readonly log: readonly { readonly body: unknown }[];
}

async function onStage(work: (stage: Stage) => Promise<void>): Promise<void> {
  const fake = startFake({ models });
  const out = await Deno.makeTempDir();
  const folder = async () => {
    for await (const entry of Deno.readDir(out)) return join(out, entry.name);
    return "";
  };
  try {
    await work({
      out,
      args: [
        "--endpoint",
        `fake=${fake.baseUrl}`,
        "--out",
        out,
        "--rounds",
        "3",
        "--prompts",
        "prompts/ten.json",
        "--limit",
        "5",
      ],
      folder,
      requests: async () =>
        (await lines(join(await folder(), "samples.jsonl"))).filter((line) =>
          line.includes('"phase":"timed"')
        ).length,
      log: fake.log,
    });
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
}

async function lines(path: string): Promise<string[]> {
  try {
    return (await Deno.readTextFile(path)).split("\n");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function timedIds(folder: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const record of readSamples(folder)) {
    if (record.kind === "request" && record.phase === "timed") ids.push(record.id);
  }
  return ids;
}

const blocksRepeated = (ids: readonly string[]) => ids.filter((id) => /\/\d+$/.test(id)).length;

/** Windows ends a child at once whatever the signal is called. */
const ignore = Deno.build.os === "windows";

Deno.test(
  "Ctrl-C keeps everything, says how to go on, and --resume finishes the plan",
  { ignore },
  () =>
    onStage(async ({ args, folder, requests }) => {
      const first = await benchUntil(async () => await requests() >= 12, "SIGINT", [...args, "--json"]);
      assert.equal(first.code, 130, first.stderr);
      assert.match(first.stderr, /Interrupted; .* deno task bench --resume /);
      const summary = summarySchema.parse(JSON.parse(first.stdout));
      assert.equal(summary.status, "interrupted");
      assert.ok(summary.warnings.some(({ code }) => code === "interrupted"));
      const before = await timedIds(await folder());
      assert.ok(before.length >= 12 && before.length < PLANNED);

      const path = await folder();
      const second = await bench([...args.slice(0, 4), "--resume", path, "--json"]);
      assert.equal(second.code, 0, second.stderr);
      const after = await timedIds(path);
      assert.deepEqual(after.slice(0, before.length), before, "what was there is untouched");
      assert.equal(new Set(after).size, after.length, "nothing is repeated");
      assert.equal(after.length - blocksRepeated(after), PLANNED, "nothing is lost");
      assert.equal((await readRunInfo(path)).status, "completed");
      assert.equal(summarySchema.parse(JSON.parse(second.stdout)).status, "completed");
    }),
);

Deno.test(
  "SIGTERM ends a run like Ctrl-C, with its report",
  { ignore },
  () =>
    onStage(async ({ args, folder, requests }) => {
      const ended = await benchUntil(async () => await requests() >= 12, "SIGTERM", [...args, "--json"]);
      assert.equal(ended.code, 130, ended.stderr);
      assert.match(ended.stderr, /Interrupted; .* deno task bench --resume /);
      assert.equal(summarySchema.parse(JSON.parse(ended.stdout)).status, "interrupted");
      assert.ok((await Deno.stat(join(await folder(), "report.html"))).isFile);
    }),
);

Deno.test(
  "kill -9 loses the requests in flight and nothing else",
  { ignore },
  () =>
    onStage(async ({ args, folder, requests, log }) => {
      const first = await benchUntil(async () => await requests() >= 17, "SIGKILL", args);
      assert.notEqual(first.code, 0);
      const path = await folder();
      const kept = await timedIds(path);
      assert.equal((await readRunInfo(path)).status, "running");
      // The fake endpoint logs what it answered; probes ask for fewer tokens than the plan.
      const answered = log.filter(({ body }) => JSON.stringify(body).includes('"max_tokens":40')).length;
      let records = 0;
      for await (const { kind } of readSamples(path)) if (kind === "request") records++;
      assert.ok(answered > 17 && records >= answered - 1, `${records} kept of ${answered} answered`);
      // A line that was being written is torn, as the kernel may leave it.
      const samples = join(path, "samples.jsonl");
      await Deno.writeTextFile(samples, '{"kind":"request","id":"timed/3/r', { append: true });

      const second = await bench([...args.slice(0, 4), "--resume", path, "--json"]);
      assert.equal(second.code, 0, second.stderr);
      const after = await timedIds(path);
      assert.deepEqual(after.slice(0, kept.length), kept);
      assert.equal(new Set(after).size, after.length);
      assert.equal(after.length - blocksRepeated(after), PLANNED);
      const answers = new Set<string>();
      for await (const { id } of readAnswers(path)) answers.add(id);
      assert.ok(after.every((id) => answers.has(id)), "every sample has its answer");
    }),
);

Deno.test(
  "two runs into one folder are refused",
  { ignore },
  () =>
    onStage(async ({ args, folder, requests }) => {
      let refused: Awaited<ReturnType<typeof bench>> | null = null;
      const first = await benchUntil(
        async () => {
          if (refused === null && await requests() >= 3) {
            refused = await bench([...args.slice(0, 4), "--resume", await folder()]);
          }
          return refused !== null;
        },
        "SIGINT",
        args,
      );
      assert.equal(first.code, 130);
      assert.match(refused === null ? "" : JSON.stringify(refused), /another run is writing to .*"/);
    }),
);
