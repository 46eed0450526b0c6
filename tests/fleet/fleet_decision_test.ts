/** Decisions over fleets whose truth is known. Each device's summary is made by the real run, on virtual time. */
import assert from "node:assert/strict";
import type { Summary } from "../../lib/bench/summary_schema.ts";
import { decideForFleet } from "../../lib/fleet/fleet_decision.ts";
import type { DeviceEvidence } from "../../lib/fleet/fleet_quality.ts";
import { fleetText, forestPlot } from "../../lib/report/fleet_text.ts";
import { seededRandom, standardNormal } from "../../lib/stats/random.ts";
import { fakeSummary, plan } from "../bench/fakes.ts";

const CASES = Array.from({ length: 40 }, (_, at) => `case-${at}`);
const prompt_set = {
  ...plan().prompt_set,
  prompts: CASES.map((id) => ({ id, sha256: id, messages: [{ role: "user" as const, content: id }] })),
};
const terms = { metric: "latency_s", maxDrop: 0.1 } as const;

/** A device on which "b" takes `ratio` times what "a" takes, with 10 % of noise per request. */
async function summaryOn(seed: string, ratio: number): Promise<Summary> {
  const random = seededRandom(seed);
  const slowdown = () => Math.exp(0.1 * standardNormal(random));
  const [a, b] = [1, ratio].map((factor) => ({ ttftMs: 100 * factor, itlMs: 20 * factor, slowdown }));
  return await fakeSummary({ a: a ?? {}, b: b ?? {} }, { prompt_set, rounds: 1 });
}

interface Device {
  readonly ramGb: number;
  readonly ratio: number;
  /** Scores of a and b, the same for every case; null where nothing was scored. */
  readonly scores?: readonly [number, number] | null;
  readonly answers?: string;
}

async function fleetOf(name: string, devices: readonly Device[]): Promise<DeviceEvidence[]> {
  return await Promise.all(devices.map(async ({ ramGb, ratio, scores = [1, 1], answers = "same" }, at) => {
    const all = (score: number) => new Map(CASES.map((id) => [id, score]));
    return {
      device: {
        id: `d-${String(at).padStart(10, "0")}`,
        name: `desk-${at + 1}`,
        tags: [],
        machine: { cpu: "a processor", cores: 4, ram_gb: ramGb, gpu: [], os: "an os", arch: "x86_64" },
        versions: {},
      },
      summary: await summaryOn(`${name} ${at}`, ratio),
      scores: scores === null ? new Map() : new Map([["a", all(scores[0])], ["b", all(scores[1])]]),
      baseline: all(0),
      answers: new Map([["a", answers], ["b", answers]]),
    };
  }));
}

const mixed = () =>
  fleetOf("mixed", [
    ...Array.from({ length: 8 }, (_, at) => ({ ramGb: 15.6, ratio: 1.3 + 0.02 * at })),
    ...Array.from({ length: 4 }, (_, at) => ({ ramGb: 7.7, ratio: 0.6 + 0.02 * at })),
  ]);

Deno.test("each class of machine gets its own winner, and the sentence says where the choice for all does not hold", async () => {
  const decision = decideForFleet(await mixed(), terms);
  assert.deepEqual(decision.classes.map((one) => [one.class, one.devices, one.verdict, one.choice]), [
    ["8 GB, no GPU", 4, "winner", "b"],
    ["16 GB, no GPU", 8, "winner", "a"],
  ]);
  assert.equal(decision.worst_class.choice, "b", "b costs 1.37 × where a leads, a costs 1.6 × where b leads");
  assert.match(decision.holds, /^b is the fastest on 4 of 12 devices, not on those with more than 8 GB$/);
  const all = decision.comparisons[0]?.all;
  assert.ok(
    all && all.i2 > 0.9 && all.prediction95 && all.prediction95[0] < 0.7 && all.prediction95[1] > 1.3,
  );
  const text = fleetText(decision, 100);
  assert.match(text, /^12 devices, compared by E2E latency/);
  assert.match(
    text,
    /a \/ b: 0\.\d\d × \(95 %: mean .*, on the next device .*; 12 devices, I² (9\d|100) %\)/,
  );
});

