/** A live race on candidates whose truth is known, on a virtual clock, and the same race over its records. */
import assert from "node:assert/strict";
import type { RaceTerms } from "../../../lib/bench/records.ts";
import { parsePromptSet, type PromptSet } from "../../../lib/prompts/prompts.ts";
import { createRunFolder } from "../../../lib/bench/folder.ts";
import { readSamples } from "../../../lib/bench/read_run.ts";
import { raceLive } from "../../../lib/select/race/live_race.ts";
import type { RaceState } from "../../../lib/select/race/race_state.ts";
import { raceReport, verdictText } from "../../../lib/select/race/race_report.ts";
import { DEFAULT_TERMS, raceOver, replayRecorded, scorer } from "../../../lib/select/race/recorded_race.ts";
import { type FakeBehaviour, fakeCandidate, fakeMachine, runInfoOf, VirtualTime } from "../../bench/fakes.ts";

async function race(
  behaviours: Readonly<Record<string, FakeBehaviour>>,
  terms: Partial<RaceTerms> = {},
  { stopAfter = Infinity, othersS = () => 0, set = null }: {
    /** The cases, with their checks; without them there are forty that nothing checks. */
    readonly set?: PromptSet | null;
    readonly stopAfter?: number;
    /** Processor seconds that another program used since the start. */
    readonly othersS?: (atMs: number) => number;
  } = {},
) {
  const time = new VirtualTime();
  const candidates = Object.entries(behaviours).map(([id, one]) => fakeCandidate(id, time, one));
  const prompts = Array.from({ length: 40 }, (_, at) => ({
    id: `p${at}`,
    sha256: String(at).padStart(64, "0"),
    messages: [{ role: "user" as const, content: `Case ${at}` }],
  }));
  const prompt_set = set === null ? { name: "forty", sha256: "0".repeat(64), prompts } : {
    name: set.name,
    sha256: set.sha256,
    prompts: set.prompts.map(({ id, sha256, messages, tools }) => ({
      id,
      sha256,
      messages: [...messages],
      tools: [...tools],
    })),
  };
  const info = runInfoOf(candidates, { mode: "race", race: { ...DEFAULT_TERMS, ...terms }, prompt_set });
  const root = await Deno.makeTempDir({ prefix: "podium-live-" });
  const folder = await createRunFolder(root, info);
  const stop = new AbortController();
  const states: RaceState[] = [];
  const ended = await raceLive({
    info,
    candidates,
    sink: time.holding(folder),
    clock: time.clock,
    sleep: time.sleep,
    readMachine: fakeMachine(time, othersS),
    findBusiest: () => Promise.resolve({ program: "firefox", cores: 0.62 }),
    signal: stop.signal,
    score: set === null ? () => null : scorer(set.prompts),
    onBlock: (state) => {
      states.push(state);
      if (state.blocks === stopAfter) stop.abort(new DOMException("enough", "AbortError"));
    },
  });
  folder.close();
  const replayed = await replayRecorded(folder.path, {}, set);
  const samples = await Array.fromAsync(readSamples(folder.path));
  await Deno.remove(root, { recursive: true });
  return { ended, last: states.at(-1), replayed, samples, report: raceReport(replayed) };
}

Deno.test("a replay gives the live race's state to the last digit: latencies, first tokens, rates, utilities", async () => {
  const jitter = (seed: number) => (atMs: number) => 1 + 0.2 * Math.sin(seed * atMs);
  const behaviours = {
    a: { ttftMs: 50, itlMs: 10, slowdown: jitter(1) },
    b: { ttftMs: 80, itlMs: 12, slowdown: jitter(2) },
    c: { ttftMs: 60, itlMs: 30, slowdown: jitter(3) },
  };
  for (const by of ["latency", "ttft", "throughput", "utility"] as const) {
    const weights = by === "utility" ? { latency: 1, ttft: 0.5 } : null;
    const { last, replayed, ended, report } = await race(behaviours, { by, weights });
    assert.deepEqual(replayed.state, last, by);
    assert.equal(ended.status, "completed");
    // A race by speed says who is the fastest, and recommends nothing.
    assert.deepEqual([report.winner, report.choice], ["a", null], by);
  }
});

Deno.test("a candidate that fails three times in a row leaves: no winner, and its name in the verdict", async () => {
  const failing = { ttftMs: 10, fails: (nth: number) => nth > 3 ? "it broke" : null };
  const { last, replayed, report } = await race({ steady: { ttftMs: 50 }, failing });
  assert.deepEqual(replayed.state, last);
  assert.deepEqual([report.verdict, report.winner, report.choice], ["left", null, null]);
  assert.deepEqual(report.left.map(({ id, block }) => [id, block]), [["failing", 5]]);
});

Deno.test("drawn with replacement, these cases alone are raced, and a replay follows every draw", async () => {
  const { last, replayed, report } = await race(
    { quick: { ttftMs: 10 }, slow: { ttftMs: 90 } },
    { scope: "these cases" },
  );
  assert.deepEqual(replayed.state, last);
  assert.deepEqual(report.scope, { claim: "these cases", cases: 40, raced: 8 });
  assert.equal(report.winner, "quick");
});

