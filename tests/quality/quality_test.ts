/** quality.json: what counts as an answer, and that it can be derived again from the run alone. */
import assert from "node:assert/strict";
import { simulatedPlan } from "../../benchmarks/simulated.ts";
import { join } from "node:path";
import type { AnswerRecord, RequestRecord, RunInfo, SampleRecord } from "../../lib/bench/records.ts";
import { parsePromptSet } from "../../lib/prompts/prompts.ts";
import { formatAnswers, promptsOfRun, readRecordedAnswers } from "../../lib/quality/recorded_answers.ts";
import { writeQuality } from "../../lib/quality/quality.ts";
import { qualityReport } from "../../lib/quality/quality_schema.ts";
import type { RatingRecord } from "../../lib/quality/ratings.ts";
import { readQuality } from "../../lib/select/decide/facts.ts";
import { parseCsv } from "../../lib/csv.ts";
import { requestRecord } from "../bench/fakes.ts";

const set = parsePromptSet({
  name: "colours",
  prompts: [
    { id: "sky", prompt: "Sky?", checks: [{ kind: "contains", name: "colour", texts: ["blue"] }] },
    { id: "grass", prompt: "Grass?", checks: [{ kind: "contains", name: "colour", texts: ["green"] }] },
    { id: "free", prompt: "Anything?" },
  ],
}, "colours");

const candidate = (id: string): RunInfo["candidates"][number] => ({
  id,
  alias: id,
  variant: null,
  endpoint: "fake",
  model_id: id,
  device: null,
  size_mb: null,
  license: null,
  chat_template: "unknown",
});

function runInfo(changes: Partial<RunInfo["plan"]> = {}): RunInfo {
  return {
    schema_version: 1,
    run_id: "run-1",
    created_at: "2026-11-21T00:00:00Z",
    status: "completed",
    machine: { cpu: "c", cores: 2, ram_gb: 8, gpu: [], os: "linux", arch: "x86_64" },
    versions: {},
    plan: simulatedPlan({
      name: set.name,
      sha256: set.sha256,
      prompts: set.prompts.map(({ id, sha256, messages }) => ({ id, sha256, messages: [...messages] })),
    }, { prefix: "as is", ...changes }),
    candidates: [candidate("good"), candidate("bad")],
  };
}

const request = (candidate: string, prompt_id: string, changes: Partial<RequestRecord> = {}) =>
  requestRecord({ candidate, prompt_id, prefix: "as is", ...changes });

function answerTo({ id, candidate, prompt_id, phase, round }: RequestRecord, content: string): AnswerRecord {
  return { id, candidate, prompt_id, phase, round, content, reasoning: "" };
}

