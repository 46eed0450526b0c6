import assert from "node:assert/strict";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { summarizeRun } from "../../lib/bench/summary.ts";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import { UserError } from "../../lib/errors.ts";
import { gatherAnswers } from "../../lib/report/answers.ts";
import { RunGatherer } from "../../lib/report/run_data.ts";
import { energyOf } from "../../lib/bench/energy.ts";
import { markdownReport, markdownTable } from "../../lib/report/markdown.ts";
import { parseCsv } from "../../lib/csv.ts";
import { intervalOf, ratio, seconds } from "../../lib/report/format.ts";
import { readingSection } from "../../lib/report/conditions.ts";
import { textTable, wrap } from "../../lib/report/terminal_layout.ts";
import { highlights } from "../../lib/report/highlights.ts";
import { tableRows } from "../../lib/report/summary_text.ts";
import { terminalSummary } from "../../lib/report/terminal_summary.ts";
import { reportFiles, reportRun, writeReports } from "../../lib/report/write.ts";
import { type GeneratedRun, generateRecords, writeGeneratedRun } from "../../benchmarks/generated_run.ts";

const quick = { id: "quick", ttftMs: 40, itlMs: 6, tokens: 80, stalling: 0.2 };
const slow = { id: "slow:q4@box", ttftMs: 80, itlMs: 12, tokens: 80 };
const broken = { id: "broken", ttftMs: 80, itlMs: 12, tokens: 80, failing: 1 };

async function withRun<T>(
  options: GeneratedRun,
  use: (folder: string, summary: Summary) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "podium-report-" });
  try {
    await writeGeneratedRun(folder, options);
    return await use(folder, await summarizeRun(folder));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a run's reports are made from its folder alone, and made again byte for byte", async () => {
  await withRun({ candidates: [quick, slow, broken] }, async (folder) => {
    const { written } = await reportRun(folder);
    assert.deepEqual(written, reportFiles.map((name) => join(folder, name)));
    const texts = await Promise.all(written.map((path) => Deno.readTextFile(path)));
    await writeReports(folder);
    assert.deepEqual(await Promise.all(written.map((path) => Deno.readTextFile(path))), texts);
  });
});

Deno.test("the highlights name who is quicker with its interval and n, who failed, and recommend nothing", async () => {
  await withRun({ candidates: [quick, slow, broken] }, (_, summary) => {
    const texts = highlights(summary).map((one) => one.text);
    assert.match(
      texts[0] ?? "",
      /^`quick` answers fastest: `slow:q4@box` takes [12]\.\d+ times as long \(95 % interval .+ for cases like these 6, n = 24\)\. Mean latency: \d+ ms, n = 24\.$/,
    );
    assert.ok(texts.some((text) => text.startsWith("`broken`: failed: ")));
    assert.match(texts.at(-1) ?? "", /^Speed alone recommends nothing/);
    return Promise.resolve();
  });
});