Deno.test("one that can't be loaded is excluded, and the others race on", async () => {
  const { report, ended } = await race({
    quick: { ttftMs: 10 },
    slow: { ttftMs: 90 },
    gone: { broken: "no such file" },
  });
  assert.deepEqual([report.winner, report.blocks], ["quick", 8]);
  assert.deepEqual(ended.plan.race?.excluded.map(({ id, reason }) => [id, reason]), [[
    "gone",
    "no such file",
  ]]);
});

Deno.test("an interrupted race keeps its blocks and can be replayed: undecided", async () => {
  const { ended, report } = await race({ quick: { ttftMs: 10 }, slow: { ttftMs: 90 } }, {}, {
    stopAfter: 3,
  });
  assert.equal(ended.status, "interrupted");
  assert.deepEqual([report.verdict, report.blocks], ["undecided", 3]);
});

Deno.test("where nobody answers, the verdict is none", async () => {
  const dead = { fails: () => "no" };
  const { ended, report } = await race({ one: dead, two: dead });
  assert.deepEqual([report.verdict, ended.status], ["none", "failed"]);
});

/** 0.62 cores, all the time. */
const browser = (atMs: number) => 0.62 * atMs / 1000;

/** Two that differ by less than their noise. */
const close = {
  a: { ttftMs: 50, slowdown: (atMs: number) => 1 + 0.5 * Math.sin(atMs) },
  b: { ttftMs: 50, slowdown: (atMs: number) => 1 + 0.5 * Math.sin(2 * atMs) },
};

Deno.test("on a busy machine each block names the program, and the reason says so before anything else", async () => {
  const { last, samples, report } = await race(close, { budget: 40 }, { othersS: browser });
  const machine = samples.filter((record) => record.kind === "machine");
  assert.equal(machine.length, report.blocks);
  assert.ok(machine.every(({ busiest }) => busiest?.program === "firefox" && busiest.cores === 0.62));
  assert.equal(report.verdict, "undecided");
  assert.ok(last?.verdict?.verdict === "undecided");
  assert.equal(report.reason, `the machine was busy (firefox, 0.62 cores); ${last.verdict.reason}`);
  assert.equal(report.provisional, true);
  assert.match(
    verdictText(report),
    /^No verdict by latency, .*: the machine was busy \(firefox, 0\.62 cores\); /,
  );
});

Deno.test("a race that is too close to call on a quiet machine, or a mostly quiet one, blames no program", async () => {
  const quarter = (atMs: number) => atMs < 3000 ? browser(atMs) : browser(3000);
  for (const othersS of [() => 0, quarter]) {
    const { report, samples } = await race(close, { budget: 40 }, { othersS });
    assert.equal(samples.some((record) => record.kind === "machine" && record.busiest), othersS === quarter);
    assert.deepEqual([report.verdict, report.provisional], ["undecided", false]);
    assert.doesNotMatch(verdictText(report), /busy/);
  }
});

Deno.test("a race replayed over records of a busy run: no verdict by time, provisional ratios, scores as ever", async () => {
  const { replayed, samples } = await race({ quick: { ttftMs: 10 }, slow: { ttftMs: 90 } }, {}, {
    othersS: browser,
  });
  const over = async (change: Partial<RaceTerms>) =>
    raceReport(await raceOver({ info: replayed.info, samples, answers: [] }, change, () => 1));
  const stricter = await over({ delta: 0.001 });
  assert.match(
    stricter.reason ?? "",
    /^the machine was busy \(firefox, 0\.62 cores\); 8 cases did not decide it/,
  );
  // Other programs hit both alike: who wins stands, how large the difference is may not.
  const same = await over({});
  assert.deepEqual([same.winner, same.provisional], ["quick", true]);
  assert.match(verdictText(same), /against the runner-up, provisionally \(the machine was busy\): 0\./);
  for (const change of [{ by: "checks" }, { by: "utility", weights: { checks: 1 } }] as const) {
    const scores = await over(change);
    assert.deepEqual([scores.provisional, /busy/.test(scores.reason ?? "")], [false, false], change.by);
  }
  const utility = await over({ by: "utility", weights: { checks: 1, latency: 0.1 } });
  assert.equal(utility.provisional, true);
});

Deno.test("tool calls race by checks: the calls count and not the words, live and replayed", async () => {
  const tools = ["get_weather", "set_timer"].map((name) => ({ name, parameters: { type: "object" } }));
  const set = parsePromptSet({
    name: "calls",
    prompts: Array.from({ length: 40 }, (_, at) => ({
      id: `p${at}`,
      prompt: `What is the weather in town ${at}?`,
      tools,
      checks: [{ kind: "calls", expected: [{ name: "get_weather", arguments: { city: `town ${at}` } }] }],
    })),
  }, "calls");
  const call = (name: string): FakeBehaviour => ({
    toolCalls: ({ messages }) => {
      const city = /town \d+/.exec(messages.at(-1)?.content ?? "")?.[0];
      return [{ id: "call-1", name, arguments: JSON.stringify({ city }) }];
    },
  });
  const { last, replayed, report } = await race(
    {
      right: { ttftMs: 90, ...call("get_weather") },
      other: { ttftMs: 10, ...call("set_timer") },
      silent: { ttftMs: 10 },
    },
    { by: "checks" },
    { set },
  );
  assert.deepEqual(replayed.state, last);
  assert.deepEqual([report.verdict, report.winner, report.choice], ["winner", "right", "right"]);
});