Deno.test("a forest plot names devices, classes, the mean and the next device", async () => {
  const [comparison] = decideForFleet(await mixed(), terms).comparisons;
  assert.ok(comparison);
  const { svg } = forestPlot(comparison);
  for (
    const label of [
      "desk-12 (8 GB, no GPU)",
      "all 16 GB, no GPU (8)",
      "mean of 12 devices",
      "the next device",
    ]
  ) {
    assert.ok(svg.includes(label), label);
  }
});

Deno.test("less memory is named where that is what the devices have in common on which the choice does not lead", async () => {
  const runs = await fleetOf("memory", [
    ...Array.from({ length: 5 }, () => ({ ramGb: 15.6, ratio: 1.5 })),
    { ramGb: 7.7, ratio: 0.9 },
  ]);
  const { holds, worst_class } = decideForFleet(runs, terms);
  assert.equal(worst_class.choice, "a");
  assert.equal(holds, "a is the fastest on 5 of 6 devices, not on those with less than 16 GB");
});

Deno.test("quality comes first: the faster one is not chosen where it is worse, and without scores nothing is", async () => {
  const worse = await fleetOf(
    "worse",
    Array.from({ length: 5 }, () => ({ ramGb: 15.6, ratio: 1.5, scores: [0.2, 0.9] as const })),
  );
  const [only] = decideForFleet(worse, terms).classes;
  assert.deepEqual([only?.verdict, only?.choice, only?.quality_over], ["only", "b", "cases"]);
  const unscored = await fleetOf(
    "unscored",
    Array.from({ length: 5 }, () => ({ ramGb: 15.6, ratio: 1.5, scores: null })),
  );
  const [fastest] = decideForFleet(unscored, terms).classes;
  assert.deepEqual([fastest?.verdict, fastest?.choice], ["fastest", null]);
  const nothing = await fleetOf(
    "nothing",
    Array.from({ length: 5 }, () => ({ ramGb: 15.6, ratio: 1.5, scores: [0, 0] as const })),
  );
  assert.equal(
    decideForFleet(nothing, terms).classes[0]?.verdict,
    "none",
    "what beats no baseline is no choice",
  );
});

Deno.test("where devices answer differently, the device is the unit of quality", async () => {
  const runs = await fleetOf(
    "differ",
    Array.from(
      { length: 6 },
      (_, at) => ({ ramGb: 15.6, ratio: 1.5, scores: [0.8, 0.82] as const, answers: `answers ${at}` }),
    ),
  );
  assert.equal(decideForFleet(runs, terms).classes[0]?.quality_over, "devices");
});

Deno.test("two identical candidates get a winner in at most 5 % of fleets", async () => {
  let winners = 0;
  for (let fleet = 0; fleet < 40; fleet++) {
    const random = seededRandom(`null ${fleet}`);
    const devices = Array.from(
      { length: 6 },
      () => ({ ramGb: 15.6, ratio: Math.exp(0.1 * standardNormal(random)) }),
    );
    if (decideForFleet(await fleetOf(`null ${fleet}`, devices), terms).classes[0]?.verdict === "winner") {
      winners++;
    }
  }
  // A true 5 % gives more than 7 of 40 with a probability below 0.001.
  assert.ok(winners <= 7, `${winners} of 40`);
});

Deno.test("a candidate that does not run on every device of a class is not chosen for it, with the reason", async () => {
  const runs = await fleetOf("missing", Array.from({ length: 4 }, () => ({ ramGb: 15.6, ratio: 1.5 })));
  const [first, ...rest] = runs;
  assert.ok(first);
  const failed = {
    ...first,
    summary: {
      ...first.summary,
      candidates: first.summary.candidates.map((one) =>
        one.id === "a" ? { ...one, status: "failed" as const, reason: "out of memory" } : one
      ),
    },
  };
  const [decision] = decideForFleet([failed, ...rest], terms).classes;
  assert.equal(decision?.choice, "b");
  assert.match(
    decision?.candidates.find(({ id }) => id === "a")?.why ?? "",
    /did not run on 1 of 4 devices: out of memory/,
  );
});