async function inRun(
  { info = runInfo(), samples, answers, ratings = [] }: {
    info?: RunInfo;
    samples: readonly SampleRecord[];
    answers: readonly AnswerRecord[];
    ratings?: readonly RatingRecord[];
  },
  test: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const lines = (records: readonly unknown[]) =>
    records.map((record) => `${JSON.stringify(record)}\n`).join("");
  try {
    await Deno.writeTextFile(join(folder, "run.json"), JSON.stringify(info));
    await Deno.writeTextFile(join(folder, "samples.jsonl"), lines(samples));
    await Deno.writeTextFile(join(folder, "answers.jsonl"), lines(answers));
    if (ratings.length > 0) await Deno.writeTextFile(join(folder, "ratings.jsonl"), lines(ratings));
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const good = [request("good", "sky"), request("good", "grass")];
const texts = [answerTo(request("good", "sky"), "Blue."), answerTo(request("good", "grass"), "Green.")];

Deno.test("failed, cut off and owed answers score 0, and stay in the count", async () => {
  const samples: SampleRecord[] = [
    ...good,
    request("bad", "sky", { status: "partial", reason: "the connection broke" }),
    { kind: "candidate", candidate: "bad", at_ms: 1, status: "skipped", reason: "left the run" },
  ];
  const answers = [...texts, answerTo(request("bad", "sky"), "Blue, of cour")];
  await inRun({ samples, answers }, async (folder) => {
    const { candidates, answers: scored } = await writeQuality(folder, set);
    const [first, second] = candidates;
    assert.deepEqual([first?.pass_rate.passed, first?.pass_rate.n, first?.failures], [2, 2, 0]);
    assert.deepEqual([second?.pass_rate.passed, second?.pass_rate.n, second?.failures], [0, 2, 2]);
    assert.deepEqual(scored.filter(({ candidate }) => candidate === "bad").map(({ failure }) => failure), [
      "the connection broke",
      "left the run",
    ]);
  });
});

Deno.test("every answer has one state; what can't be judged has no part in the rates and widens the bounds", async () => {
  const states = parsePromptSet({
    name: "states",
    prompts: [
      { id: "right", prompt: "1", checks: [{ kind: "contains", name: "yes", texts: ["yes"] }] },
      { id: "wrong", prompt: "2", checks: [{ kind: "contains", name: "yes", texts: ["yes"] }] },
      { id: "cut", prompt: "3", checks: [{ kind: "contains", name: "yes", texts: ["yes"] }] },
      { id: "cut-right", prompt: "4", checks: [{ kind: "contains", name: "yes", texts: ["yes"] }] },
      { id: "off", prompt: "5", checks: [{ kind: "json", name: "json" }] },
      { id: "off-number", prompt: "6", checks: [{ kind: "number", name: "n", value: 1 }] },
      { id: "blank", prompt: "7", checks: [{ kind: "contains", name: "yes", texts: ["yes"] }] },
      { id: "thai", prompt: "8", checks: [{ kind: "sentences", name: "one", max: 1 }] },
      { id: "failed", prompt: "9", checks: [{ kind: "contains", name: "yes", texts: ["yes"] }] },
    ],
  }, "states");
  const told: [string, string, Partial<RequestRecord>][] = [
    ["right", "yes", {}],
    ["wrong", "no", {}],
    ["cut", "well, I", { finish_reason: "length" }],
    ["cut-right", "yes, and", { finish_reason: "length" }],
    ["off", "Here you are", {}],
    ["off-number", "none", {}],
    ["blank", "\u200b \n", {}],
    ["thai", "วันนี้อากาศดีมาก", {}],
    ["failed", "", { status: "failed", reason: "HTTP 500" }],
  ];
  const samples = told.map(([id, , change]) => request("good", id, change));
  const answers = told.map(([id, text]) => answerTo(request("good", id), text));
  const info = runInfo({
    prompt_set: {
      name: "states",
      sha256: states.sha256,
      prompts: states.prompts.map(({ id, sha256, messages }) => ({ id, sha256, messages: [...messages] })),
    },
  });
  await inRun({ info: { ...info, candidates: [candidate("good")] }, samples, answers }, async (folder) => {
    const report = await writeQuality(folder, states);
    assert.deepEqual(
      report.answers.map(({ state }) => state),
      ["right", "wrong", "cut", "right", "off_format", "off_format", "no_answer", "unsupported", "failed"],
    );
    const [one] = report.candidates;
    assert.deepEqual([one?.answers, one?.pass_rate.n, one?.states.unsupported], [9, 8, 1]);
    assert.deepEqual(one?.right_bounds, [2 / 9, 5 / 9]);
    assert.ok(report.warnings.some(({ code }) => code === "unsupported-checks"));
    const { rows } = { rows: parseCsv(formatAnswers(await readRecordedAnswers(folder), report)) };
    assert.equal(rows[3]?.[rows[0]?.indexOf("state") ?? -1], "cut");
  });
});

Deno.test("a model that takes no tools is unsupported, one that only thought is cut; both have a warning", async () => {
  const job = parsePromptSet([{
    id: "call",
    prompt: "Weather?",
    checks: [{ kind: "calls", expected: [{ name: "weather" }] }],
  }], "job");
  const info = runInfo({
    prompt_set: {
      name: "job",
      sha256: job.sha256,
      prompts: job.prompts.map(({ id, sha256, messages }) => ({ id, sha256, messages: [...messages] })),
    },
  });
  const thought = request("thinker", "call", {
    finish_reason: "length",
    content_chars: 0,
    reasoning_chars: 90,
    first_content_chunk: null,
  });
  const called = request("caller", "call", { finish_reason: "tool_calls", content_chars: 0 });
  const reason = "unsupported: it refuses tools (HTTP 400: this model has no tools)";
  const samples: SampleRecord[] = [
    thought,
    called,
    { kind: "candidate", candidate: "old", at_ms: 1, status: "failed", reason },
  ];
  const answers = [
    answerTo(thought, ""),
    { ...answerTo(called, ""), tool_calls: [{ id: "1", name: "weather", arguments: "{}" }] },
  ];
  const candidates = ["thinker", "caller", "old"].map(candidate);
  await inRun({ info: { ...info, candidates }, samples, answers }, async (folder) => {
    const report = await writeQuality(folder, job);
    assert.deepEqual(report.answers.map(({ state }) => state), ["cut", "right", "unsupported"]);
    const warning = (code: string) => report.warnings.find((one) => one.code === code);
    assert.match(warning("thought-only")?.message ?? "", /1 of 2 answers spent all .* reasoning.*thinker/);
    assert.match(warning("thought-only")?.remedy ?? "", /thinking=off/);
    assert.match(warning("unsupported-requests")?.message ?? "", /1 of 3 .*old.*it refuses tools/);
    assert.equal(warning("failed-requests"), undefined);
  });
});

Deno.test("a quality.json of version 1 is read, with the states that it knew", async () => {
  const samples = [
    ...good,
    request("bad", "sky"),
    request("bad", "grass", { status: "failed", reason: "x" }),
  ];
  await inRun({ samples, answers: [...texts, answerTo(request("bad", "sky"), "Red.")] }, async (folder) => {
    const now = await writeQuality(folder, set);
    const old = {
      ...now,
      schema_version: 1,
      candidates: now.candidates.map(({ states: _, right_bounds: _bounds, ...one }) => one),
      answers: now.answers.map(({ state: _, ...one }) => ({
        ...one,
        checks: one.checks.map(({ supported: _, ...check }) => check),
      })),
    };
    assert.deepEqual(qualityReport.parse(old), now);
    await Deno.writeTextFile(join(folder, "quality.json"), JSON.stringify({ ...now, schema_version: 3 }));
    await assert.rejects(
      () => readQuality(folder),
      /newer version of Podium \(schema 3; this version reads up to 2\)/,
    );
    await Deno.writeTextFile(join(folder, "quality.json"), `\uFEFF${JSON.stringify(old)}`);
    assert.deepEqual(await readQuality(folder), now, "with a byte order mark");
  });
});

Deno.test("repeats of a prompt count once, with their share; warm-ups not at all", async () => {
  const repeats = [1, 2, 3, 4].map((round) => request("good", "sky", { round }));
  const warmup = request("good", "sky", { id: "warmup/0/sky/good/1", phase: "warmup" });
  const answers = repeats.map((one, at) => answerTo(one, at < 3 ? "blue" : "red"));
  await inRun(
    { samples: [warmup, ...repeats], answers: [answerTo(warmup, "red"), ...answers] },
    async (folder) => {
      const { candidates: [first] } = await writeQuality(folder, set);
      assert.deepEqual([first?.answers, first?.pass_rate.n, first?.pass_rate.rate], [4, 1, 0.75]);
    },
  );
});

Deno.test("quality.json is the same when it is derived again", async () => {
  await inRun({ samples: good, answers: texts }, async (folder) => {
    const path = join(folder, "quality.json");
    await writeQuality(folder, set);
    const once = await Deno.readTextFile(path);
    await writeQuality(folder, set);
    assert.equal(await Deno.readTextFile(path), once);
  });
});

Deno.test("warnings say what the figures can't", async () => {
  const info = runInfo({ prefix: "cold", temperature: 0.7 });
  const samples = good.map((one) => ({ ...one, finish_reason: "length" }));
  await inRun({ info, samples, answers: texts }, async (folder) => {
    const codes = (await writeQuality(folder, set)).warnings.map(({ code }) => code);
    assert.deepEqual(codes, [
      "unchecked-prompts",
      "nonce-in-answers",
      "one-answer-each",
      "cut-answers",
      "few-prompts",
    ]);
  });
});

Deno.test("another prompt set, or one whose text was changed, is refused", () => {
  const other = parsePromptSet([{ id: "sky", prompt: "Sea?" }], "other");
  assert.throws(() => promptsOfRun(runInfo(), other), /"sky" of run run-1 has another text there.*--prompts/);
  const without = parsePromptSet([{ id: "sky", prompt: "Sky?" }], "other");
  assert.throws(() => promptsOfRun(runInfo(), without), /"grass" of run run-1 is not in it/);
});

const rating: RatingRecord = {
  source: "person",
  rater: "ana",
  rubric: "fluency",
  answer: "timed/1/sky/good",
  candidate: "good",
  prompt_id: "sky",
  scores: { fluency: 4, relevance: 5, correctness: 3 },
  comment: null,
};

Deno.test("ratings are summarised by dimension, with the raters; those for answers that don't exist are refused", async () => {
  await inRun({ samples: good, answers: texts, ratings: [rating] }, async (folder) => {
    const { candidates: [first] } = await writeQuality(folder, set);
    assert.equal(first?.ratings[0]?.dimensions.relevance?.mean, 5);
    assert.equal(first?.ratings[0]?.overall.mean, 4);
  });
  const stray = { ...rating, answer: "timed/9/sky/good" };
  await inRun({ samples: good, answers: texts, ratings: [stray] }, async (folder) => {
    await assert.rejects(
      () => writeQuality(folder, set),
      /timed\/9\/sky\/good, which run run-1 doesn't have/,
    );
    await assert.rejects(() => Deno.stat(join(folder, "quality.json")), Deno.errors.NotFound);
  });
});

Deno.test("without checks and ratings nothing is scored", async () => {
  const bare = parsePromptSet({
    name: "colours",
    prompts: ["sky", "grass", "free"].map((id, at) => ({
      id,
      prompt: ["Sky?", "Grass?", "Anything?"][at],
    })),
  }, "colours");
  await inRun({ samples: good, answers: texts }, async (folder) => {
    await assert.rejects(() => writeQuality(folder, bare), /none of the prompts of colours has checks/);
  });
});

Deno.test("answers.csv has a row for every request, failures among them, beside its sample", async () => {
  const samples = [...good, request("bad", "sky", { status: "failed", reason: "no route", chunk_ms: [] })];
  await inRun({ samples, answers: texts }, async (folder) => {
    const report = await writeQuality(folder, set);
    const [header, ...rows] = parseCsv(formatAnswers(await readRecordedAnswers(folder), report));
    const cell = (row: number, name: string) => rows[row]?.[header?.indexOf(name) ?? -1];
    assert.equal(rows.length, 3);
    assert.deepEqual([cell(0, "latency_s"), cell(0, "ttft_s"), cell(0, "score"), cell(0, "answer")], [
      "0.02",
      "0.01",
      "1",
      "Blue.",
    ]);
    assert.deepEqual([cell(2, "status"), cell(2, "reason"), cell(2, "latency_s"), cell(2, "score")], [
      "failed",
      "no route",
      "",
      "0",
    ]);
  });
});