Deno.test("two candidates that are alike are not ranked", async () => {
  const twin = { ...quick, id: "twin", stalling: 0 };
  await withRun({ candidates: [{ ...quick, stalling: 0 }, twin] }, (_, summary) => {
    const [latency] = highlights(summary);
    assert.match(
      latency?.text ?? "",
      /^No candidate is clearly fastest: .*(within 10 % of it|can't tell it apart)/,
    );
    return Promise.resolve();
  });
});

Deno.test("a failed candidate is a row with its reason in every report", async () => {
  await withRun({ candidates: [quick, broken] }, async (folder, summary) => {
    assert.equal(tableRows(summary).length, 2);
    await reportRun(folder);
    const html = await Deno.readTextFile(join(folder, "report.html"));
    const markdown = await Deno.readTextFile(join(folder, "report.md"));
    const csv = parseCsv(await Deno.readTextFile(join(folder, "report.csv")));
    const row = parseHTML(html).document.querySelector("tr.failed");
    assert.match(row?.textContent ?? "", /broken.*failed: 24 of 24 failed, first: HTTP 500/s);
    assert.match(markdown, /\| `broken` \| failed \| 0 \| — \|/);
    const reason = csv[0]?.indexOf("reason") ?? -1;
    assert.match(csv[2]?.[reason] ?? "", /HTTP 500/);
  });
});

Deno.test("what a model, a prompt or a service said stays text in report.html", async () => {
  const attack = `</pre><script>alert(1)</script><img src=x onerror=alert(1)>"'&`;
  const options: GeneratedRun = {
    candidates: [{ ...quick, id: `m<b>x</b>`, answer: attack }],
    prompts: [{ id: `<i>p</i>`, text: attack }],
    machine: { cpu: attack },
  };
  await withRun(options, async (folder) => {
    await reportRun(folder);
    const html = await Deno.readTextFile(join(folder, "report.html"));
    const { document } = parseHTML(html);
    assert.equal(document.querySelectorAll("script, img, i, b").length, 0);
    const shown = [...document.querySelectorAll("pre")].map((pre) => pre.textContent);
    assert.ok(shown.includes(attack), "the answer is shown as it came");
    const policy = document.querySelector("meta[http-equiv]")?.getAttribute("content") ?? "";
    assert.match(policy, /^default-src 'none'; style-src 'unsafe-inline'/);
    assert.doesNotMatch(html, /(src|href)="(?!data:)/, "the page loads nothing");
  });
});

Deno.test("an answer can't break out of report.md", async () => {
  const attack = "````\n# Heading\n| a | b |";
  await withRun({ candidates: [{ ...quick, answer: attack }] }, async (folder) => {
    await reportRun(folder);
    const markdown = await Deno.readTextFile(join(folder, "report.md"));
    assert.ok(markdown.includes("`````text\n````\n# Heading\n| a | b |\n`````"));
  });
});

Deno.test("a Markdown table, as it is", () => {
  assert.equal(
    markdownTable(["Model", "p95"], [["a|b", "1.2 s"], ["c`d", "n = 9 < 20"]]),
    ["| Model | p95 |", "| --- | --- |", "| `a\\|b` | 1.2 s |", "| `` c`d `` | n = 9 \\< 20 |"].join("\n"),
  );
});

Deno.test("report.md of a run, as it is", async () => {
  const options: GeneratedRun = { candidates: [quick, broken], rounds: 1, spread: 0, seed: 3 };
  await withRun(options, (_, summary) => {
    const markdown = markdownReport(summary, { watts: 20 });
    const results = markdown.slice(markdown.indexOf("## Results"), markdown.indexOf("n: successful timed"));
    assert.equal(
      results,
      [
        "## Results",
        "",
        "| Candidate | Status | n | Mean latency | p95 | TTFT | Tokens/s | Prefill tokens/s | Output tokens | Load | Memory | Energy per answer |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| `quick` | ok | 6 | 835 ms | \\< 20 cases | 65 ms | 103 | 398 | 80 | 400 ms | 360 MB | ≈ 15.5 J |",
        "| `broken` | failed | 0 | — | — | — | — | — | — | 400 ms | 480 MB | — |",
        "",
        "",
      ].join("\n"),
    );
    return Promise.resolve();
  });
});

Deno.test("every figure of the summary is in report.csv, in numbers", async () => {
  await withRun({ candidates: [quick, slow] }, async (folder, summary) => {
    await reportRun(folder);
    const [header = [], first = []] = parseCsv(await Deno.readTextFile(join(folder, "report.csv")));
    const value = (name: string) => Number(first[header.indexOf(name)]);
    const [candidate] = summary.candidates;
    assert.ok(candidate !== undefined);
    assert.equal(value("latency_s_mean"), candidate.latency_s.mean);
    assert.equal(value("latency_s_p95"), candidate.latency_s.p95 ?? 0);
    assert.equal(value("latency_s_mean_ci95_low"), candidate.latency_s.mean_ci95?.[0]);
    assert.equal(value("itl_s_max"), candidate.itl_s.max);
    assert.equal(value("requests_ok"), 24);
    assert.equal(new Set(header).size, header.length);
  });
});

Deno.test("estimated tokens are marked wherever they carry a figure", async () => {
  await withRun({ candidates: [{ ...quick, tokenSource: "chars/4" }] }, async (folder, summary) => {
    assert.match(tableRows(summary)[0]?.rate ?? "", /^≈ /);
    await reportRun(folder);
    const html = await Deno.readTextFile(join(folder, "report.html"));
    assert.match(html, /≈ \d+[\d.]*<span class="sub">/);
    assert.match(html, /counted by chars\/4/);
  });
});

Deno.test("disturbed blocks are named, and the figures with and without them are shown", async () => {
  await withRun({ candidates: [quick, slow], disturbEvery: 5 }, async (folder) => {
    await reportRun(folder);
    const text = parseHTML(await Deno.readTextFile(join(folder, "report.html"))).document.body.textContent ??
      "";
    assert.match(text, /4 of 24 blocks were disturbed \(other programs used 50 %/);
    assert.match(text, /block 5: other programs used 50 %/);
    assert.match(text, /With and without the disturbed blocks/);
  });
});

Deno.test("a machine that was busy most of the time settles nothing, and nothing is left out", async () => {
  await withRun({ candidates: [quick, slow], disturbEvery: 1 }, (_, summary) => {
    const texts = highlights(summary).map((one) => one.text).join("\n");
    assert.match(texts, /too many to leave out/);
    assert.match(texts, /No verdict on who answers fastest: the machine was busy\. Provisionally, /);
    assert.doesNotMatch(texts, /^`[^`]+` answers fastest/m);
    const blocks = { ...summary.blocks, busiest: { program: "firefox", cores: 0.618 } };
    assert.match(
      highlights({ ...summary, blocks }).map((one) => one.text).join("\n"),
      /answers fastest: the machine was busy \(firefox, 0\.62 cores\)\. Provisionally, /,
    );
    return Promise.resolve();
  });
});

Deno.test("the terminal's summary fits 60 and 80 columns, long names included, and carries no colour unless asked", async () => {
  const long = "a-model-with-a-very-long-name:q4_k_m+threads=1+context=2048@a-far-away-endpoint";
  await withRun({ candidates: [{ ...quick, id: long }, slow, broken] }, (_, summary) => {
    for (const columns of [60, 80]) {
      const plain = terminalSummary(summary, { columns, color: false });
      for (const line of plain.split("\n")) assert.ok(line.length <= columns, `${line.length}: ${line}`);
      assert.ok(!plain.includes("\u001b"));
      assert.match(plain, /candidate .* n .* latency .* TTFT .* tokens\/s/);
    }
    assert.ok(terminalSummary(summary, { columns: 80, color: true }).includes("\u001b[31m"));
    return Promise.resolve();
  });
});

Deno.test("what a model or a service said reaches no terminal raw", async () => {
  const attack = "evil\u001b]0;title\u0007\u202e\u009b2J";
  const options: GeneratedRun = { candidates: [{ ...quick, id: attack }, slow], machine: { cpu: attack } };
  await withRun(options, (_, summary) => {
    const text = terminalSummary(summary, { columns: 80, color: false });
    // deno-lint-ignore no-control-regex -- these must not come out
    assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.match(text, /evil␛\]0;title␇/);
    return Promise.resolve();
  });
});

Deno.test("names that turn the direction of text, or hold control characters, change no report", async () => {
  // deno-lint-ignore no-control-regex -- these must not come out
  const obeyed = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
  for (const attack of ["a\u202eb", "x\u2066\u2067y", "\u001b[2J\u009b2Jz", "\u061c\u202dq"]) {
    await withRun({ candidates: [{ ...quick, id: attack, answer: attack }, slow] }, async (folder) => {
      await reportRun(folder);
      for (const name of ["report.html", "report.md"]) {
        assert.doesNotMatch(await Deno.readTextFile(join(folder, name)), obeyed, name);
      }
    });
  }
});

Deno.test("a warning that can void a finding follows it, and is not counted again", async () => {
  const short = { ...slow, id: "short", tokens: 30 };
  await withRun({ candidates: [quick, short] }, (_, summary) => {
    const shown = highlights(summary);
    const at = shown.findIndex(({ text }) => text.includes("Mean latency"));
    assert.equal(shown[at + 1]?.kind, "qualification");
    assert.match(shown[at + 1]?.text ?? "", /^Answers differ in length: .*Compare TPOT/);
    assert.equal(shown.filter(({ text }) => text.includes("differ in length")).length, 1);
    return Promise.resolve();
  });
});

Deno.test("the leader is the one that is ahead block by block, also where its mean is higher", async () => {
  await withRun({ candidates: [quick, slow] }, (_, summary) => {
    const [one, other] = summary.candidates;
    assert.ok(one !== undefined && other !== undefined);
    // One long answer: the mean of `quick` is now the higher one, its ratios are as they were.
    const moved = { ...one, latency_s: { ...one.latency_s, mean: 60 } };
    const [latency] = highlights({ ...summary, candidates: [moved, other] });
    assert.match(latency?.text ?? "", /^`quick` answers fastest/);
    return Promise.resolve();
  });
});

Deno.test("durations and ratios are printed without exponents, negative ones included", () => {
  assert.deepEqual([-0.4, -1.5, 0, 0.00004, 0.0042, 0.9996, 1234].map(seconds), [
    "−400 ms",
    "−1.50 s",
    "0 ms",
    "0.04 ms",
    "4.2 ms",
    "1.00 s",
    "1,234 s",
  ]);
  assert.deepEqual([0.5, 1.6, 12.34, 1234, 1e-7].map(ratio), ["0.500", "1.60", "12.3", "1,234", "0.000000"]);
});

Deno.test("energy: a slower model costs more, and nothing is made up", () => {
  const at = (rate: number | null) =>
    energyOf({ tokens: { output_mean: 100 }, output_tokens_per_s: { mean: rate } }, 10)?.joulesPerAnswer;
  assert.equal(at(50), 20);
  assert.equal(at(25), 40);
  assert.equal(at(null), undefined);
  assert.throws(
    () => energyOf({ tokens: { output_mean: 1 }, output_tokens_per_s: { mean: 1 } }, 0),
    RangeError,
  );
});

Deno.test("a timeline shows the requests that stalled, out of any number", () => {
  const gatherer = new RunGatherer();
  const records = [...generateRecords({ candidates: [{ ...quick, stalling: 0 }], rounds: 60 })];
  for (const [i, { sample }] of records.entries()) {
    const stalled = sample.kind === "request" && sample.phase === "timed" && i === 200
      ? { ...sample, chunk_ms: sample.chunk_ms.map((ms, at) => (at > 40 ? ms + 500 : ms)) }
      : sample;
    gatherer.add(stalled);
  }
  const { drawn } = gatherer.result("none");
  assert.ok(drawn.length <= 8 && drawn.length >= 4);
  assert.equal(drawn.filter((one) => one.longestGap > 0.5).length, 1);
  assert.deepEqual(drawn.map((one) => one.block), drawn.map((one) => one.block).sort((a, b) => a - b));
});

Deno.test("the timeline shows the same blocks of every candidate, on one axis", () => {
  const gatherer = new RunGatherer();
  const records = [...generateRecords({ candidates: [quick, { ...slow, stalling: 0.2 }], rounds: 60 })];
  for (const { sample } of records) gatherer.add(sample);
  const { drawn } = gatherer.result("none");
  const blocksOf = (id: string) =>
    drawn.filter(({ candidate }) => candidate === id).map(({ block }) => block);
  assert.ok(blocksOf(quick.id).length >= 4);
  assert.deepEqual(blocksOf(quick.id), blocksOf(slow.id));
});

Deno.test("the server's own times stand beside ours, in medians over the same requests", () => {
  const gatherer = new RunGatherer();
  for (const { sample } of generateRecords({ candidates: [quick, slow], rounds: 2 })) {
    const told = sample.kind === "request" && sample.candidate === "quick" && sample.phase === "timed"
      ? { prompt_ms: 30, decode_ms: 500, prompt_tokens: 24, output_tokens: 80, cached_tokens: 2 }
      : null;
    gatherer.add(sample.kind === "request" ? { ...sample, server: told, cached_tokens: null } : sample);
  }
  const [side, ...more] = gatherer.result("none").server;
  assert.deepEqual(more, []);
  assert.equal(side?.candidate, "quick");
  assert.deepEqual([side?.n, side?.promptS, side?.decodeS, side?.cachedTokens], [12, 0.03, 0.5, 2]);
  assert.ok((side?.ttftS ?? 0) > 0.03 && (side?.streamS ?? 0) > 0.5);
});

Deno.test("answers: the first timed one, how many there were, how many differ", async () => {
  const answer = { candidate: "a", prompt_id: "p", round: 1, reasoning: "" } as const;
  const answers = await gatherAnswers([
    { ...answer, id: "w", phase: "warmup", content: "warm" },
    { ...answer, id: "1", phase: "timed", content: "one" },
    { ...answer, id: "2", phase: "timed", content: "two" },
    { ...answer, id: "3", phase: "timed", content: "one" },
  ]);
  const [shown] = [...answers.values()];
  assert.deepEqual(shown, { id: "1", content: "one", reasoning: "", n: 3, different: 2 });
});

Deno.test("checks stand beside speed where the run was scored, in words, in a table and under each answer", async () => {
  await withRun({ candidates: [quick] }, async (folder, summary) => {
    await Deno.writeTextFile(join(folder, "quality.json"), JSON.stringify(scored(summary)));
    const { quality } = await reportRun(folder);
    assert.match(
      highlights(summary, quality)[0]?.text ?? "",
      /^Prompts whose answers pass/,
      "quality comes first",
    );
    const texts = highlights(summary, quality).map((one) => one.text).join("\n");
    assert.match(texts, /pass their checks: `quick` 50 % of 6 prompts \(18\.8–81\.2 %\)/);
    assert.match(texts, /Ratings: `quick` 4\.2 of 5 by people \(6 answers\)/);
    assert.doesNotMatch(texts, /Speed alone/);
    const text = parseHTML(await Deno.readTextFile(join(folder, "report.html"))).document.body.textContent ??
      "";
    assert.match(text, /Checks: not passed, score 0\.4 · failed: length as asked \(62 words\)/);
    assert.match(text, /Quality: deterministic checks and ratings/);
  });
});

/** A small quality.json: half of the prompts pass, and people gave 4.2. */
function scored(summary: Summary): unknown {
  const rate = { passed: 3, n: 6, rate: 0.5, ci95: [0.188, 0.812] };
  const mean = { n: 6, mean: 4.2, ci95: null };
  const ratings = [{
    source: "person",
    rubric: "fluency",
    raters: ["r1"],
    answers: 6,
    dimensions: { fluency: mean },
    overall: mean,
  }];
  const check = {
    name: "length as asked",
    kind: "length",
    required: true,
    passed: false,
    credit: 0,
    detail: "62 words",
  };
  return {
    schema_version: 1,
    run_id: summary.run_id,
    prompt_set: { name: "made-up", sha256: "5e" },
    pass_mark: 0.8,
    length_source: "usage",
    candidates: [{
      id: "quick",
      answers: 6,
      failures: 0,
      pass_rate: rate,
      score: { n: 6, mean: 0.5, ci95: null },
      checks: [],
      by_length: [],
      ratings,
    }],
    answers: [{
      id: "timed/1/meeting-notes/quick",
      candidate: "quick",
      prompt_id: "meeting-notes",
      round: 1,
      score: 0.4,
      passed: false,
      failure: null,
      checks: [check],
    }],
    agreement: [],
    warnings: [],
  };
}

Deno.test("a run in which everything failed, or that has no sample yet, still has its reports", async () => {
  await withRun({ candidates: [broken] }, async (folder) => {
    await reportRun(folder);
    const html = await Deno.readTextFile(join(folder, "report.html"));
    assert.match(html, /24 of 24 failed/);
    assert.doesNotMatch(html, /NaN|undefined|\[object/);
  });
  await withRun({ candidates: [quick] }, async (folder) => {
    for (const name of ["samples.jsonl", "answers.jsonl"]) await Deno.remove(join(folder, name));
    const { summary } = await reportRun(folder);
    assert.match(terminalSummary(summary, { columns: 80, color: false }), /quick +│ skipped/);
    assert.doesNotMatch(await Deno.readTextFile(join(folder, "report.html")), /NaN|undefined|\[object/);
  });
});

Deno.test("under load, what was asked for and what was delivered stand side by side with goodput", async () => {
  const plan = { concurrency: 4, rate: 2, slo: { ttft_s: 0.05, e2e_s: 3 } };
  await withRun({ candidates: [quick, slow], plan }, async (folder) => {
    await reportRun(folder);
    const { document } = parseHTML(await Deno.readTextFile(join(folder, "report.html")));
    const table = [...document.querySelectorAll("table")].find((one) =>
      /Load and goodput/.test(one.textContent ?? "")
    );
    assert.match(table?.textContent ?? "", /2\/s.*% of 24 met the limits/s);
  });
});

Deno.test("answers that did not stream have no first token: no figure of it is made up", async () => {
  await withRun({ candidates: [quick] }, async (folder) => {
    const path = join(folder, "samples.jsonl");
    const whole = (await Deno.readTextFile(path)).replaceAll('"streamed":true', '"streamed":false');
    await Deno.writeTextFile(path, whole);
    const { summary } = await reportRun(folder);
    assert.equal(tableRows(summary)[0]?.ttft, "—");
    const html = await Deno.readTextFile(join(folder, "report.html"));
    assert.doesNotMatch(html, /<h3>Time to first token/);
    assert.doesNotMatch(html, /<h3>Tokens of/);
  });
});

Deno.test("a report that can't be written is one line with the remedy, exit code 1, and no sample is lost", async () => {
  await withRun({ candidates: [quick] }, async (folder) => {
    const before = await Deno.readTextFile(join(folder, "samples.jsonl"));
    await Deno.mkdir(join(folder, "report.md"));
    await assert.rejects(
      reportRun(folder),
      (error) =>
        error instanceof UserError && error.exitCode === 1 && /can't write .*report\.md/.test(error.message),
    );
    assert.equal(await Deno.readTextFile(join(folder, "samples.jsonl")), before);
    assert.deepEqual([...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".new")), []);
  });
});

Deno.test("without a summary, or with a damaged one, the message says how to make it again", async () => {
  await withRun({ candidates: [quick] }, async (folder) => {
    await assert.rejects(writeReports(folder), /summary\.json.*deno task report/);
    await Deno.writeTextFile(join(folder, "summary.json"), "{}");
    await assert.rejects(writeReports(folder), /damaged.*deno task report/s);
    await Deno.writeTextFile(join(folder, "summary.json"), '{"schema_version": 99}');
    await assert.rejects(writeReports(folder), /newer version of Podium \(schema 99; .*deno task report/s);
  });
});

Deno.test("the report opens with how to read it, and explains every word of a warning", async () => {
  const summary = await withRun({ candidates: [quick, slow] }, (folder) => summarizeRun(folder));
  const reading = String(readingSection(summary)).replaceAll(/\s+/g, " ");
  const sources = ["warnings", "candidate_warnings"].map((name) =>
    Deno.readTextFile(new URL(`../../lib/bench/${name}.ts`, import.meta.url))
  );
  const source = (await Promise.all(sources)).join("\n");
  const codes = [...source.matchAll(/code: "([\w-]+)"/g)].map(([, code = ""]) => code);
  for (const code of codes) {
    assert.ok(code in wordsOfWarnings, `say which words of the warning ${code} are explained`);
  }
  for (const words of Object.values(wordsOfWarnings)) {
    for (const word of words) assert.match(reading, new RegExp(`\\b${word}`, "i"));
  }
  // A term that somebody adds to a warning must be explained too.
  const terms = source.match(
    /\b(?:TTFT|TPOT|ITL|E2E|p95|drift|disturbed|interleaved|stretch|prefix|cached?|hypervisor|goodput|decod|prefill|usage|chars\/4|warm-up|chat template|sampled)/gi,
  ) ?? [];
  for (const term of new Set(terms)) assert.match(reading, new RegExp(term.replace(/d$/, ""), "i"), term);
});

/** The words that a reader of each warning must know. */
const wordsOfWarnings: Record<string, readonly string[]> = {
  "interrupted": ["resume"],
  "torn-line": ["resume", "request"],
  "noise": ["disturbed", "block", "quiet"],
  "noise-unknown": ["block", "service", "interleaved"],
  "load-missed": ["rate", "clients"],
  "short-stretches": ["stretches", "round"],
  "client-bottleneck": ["clients", "rate"],
  "estimated-tokens": ["estimates", "TPOT", "usage", "chars/4"],
  "not-streamed": ["streamed", "TTFT", "TPOT", "ITL"],
  "answers-cut": ["cut", "max-tokens"],
  "lengths-differ": ["TPOT", "token"],
  "small-n": ["p95", "case"],
  "few-stretches": ["take turns", "drift", "verdict"],
  "not-stable": ["stable", "warm-up"],
  "drift-seen": ["drift"],
  "drift-not-controlled": ["drift", "interleaved"],
  "prefix-as-is": ["unchanged", "cached", "as is"],
  "warm-prefix": ["warm", "cached"],
  "cache-hit": ["cached", "cold", "prefix"],
  "shared-cache": ["cached"],
  "server-disagrees": ["decode"],
  "one-device": ["CPU", "GPU", "NPU", "device"],
  "device-fallback": ["device", "GPU"],
  "engine-ways-differ": ["called directly", "node-llama-cpp"],
  "plain-chat-template": ["chat template"],
  "request-changed": ["sampled", "temperature", "endpoint"],
  "failures": ["request"],
  "skipped": ["candidate"],
};

Deno.test("both ends of a range have the same unit, which stands once", () => {
  for (let low = 0.0001; low < 100; low *= 1.7) {
    for (let high = low * 1.01; high < 300; high *= 2.1) {
      assert.match(intervalOf([low, high], seconds), /^[\d.,]+–[\d.,]+ (?:ms|s)$/);
    }
  }
});

Deno.test("a figure keeps its sign and unit on one line, on pages and in a terminal", () => {
  const lines = wrap("the mean of all requests was long, n = 30, 95 % of them", 38);
  assert.deepEqual(lines, ["the mean of all requests was long,", "n = 30, 95 % of them"]);
});

Deno.test("words are aligned left and figures right, in Markdown and in a terminal", () => {
  const rows = [["a", "1.2 (0.9–1.4)", "cases like these 5", "a better"], ["b", "—", "this case", "similar"]];
  assert.match(markdownTable(["x", "n", "for", "verdict"], rows), /\| --- \| ---: \| --- \| --- \|/);
  const [, first, second] = textTable(["x", "n", "for", "verdict"], rows).split("\n");
  assert.equal(first?.indexOf("cases"), second?.indexOf("this"));
});
