/** Decisions over runs whose truth is known. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { UserError } from "../../../lib/errors.ts";
import type { RunInfo } from "../../../lib/bench/records.ts";
import { loadRegistry } from "../../../lib/catalog/registry.ts";
import { parsePromptSet } from "../../../lib/prompts/prompts.ts";
import { writeQuality } from "../../../lib/quality/quality.ts";
import type { VoteRecord } from "../../../lib/quality/votes.ts";
import { passRate } from "../../../lib/quality/pass_rate.ts";
import { countStates, type QualityReport } from "../../../lib/quality/quality_schema.ts";
import { NO_CONSTRAINTS } from "../../../lib/select/decide/constraints.ts";
import {
  adapterAnswers,
  type BaselineAnswers,
  constantBaseline,
} from "../../../lib/select/decide/baseline.ts";
import { decide, type DecisionTerms } from "../../../lib/select/decide/decision.ts";
import { decisionMarkdown } from "../../../lib/select/decide/decision_markdown.ts";
import { type Decision, decisionSchema } from "../../../lib/select/decide/decision_schema.ts";
import { gatherEvidence } from "../../../lib/select/decide/evidence.ts";
import { DEFAULT_WEIGHTS } from "../../../lib/select/decide/ranking.ts";
import { replayRecorded } from "../../../lib/select/race/recorded_race.ts";
import { compareSharedAnswers } from "../../../lib/select/decide/shared_answers.ts";
import { seededRandom } from "../../../lib/stats/random.ts";
import {
  type GeneratedCandidate,
  generatedQuality,
  type GeneratedRun,
  writeGeneratedRun,
} from "../../../benchmarks/generated_run.ts";

const terms = (change: Partial<DecisionTerms> = {}): DecisionTerms => ({
  constraints: NO_CONSTRAINTS,
  weights: DEFAULT_WEIGHTS,
  delta: 0.05,
  epsilon: 0.05,
  registry: null,
  race: null,
  watts: null,
  pricePerKwh: null,
  course: null,
  random: seededRandom("decide"),
  ...change,
});

const quick: GeneratedCandidate = { id: "quick", ttftMs: 50, itlMs: 5, tokens: 40 };
const slow: GeneratedCandidate = { id: "slow", ttftMs: 200, itlMs: 20, tokens: 40 };

async function withRun(
  candidates: readonly GeneratedCandidate[],
  scores: Readonly<Record<string, number>> | null,
  then: (folder: string) => Promise<void>,
  change: Partial<GeneratedRun> = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "podium-decide-" });
  try {
    const prompts = Array.from({ length: 80 }, (_, at) => ({ id: `case-${at}`, text: `Case ${at}` }));
    const info = await writeGeneratedRun(folder, { candidates, prompts, rounds: 1, ...change });
    if (scores !== null) {
      const quality = generatedQuality(info, Object.keys(scores), (id) => scores[id] ?? 0);
      await Deno.writeTextFile(join(folder, "quality.json"), JSON.stringify(quality));
    }
    await then(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("without a scored answer the fastest is named, and nothing is chosen", async () => {
  await withRun([slow, quick], null, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.deepEqual([decision.verdict, decision.choice, decision.fastest], ["fastest", null, "quick"]);
    assert.match(decision.reason, /quick is the fastest, but no answer was checked or rated/);
    assert.match(decision.what_would_change_it.join(), /quality capture/);
    assert.match(decisionMarkdown(decision), /^# Fastest: quick\. Nothing is chosen\n/);
  });
});

Deno.test("about as good and four times as fast: it wins, and the weights that would turn it are named", async () => {
  await withRun([quick, slow], { quick: 0.68, slow: 0.7 }, async (folder) => {
    const evidence = await gatherEvidence([folder], null);
    const decision = decide(evidence, terms());
    assert.deepEqual([decision.verdict, decision.winner, decision.runner_up], ["winner", "quick", "slow"]);
    assert.ok((decision.candidates[0]?.probability_best ?? 0) >= 0.95);
    const quality = decision.sensitivity.find(({ part }) => part === "quality");
    assert.equal(quality?.above, "slow");
    const turned = decide(
      evidence,
      terms({ weights: { ...DEFAULT_WEIGHTS, quality: (quality?.to ?? 0) * 1.2 } }),
    );
    assert.equal(turned.leader, "slow");
    assert.match(decision.what_would_change_it[0] ?? "", /slow would lead .* times faster, or scored/);
    // A few requests of a generated run fail: only cases that both answered count.
    const { claim, cases } = decision.scope;
    assert.ok(claim === "cases like these" && cases >= 60 && cases < 80, `${cases}`);
    decisionSchema.parse(JSON.parse(JSON.stringify(decision)));
    assert.match(decisionMarkdown(decision, { pareto: "pareto.svg" }), /^# Choice: quick\n/);
  });
});

Deno.test("however fast, what answers worse is no choice; what speed is worth is bounded", async () => {
  const instant = { ...quick, id: "instant", ttftMs: 1, itlMs: 0.1 };
  await withRun([instant, slow], { instant: 0.38, slow: 0.73 }, async (folder) => {
    const evidence = await gatherEvidence([folder], null);
    const decision = decide(evidence, terms());
    assert.deepEqual([decision.verdict, decision.choice], ["winner", "slow"]);
    const row = decision.candidates.find(({ id }) => id === "instant");
    assert.equal(row?.may_be_chosen, false);
    assert.match(row?.why_or_why_not ?? "", /not shown to be within 0\.1 of slow's: −0\.35/);
    // Both met the floor: even so, seven halvings count like three.
    const floor = { ...NO_CONSTRAINTS, minScore: 0.3 };
    assert.equal(decide(evidence, terms({ constraints: floor })).choice, "slow");
  });
});

Deno.test("models that all score 0 are each as good as the best, and none is chosen", async () => {
  await withRun([quick, slow], { quick: 0, slow: 0 }, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.deepEqual([decision.verdict, decision.choice, decision.fastest], ["fastest", null, "quick"]);
    assert.match(decision.reason, /not shown to beat the baseline/);
  });
  await withRun([quick], { quick: 0 }, async (folder) => {
    const alone = decide(await gatherEvidence([folder], null), terms());
    assert.deepEqual([alone.verdict, alone.choice], ["undecided", null]);
  });
});

Deno.test("what a constant answer reaches, a choice must beat", async () => {
  await withRun([quick, slow], { quick: 0.68, slow: 0.7 }, async (folder) => {
    const info = JSON.parse(await Deno.readTextFile(join(folder, "run.json")));
    const checks = [{ kind: "not_contains", name: "clean", texts: ["zzz"] }];
    const prompts = info.plan.prompt_set.prompts.map((
      { id, messages }: { id: string; messages: unknown },
    ) => ({
      id,
      messages,
      checks,
    }));
    await Deno.writeTextFile(join(folder, "prompts.json"), JSON.stringify({ name: "clean", prompts }));
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.deepEqual([decision.verdict, decision.choice], ["fastest", null]);
    assert.match(decision.reason, /not shown to beat the baseline \(the best constant answer, 1\.00\)/);
  });
});

Deno.test("cut answers that could lift a rival are named, with how far; those that could not are not", async () => {
  const cases = (from: number, to: number, state: "right" | "wrong" | "cut") =>
    Array.from({ length: to - from }, () => state);
  const told = async (cut: number) => {
    const states = [...cases(0, 30, "right"), ...cases(30, 30 + cut, "cut"), ...cases(30 + cut, 80, "wrong")];
    const found: string[] = [];
    await withRun([quick, slow], { quick: 0.9, slow: 0.9 }, async (folder) => {
      const path = join(folder, "quality.json");
      const report: QualityReport = JSON.parse(await Deno.readTextFile(path));
      const marks = (id: string) =>
        id === "quick" ? cases(0, 60, "right").concat(cases(60, 80, "wrong")) : states;
      const shown = (state: string) => state === "right" ? 1 : 0;
      await Deno.writeTextFile(
        path,
        JSON.stringify({
          ...report,
          candidates: report.candidates.map((one) => ({
            ...one,
            ...countStates(marks(one.id).map((state) => ({ state }))),
            pass_rate: passRate(marks(one.id).map(shown)),
            score: {
              n: 80,
              mean: marks(one.id).filter((state) => state === "right").length / 80,
              ci95: null,
            },
          })),
          answers: report.answers.map((answer) => {
            const at = Number(answer.prompt_id.replace("case-", ""));
            const state = marks(answer.candidate)[at] ?? "wrong";
            return { ...answer, state, score: shown(state), passed: state === "right" };
          }),
        }),
      );
      const decision = decide(await gatherEvidence([folder], null), terms());
      assert.equal(decision.choice, "quick");
      found.push(...decision.what_would_change_it.filter((line) => line.includes("cut")));
    });
    return found;
  };
  assert.deepEqual(await told(40), [
    "slow had 40 of 80 answers cut, which count as wrong: with a larger --max-tokens 38 % right could become up to 88 %",
  ]);
  assert.deepEqual(await told(20), [], "at most 50 of 80, and quick has 60");
});

Deno.test("people's votes on pairs are the quality where no answer was checked or rated by people", async () => {
  const set = parsePromptSet({
    name: "voted",
    prompts: Array.from({ length: 80 }, (_, at) => ({ id: `case-${at}`, prompt: `Case ${at}` })),
  }, "voted");
  const { name, sha256, prompts } = set;
  const recorded = prompts.map(({ id, sha256, messages }) => ({ id, sha256, messages: [...messages] }));
  const change = { plan: { prompt_set: { name, sha256, prompts: recorded } } };
  const voted = (choiceOf: (at: number) => VoteRecord["choice"]) =>
    prompts.map(({ id }, at): VoteRecord => ({
      rater: "ana",
      prompt_id: id,
      candidates: ["quick", "slow"],
      answers: [`timed/1/${id}/quick`, `timed/1/${id}/slow`],
      shown_first: at % 2 === 0 ? "first" : "second",
      choice: choiceOf(at),
    }));
  const lines = (all: readonly object[]) => all.map((one) => `${JSON.stringify(one)}\n`).join("");
  await withRun([quick, slow], null, async (folder) => {
    const decideNow = async () => {
      await writeQuality(folder, set);
      return decide(await gatherEvidence([folder], null), terms());
    };
    // Three of four cases go to slow and the others to nobody.
    const choices = ["second", "second", "second", "tie"] as const;
    const votes = voted((at) => choices[at % 4] ?? "tie");
    await Deno.writeTextFile(join(folder, "votes.jsonl"), lines(votes));
    const decision = await decideNow();
    assert.deepEqual([decision.quality_source, decision.choice, decision.verdict], [
      "votes",
      "slow",
      "winner",
    ]);
    const shares = new Map(decision.candidates.map(({ id, quality }) => [id, quality]));
    assert.ok(Math.abs((shares.get("slow") ?? 0) - 0.875) < 0.02, "a tie is one half");
    assert.match(decisionMarkdown(decision), /people's votes on pairs/);
    decisionSchema.parse(JSON.parse(JSON.stringify(decision)));

    const bad = voted(() => "both_bad");
    await Deno.writeTextFile(join(folder, "votes.jsonl"), lines(bad));
    const none = await decideNow();
    assert.deepEqual([none.quality_source, none.choice], ["votes", null]);

    // Marks from 1 to 5 come before votes.
    const ratings = votes.flatMap(({ prompt_id, answers }) =>
      answers.map((answer, at) => ({
        source: "person",
        rater: "ana",
        rubric: "fluency",
        answer,
        candidate: at === 0 ? "quick" : "slow",
        prompt_id,
        scores: { fluency: 4, relevance: 4, correctness: 4 },
        comment: null,
      }))
    );
    await Deno.writeTextFile(join(folder, "ratings.jsonl"), lines(ratings));
    const rated = await decideNow();
    assert.deepEqual([rated.quality_source, rated.choice], ["people", "quick"]);
  }, change);
});

Deno.test("the same evidence decides the same, to the last digit", async () => {
  await withRun([quick, slow], { quick: 0.68, slow: 0.7 }, async (folder) => {
    const twice = [
      decide(await gatherEvidence([folder], null), terms()),
      decide(await gatherEvidence([folder], null), terms({ random: seededRandom("decide") })),
    ];
    assert.equal(JSON.stringify(twice[0]), JSON.stringify(twice[1]));
  });
});

Deno.test("as good as equal is a tie; one left is only; nobody is none, with the best of the rest", async () => {
  const twin = { ...quick, id: "twin" };
  await withRun([quick, twin], { quick: 0.7, twin: 0.7 }, async (folder) => {
    assert.equal(decide(await gatherEvidence([folder], null), terms()).verdict, "tie");
  });
  await withRun([quick, slow], { quick: 0.3, slow: 0.7 }, async (folder) => {
    const evidence = await gatherEvidence([folder], null);
    const floor = (minScore: number) =>
      decide(evidence, terms({ constraints: { ...NO_CONSTRAINTS, minScore } }));
    const only = floor(0.5);
    assert.deepEqual([only.verdict, only.choice], ["only", "slow"]);
    assert.match(
      only.excluded[0]?.reason ?? "",
      /0\.300 .* over 80 prompts, and the lower bound must reach the floor of 0\.500/,
    );
    const none = floor(0.9);
    assert.deepEqual([none.verdict, none.winner, none.choice, none.best_of_the_rest], [
      "none",
      null,
      null,
      "slow",
    ]);
    assert.match(decisionMarkdown(none), /^# None; the best of the rest is slow/);
  });
});

Deno.test("a decision over a race says that the machine was busy, with scores and without", async () => {
  for (const scores of [null, { quick: 0.7, slow: 0.7 }]) {
    await withRun([slow, quick], scores, async (folder) => {
      const race = await replayRecorded(folder, { budget: 4 });
      const decision = decide(await gatherEvidence([folder], null), terms({ race }));
      assert.equal(decision.verdict, "undecided");
      const why = scores === null ? "no answer was checked" : "the budget of 4 requests is spent";
      assert.ok(decision.reason.startsWith(`the machine was busy; ${why}`), decision.reason);
      assert.match(decisionMarkdown(decision), /^# Undecided\n\nBecause: the machine was busy; /);
      assert.match(
        decision.warnings.join("\n"),
        /^during the race the machine was busy: its ratios are provisional$/m,
      );
    }, { disturbEvery: 1 });
  }
});

Deno.test("where drift or other programs may explain the times, speed decides nothing", async () => {
  const because: [RegExp, Partial<GeneratedRun>][] = [
    [/ran one after the other: drift was not controlled/, { plan: { order: "by model" } }],
    [/requests overlapped/, { plan: { concurrency: 4 } }],
    [/the machine was busy/, { disturbEvery: 1 }],
  ];
  for (const [why, change] of because) {
    await withRun([slow, quick], null, async (folder) => {
      const decision = decide(await gatherEvidence([folder], null), terms());
      assert.deepEqual([decision.verdict, decision.fastest], ["undecided", null], String(why));
      assert.match(decision.warnings.join("\n"), why);
    }, change);
    await withRun([slow, quick], { quick: 0.68, slow: 0.7 }, async (folder) => {
      const decision = decide(await gatherEvidence([folder], null), terms());
      assert.notEqual(decision.winner, "quick", String(why));
      assert.equal(decision.weights["latency"], undefined);
    }, change);
  }
});

Deno.test("who fails more often is neither the fastest nor the winner for its speed", async () => {
  // Its slowest requests may be those that failed.
  const flaky = { ...quick, failing: 0.1 };
  await withRun([flaky, slow], null, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.deepEqual([decision.verdict, decision.fastest], ["undecided", null]);
  });
  await withRun([flaky, slow], { quick: 0.7, slow: 0.7 }, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.equal(decision.winner, null, decision.reason);
  });
});

Deno.test("two runs share no clock: neither of their candidates is called the fastest", async () => {
  const folders = await Promise.all([1, 2].map(() => Deno.makeTempDir({ prefix: "podium-two-" })));
  const [a = "", b = ""] = folders;
  const prompts = Array.from({ length: 20 }, (_, at) => ({ id: `case-${at}`, text: `Case ${at}` }));
  await writeGeneratedRun(a, { candidates: [quick], runId: "run-a", prompts });
  await writeGeneratedRun(b, { candidates: [slow], runId: "run-b", prompts });
  const decision = decide(await gatherEvidence([a, b], null), terms());
  assert.equal(decision.fastest, null);
  assert.match(decision.warnings.join("\n"), /the times come from 2 runs/);
  await Promise.all(folders.map((folder) => Deno.remove(folder, { recursive: true })));
});

Deno.test("five cases show nothing at 2.5 %, however clear; and a floor of nothing is no floor", async () => {
  const prompts = Array.from({ length: 5 }, (_, at) => ({ id: `case-${at}`, text: `Case ${at}` }));
  await withRun([quick, slow], { quick: 0, slow: 1 }, async (folder) => {
    assert.equal(decide(await gatherEvidence([folder], null), terms()).winner, null);
  }, { prompts });
  await withRun([quick, slow], { quick: 0, slow: 0 }, async (folder) => {
    const constraints = { ...NO_CONSTRAINTS, minPassRate: 0, minScore: 0 };
    const decision = decide(await gatherEvidence([folder], null), terms({ constraints }));
    assert.deepEqual([decision.verdict, decision.choice], ["fastest", null]);
  });
});

Deno.test("a few equal scores are no tie, and neither are twins of which one fails", async () => {
  const twin = { ...quick, id: "twin" };
  const prompts = Array.from({ length: 12 }, (_, at) => ({ id: `case-${10 + at}`, text: `Case ${at}` }));
  const constraints = { ...NO_CONSTRAINTS, minScore: 0.3 };
  await withRun([quick, twin], { quick: 1, twin: 1 }, async (folder) => {
    const weights = { quality: 1 };
    const decision = decide(await gatherEvidence([folder], null), terms({ weights, constraints }));
    assert.equal(decision.verdict, "undecided");
    assert.match(decision.reason, /rare cases was not ruled out: that takes 59 cases, and there are 12/);
  }, { prompts });
  await withRun([quick, { ...twin, failing: 0.05 }], { quick: 0.7, twin: 0.7 }, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.notEqual(decision.verdict, "tie", decision.reason);
  });
});

Deno.test("whose answers were not scored, or who failed, is excluded and says so", async () => {
  const dead = { ...quick, id: "dead", failing: 1 };
  await withRun([quick, slow, dead], { quick: 0.7 }, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms());
    assert.equal(decision.choice, "quick");
    assert.deepEqual(decision.excluded.map(({ id, constraint }) => [id, constraint]), [
      ["slow", "quality"],
      ["dead", "failed"],
    ]);
  });
});

Deno.test("where the cases are notes, a choice without a floor must beat the extractive adapter", async () => {
  const notes = await Deno.readTextFile("prompts/meeting_notes.json");
  const { prompts } = parsePromptSet(JSON.parse(notes), "notes");
  const registry = await loadRegistry("models.json");
  const started = adapterAnswers(registry, { denoPath: Deno.execPath(), env: Deno.env });
  let answers: ReturnType<BaselineAnswers> | undefined;
  const answersOf: BaselineAnswers = (...asked) => answers ??= started(...asked);
  const change = { prompts: prompts.map(({ id }) => ({ id, text: `Notes of ${id}` })) };
  await withRun([quick, slow], { quick: 0.6, slow: 0.6 }, async (folder) => {
    await Deno.writeTextFile(join(folder, "prompts.json"), notes);
    const decision = decide(await gatherEvidence([folder], null, { answersOf }), terms());
    assert.deepEqual([decision.choice, decision.baseline], [null, "extractive-notes, 0.66"]);
    assert.ok(Math.abs((decision.baseline_score ?? 0) - 0.66) < 0.01);
    assert.match(decision.reason, /not shown to beat the baseline \(extractive-notes, 0\.66\)/);
    assert.match(decisionMarkdown(decision), /Baseline: extractive-notes, 0\.66/);
    const floor = { ...NO_CONSTRAINTS, minScore: 0.3 };
    const floored = decide(
      await gatherEvidence([folder], null, { answersOf }),
      terms({ constraints: floor }),
    );
    assert.notEqual(floored.choice, null, "a floor that was met takes its place");

    const none = adapterAnswers({ ...registry, models: [] }, { denoPath: Deno.execPath(), env: Deno.env });
    const { baseline } = decide(await gatherEvidence([folder], null, { answersOf: none }), terms());
    assert.match(
      baseline ?? "",
      /^the best constant answer, 0\.\d\d; meeting_notes names extractive-notes, but/,
    );
  }, change);
  await withRun([quick, slow], { quick: 0.95, slow: 0.95 }, async (folder) => {
    await Deno.writeTextFile(join(folder, "prompts.json"), notes);
    const decision = decide(await gatherEvidence([folder], null, { answersOf }), terms());
    assert.equal(decision.candidates.find(({ rank }) => rank === 1)?.may_be_chosen, true);
  }, change);
});

Deno.test("candidates share scores while their recorded answers are the same", async () => {
  const one = { ...quick, id: "a:q4+threads=1" };
  const two = { ...slow, id: "a:q4+threads=2" };
  const decided = async (
    second: GeneratedCandidate,
    plan: Partial<RunInfo["plan"]> = {},
    minScore: number | null = null,
  ) => {
    const found: Decision[] = [];
    await withRun([one, second], { [one.id]: 0.8 }, async (folder) => {
      const evidence = await gatherEvidence([folder], null);
      found.push(decide(evidence, terms({ constraints: { ...NO_CONSTRAINTS, minScore } })));
    }, { plan });
    const [decision] = found;
    if (decision === undefined) throw new Error("no decision");
    const row = decision.candidates.find(({ id }) => id === second.id);
    return { decision, row, markdown: decisionMarkdown(decision) };
  };
  const alike = await decided(two);
  assert.equal(alike.row?.quality?.toFixed(3), "0.800");
  assert.deepEqual(alike.row?.quality_shared, { from: one.id, compared: 80, different: 0 });
  assert.match(alike.markdown, /shares the scores of a:q4\+threads=1: all 80 recorded answers/);

  for (const floor of [null, 0.3]) {
    const other = await decided({ ...two, answer: "Something else." }, {}, floor);
    assert.deepEqual([other.row?.quality, other.row?.checks, other.row?.rank], [null, [], null]);
    assert.match(
      other.decision.excluded.filter(({ id }) => id === two.id).map(({ reason }) => reason).join("; "),
      /^it can't share the scores of a:q4\+threads=1: 80 of 80 recorded answers differ at temperature 0$/,
    );
    assert.equal(other.decision.leader, one.id, "the one whose answers were scored is left");
  }

  const warm = await decided({ ...two, answer: "Something else." }, { temperature: 0.7 });
  assert.deepEqual(warm.row?.quality_shared, { from: one.id, compared: 0, different: 0 });
  assert.match(warm.markdown, /no recorded answers could be compared/);
});

Deno.test("between runs, answers compare where both sent the prompts unchanged; a cut one by its beginning", async () => {
  const one = { ...quick, id: "a:q4+threads=1", answer: "Ana sends the budget" };
  const [scored, other] = await Promise.all([1, 2].map(() => Deno.makeTempDir({ prefix: "podium-share-" })));
  if (scored === undefined || other === undefined) throw new Error("no folders");
  const pair = { id: "a:q4+threads=2", from: one.id };
  const compared = async (answer: string, plan: Partial<RunInfo["plan"]>) => {
    await writeGeneratedRun(other, { candidates: [{ ...slow, id: pair.id, answer }], rounds: 1, plan });
    const [found] = await compareSharedAnswers([pair], [scored, other]);
    return [found?.compared, found?.different];
  };
  await writeGeneratedRun(scored, { candidates: [one], rounds: 1, plan: { prefix: "as is" } });
  assert.deepEqual(await compared("Ana sends", { prefix: "as is", max_tokens: 2 }), [6, 0]);
  assert.deepEqual(await compared("Ana sends", { prefix: "as is" }), [6, 6], "nothing cut it there");
  assert.deepEqual(
    await compared("Ben sends", { prefix: "cold" }),
    [0, 0],
    "another number opens the prompt",
  );
  await Promise.all([scored, other].map((folder) => Deno.remove(folder, { recursive: true })));
});

Deno.test("machines are not mixed, nor conditions", async () => {
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => Deno.makeTempDir({ prefix: "podium-mix-" })));
  if (a === undefined || b === undefined || c === undefined) throw new Error("no folders");
  await writeGeneratedRun(a, { candidates: [quick], runId: "run-a" });
  await writeGeneratedRun(b, { candidates: [slow], runId: "run-b", machine: { cores: 64 } });
  await writeGeneratedRun(c, { candidates: [slow], runId: "run-c", plan: { max_tokens: 7 } });
  await assert.rejects(
    gatherEvidence([a, b], null),
    (error) =>
      error instanceof UserError && /run-a and run-b come from different machines/.test(error.message),
  );
  const evidence = await gatherEvidence([a, c], null);
  assert.throws(
    () => decide(evidence, terms()),
    (error) => error instanceof UserError && /different conditions \(max-tokens/.test(error.message),
  );
  await Promise.all([a, b, c].map((folder) => Deno.remove(folder, { recursive: true })));
});

Deno.test("energy is an estimate that says so, and a faster model is the cheaper one", async () => {
  await withRun([quick, slow], { quick: 0.7, slow: 0.7 }, async (folder) => {
    const decision = decide(await gatherEvidence([folder], null), terms({ watts: 20, pricePerKwh: 0.3 }));
    const [fast, late] = decision.candidates.map(({ energy }) => energy);
    assert.ok((fast?.cost_per_1000 ?? 1) < (late?.cost_per_1000 ?? 0));
    assert.equal(fast?.source, "estimate");
    assert.match(decisionMarkdown(decision), /estimate, 20 W stated/);
  });
});

Deno.test("classifying is held against the most frequent label, though no model gave it", () => {
  const labels = ["bug", "billing"];
  const { prompts } = parsePromptSet(
    ["bug", "bug", "bug", "billing"].map((expected, at) => ({
      id: `t${at}`,
      prompt: "Which?",
      checks: [{ kind: "label", expected, labels }],
    })),
    "tickets",
  );
  const scores = constantBaseline(prompts, prompts.map(({ id }) => ({ prompt: id, text: "I can't tell" })));
  assert.deepEqual([...scores?.values() ?? []], [1, 1, 1, 0]);
  const even = constantBaseline(
    [...prompts.slice(2), ...prompts.slice(2)].map((one, at) => ({ ...one, id: `${at}` })),
    [],
  );
  assert.equal([...even?.values() ?? []].reduce((sum, one) => sum + one, 0), 2, "half of even labels");
});
