import assert from "node:assert/strict";
import { loadRegistry } from "../../../lib/catalog/registry.ts";
import { type CandidateFacts, exclusionsOf, NO_CONSTRAINTS } from "../../../lib/select/decide/constraints.ts";
import { answersKey } from "../../../lib/select/decide/facts.ts";
import { licenseTerms } from "../../../lib/catalog/licenses.ts";

const good: CandidateFacts = {
  id: "m",
  license: "Apache-2.0",
  capabilities: ["chat", "summarize"],
  contextTokens: 4096,
  sizeMb: 100,
  neededRamGb: 0.6,
  fit: { ok: true, neededGb: 0.6 },
  freeDiskMb: 5000,
  quality: {
    passed: 9,
    prompts: 12,
    passRate: 0.75,
    passRateCi95: [0.75, 0.91],
    cut: 0,
    unsupported: 0,
    rightAtMost: 0.85,
    score: 0.8,
    scoreCi95: [0.8, 0.9],
    rating: 4,
    ratingCi95: [4, 4.5],
    run: "r",
  },
  latencyS: 1,
  ttftS: 0.2,
  memoryMb: 400,
};

const tight = {
  maxRamGb: 0.6,
  maxDiskMb: 100,
  licenses: ["open"],
  capabilities: ["chat"],
  minContextTokens: 4096,
  minPassRate: 0.75,
  minScore: 0.8,
  minRating: 4,
  maxLatencyS: 1,
  maxTtftS: 0.2,
  maxMemoryMb: 400,
};

Deno.test("limits that are met exactly exclude nobody; no limits exclude nobody", () => {
  assert.deepEqual(exclusionsOf(good, tight), []);
  assert.deepEqual(exclusionsOf({ ...good, quality: null, license: null }, NO_CONSTRAINTS), []);
});

const worse: readonly [string, Partial<CandidateFacts>, RegExp, RegExp][] = [
  ["ram", { neededRamGb: 0.71 }, /needs 0\.7 GB/, /allow 0\.8 GB/],
  [
    "ram",
    { fit: { ok: false, neededGb: 9, reasons: ["it asks for 8 GB"] } },
    /asks for 8 GB/,
    /smaller variant/,
  ],
  ["disk", { sizeMb: 100.5 }, /takes 101 MB/, /allow 101 MB/],
  ["disk", { freeDiskMb: 40 }, /40 MB are free/, /free 60 MB/],
  ["license", { license: "gemma" }, /licence is gemma .*prohibited-use/, /allow gemma/],
  ["license", { license: null }, /not known/, /models\.json/],
  ["capability", { capabilities: ["code"] }, /not tagged chat \(it has: code\)/, /add chat/],
  ["context", { contextTokens: 2048 }, /holds 2048 tokens, 4096 are needed/, /at most 2048/],
  ["quality", { quality: null }, /none of its answers was scored/, /quality capture/],
  ["latency", { latencyS: 1.5 }, /mean latency is 1\.5 s/, /allow 1\.5 s/],
  ["ttft", { ttftS: 0.25 }, /first token is 0\.25 s/, /allow 0\.25 s/],
  ["memory", { memoryMb: 400.2 }, /memory is 401 MB/, /allow 401 MB/],
];

for (const [constraint, change, reason, admit] of worse) {
  Deno.test(`${constraint}: ${JSON.stringify(change)} excludes, with reason and remedy`, () => {
    const found = exclusionsOf({ ...good, ...change }, tight);
    assert.equal(found.length, 1);
    assert.equal(found[0]?.constraint, constraint);
    assert.match(found[0]?.reason ?? "", reason);
    assert.match(found[0]?.admit ?? "", admit);
  });
}

Deno.test("a floor is met by the lower bound; the exclusion shows the interval, and whether more cases could help", () => {
  const quality = good.quality && { ...good.quality, passRateCi95: [0.47, 0.91] as const };
  const [near] = exclusionsOf({ ...good, quality }, { ...NO_CONSTRAINTS, minPassRate: 0.75 });
  assert.match(
    near?.reason ?? "",
    /9 of 12 passed: 75 % \(95 %: 47 % to 91 %\), and the lower bound must reach .* 75 %/,
  );
  assert.match(near?.admit ?? "", /more cases/);
  const [far] = exclusionsOf(good, { ...NO_CONSTRAINTS, minScore: 0.95 });
  assert.ok(!/more cases/.test(far?.admit ?? ""));
  const [one] = exclusionsOf(
    { ...good, quality: good.quality && { ...good.quality, scoreCi95: null } },
    { ...NO_CONSTRAINTS, minScore: 0.5 },
  );
  assert.match(one?.reason ?? "", /too few cases for an interval/);
});

Deno.test("commercial use: allowed outright, with conditions, or not", () => {
  const by = (license: string) =>
    exclusionsOf({ ...good, license }, { ...NO_CONSTRAINTS, licenses: ["commercial"] });
  assert.deepEqual([by("MIT").length, by("gemma").length, by("qwen-research").length], [0, 0, 1]);
});

Deno.test("every licence of the registry is known, with what it permits", async () => {
  const { models } = await loadRegistry("models.json");
  for (const { alias, license } of models) {
    assert.ok(licenseTerms(license.id) !== null, `${alias}: ${license.id}`);
  }
});

Deno.test("threads and device don't change answers; weights, context and flash attention do", () => {
  assert.equal(answersKey("a:q4+threads=1+gpu=off#2"), "a:q4");
  assert.equal(answersKey("a:q4+threads=1+flash=on"), "a:q4+flash=on");
  assert.equal(answersKey("a:q4+threads=1+context=512"), "a:q4+context=512");
  assert.equal(answersKey("a:cpu@lab"), "a:cpu@lab");
});

Deno.test("answers that were cut count as wrong for a floor, and the exclusion says what would tell", () => {
  const quality = good.quality && { ...good.quality, cut: 5, unsupported: 2, rightAtMost: 0.98 };
  const [floor] = exclusionsOf({ ...good, quality }, { ...NO_CONSTRAINTS, minPassRate: 0.9 });
  assert.match(
    floor?.reason ?? "",
    /5 answers were cut and 2 could not be judged and count as wrong \(if all were right: 98 %/,
  );
  assert.match(floor?.admit ?? "", /^a larger --max-tokens, since answers were cut/);
});
