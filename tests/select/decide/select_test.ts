/** What decision.md shows, and the command that makes the decision again. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type GeneratedRun, writeGeneratedRun } from "../../../benchmarks/generated_run.ts";
import { summarizeRun } from "../../../lib/bench/summary.ts";
import { highlights } from "../../../lib/report/highlights.ts";
import { UserError } from "../../../lib/errors.ts";
import { parseDecision } from "../../../lib/select/decide/decision_schema.ts";
import { writeQuality } from "../../../lib/quality/quality.ts";
import { parsePromptSet } from "../../../lib/prompts/prompts.ts";
import { select } from "../../../scripts/select/execute.ts";
import { selectCommand, selectSettings } from "../../../scripts/select/options.ts";

const settingsOf = (args: readonly string[]) =>
  selectSettings(selectCommand().parse([...args], { from: "user" }));

Deno.test("decision.md shows what the decision rests on, and its command decides the same again", async () => {
  const out = await Deno.makeTempDir({ prefix: "podium-select-" });
  const folder = join(out, "a-run");
  const check = (name: string, text: string) => ({ kind: "contains", name, texts: [text] });
  // More checks than one page of a set has: every one is a row.
  const checks = ["Ana", "budget", ..."abcdefghijklm"].map((text) => check(`has ${text}`, text));
  const set = {
    name: "made-up",
    prompts: Array.from({ length: 40 }, (_, at) => ({ id: `case-${at}`, prompt: `Case ${at}`, checks })),
  };
  const parsed = parsePromptSet(set, "made-up");
  const { name, sha256, prompts } = parsed;
  const asSent = prompts.map(({ id, sha256, messages }) => ({ id, sha256, messages: [...messages] }));
  const hash = "ab".repeat(32);
  try {
    const ids = ["smollm2-135m-instruct:q4_1", "gemma-3-270m:q4_k_m"];
    const info = await writeGeneratedRun(folder, {
      runId: "a-run",
      candidates: ids.map((id, at) => ({
        id,
        ttftMs: 50,
        itlMs: 5 + 5 * at,
        tokens: 40,
        answer: at === 0 ? "Ana: budget, abcdefghijklm" : "Ana",
      })),
      prompts: set.prompts.map(({ id, prompt }) => ({ id, text: prompt })),
      rounds: 1,
      disturbEvery: 20,
      plan: { prefix: "as is", prompt_set: { name, sha256, prompts: asSent } },
    });
    const [first, ...rest] = info.candidates;
    const candidates = [{ ...first, sha256: hash }, ...rest];
    await Deno.writeTextFile(join(folder, "run.json"), JSON.stringify({ ...info, candidates }));
    await Deno.writeTextFile(join(folder, "prompts.json"), JSON.stringify(set));
    await writeQuality(folder, parsed);

    const args = ["a-run", "--out", out, "--min-score", "0.3", "--max-disk", "900"];
    args.push(
      "--licenses",
      "open,gemma",
      "--weights",
      "quality=1,latency=0.2",
      "--max-drop",
      "0.2",
      "--seed",
      "7",
    );
    const { decision, markdown } = await select(settingsOf(args));
    const lines = [
      "- Limits: max-disk 900; licenses open, gemma; min-score 0.3",
      "- Noise: other programs or the hypervisor disturbed 2 of 40 blocks",
      `- Prompt set: made-up, sha256 ${info.plan.prompt_set.sha256}`,
      "- Versions: podium 0.1.0, deno 2.9.6",
      "- Scope: cases like these; 40 timed, 40 with scored answers of all candidates",
      "- Baseline: the best constant answer, 1.00. Without a quality floor",
      `| ${ids[0]} | ${hash} | Apache-2.0 | commercial use: yes, redistribution: yes;`,
      "| mean score (95 %) | 1.00 (",
      "| has budget | 40 of 40 | 0 of 40 |",
      "| has m | 40 of 40 | 0 of 40 |",
      "| p95 s |",
    ];
    for (const line of lines) assert.ok(markdown.includes(line), `decision.md lacks ${line}:\n${markdown}`);

    const command = decision.command ?? "";
    assert.equal(
      command,
      "deno task select a-run --max-disk 900 --licenses open,gemma --min-score 0.3 " +
        "--weights quality=1,latency=0.2 --max-drop 0.2 --seed 7",
    );
    const again = await select(settingsOf([...command.split(" ").slice(3), "--out", out]));
    assert.deepEqual(again.decision, decision);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("select and the report of the same run name the same candidate as fastest, or neither does", async () => {
  const slow = { id: "slow", ttftMs: 200, itlMs: 20, tokens: 40 };
  const quick = { id: "quick", ttftMs: 50, itlMs: 5, tokens: 40 };
  const worlds: [GeneratedRun, string | null][] = [
    [{ candidates: [quick, slow] }, "quick"],
    // A few long stalls turn the order of the means, not of the blocks.
    [{ candidates: [{ ...quick, itlMs: 17, ttftMs: 190, stalling: 0.05 }, slow] }, null],
    [{ candidates: [quick, { ...quick, id: "twin" }] }, null],
    [{ candidates: [slow, { ...slow, id: "third", itlMs: 12 }, quick] }, "quick"],
    [{ candidates: [quick, slow], disturbEvery: 2 }, null],
    [{ candidates: [{ ...quick, failing: 0.4 }, slow] }, null],
  ];
  const out = await Deno.makeTempDir({ prefix: "podium-select-" });
  try {
    for (const [at, [world, named]] of worlds.entries()) {
      const prompts = Array.from({ length: 60 }, (_, at) => ({ id: `case-${at}`, text: `Case ${at}` }));
      await writeGeneratedRun(join(out, `r${at}`), { runId: `r${at}`, prompts, rounds: 1, ...world });
      const { decision } = await select(settingsOf([`r${at}`, "--out", out]));
      const said = highlights(await summarizeRun(join(out, `r${at}`))).map(({ text }) => text).join("\n");
      const [, reported = null] = /^`([^`]+)` answers fastest/m.exec(said) ?? [];
      if (named !== null) assert.equal(decision.fastest, named, `world ${at}: ${decision.reason}`);
      if (decision.fastest !== null) assert.equal(reported, decision.fastest, `world ${at}: ${said}`);
      const [, leader = null] = /`([^`]+)` leads/.exec(said) ?? [];
      assert.ok(decision.fastest === null || leader === null || leader === decision.fastest, said);
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("a decision of the future, a damaged one and one with a byte order mark are told apart", async () => {
  const out = await Deno.makeTempDir({ prefix: "podium-select-" });
  try {
    const candidates = [{ id: "quick", ttftMs: 50, itlMs: 5, tokens: 40 }];
    await writeGeneratedRun(join(out, "r"), { runId: "r", candidates });
    const { decision } = await select(settingsOf(["r", "--out", out]));
    const text = JSON.stringify(decision);
    assert.deepEqual(parseDecision(`\uFEFF${text}`, "d.json"), decision);
    for (
      const [wrong, says] of [
        [
          text.replace('"schema_version":2', '"schema_version":3'),
          /^d\.json was written by a newer version of Podium \(schema 3/,
        ],
        [text.slice(0, 90), /^d\.json is damaged: .*; make one with deno task select$/],
        ["[]", /^d\.json is damaged: .*; make one with deno task select$/],
      ] as const
    ) {
      assert.throws(
        () => parseDecision(wrong, "d.json"),
        (error) => error instanceof UserError && says.test(error.message),
      );
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
