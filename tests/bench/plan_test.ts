import assert from "node:assert/strict";
import fc from "fast-check";
import {
  LEAST_STRETCHES,
  type PlanShape,
  roundsUnderLoad,
  schedule,
  underLoad,
  withColdPrefix,
} from "../../lib/bench/plan.ts";

const shapes: fc.Arbitrary<PlanShape> = fc.record({
  rounds: fc.integer({ min: 1, max: 12 }),
  prompts: fc.integer({ min: 1, max: 8 }),
  seed: fc.nat(1000),
  order: fc.constantFrom<"interleaved" | "by model">("interleaved", "by model"),
  concurrency: fc.constantFrom(1, 4),
  rate: fc.constantFrom(null, 2),
});
const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 });

Deno.test("every candidate meets every prompt once a round, under the same block number as the others", () => {
  fc.assert(fc.property(shapes, names, (shape, candidates) => {
    const met = new Map<string, Set<string>>();
    for (const { order, blocks } of schedule(shape, candidates)) {
      for (const id of order) {
        const seen = met.get(id) ?? new Set();
        for (const { number, round, prompt } of blocks) seen.add(`${number} ${round} ${prompt}`);
        met.set(id, seen);
      }
    }
    const [first, ...others] = candidates.map((id) => met.get(id) ?? new Set<string>());
    assert.equal(first?.size, shape.rounds * shape.prompts);
    for (const other of others) assert.deepEqual(other, first);
    const rounds = [...first ?? []].map((text) => text.split(" ").slice(1).join(" "));
    assert.equal(new Set(rounds).size, rounds.length, "a prompt comes once a round");
  }));
});

Deno.test("a plan is the same however often it is made, and rounds differ in order", () => {
  const shape: PlanShape = {
    rounds: 6,
    prompts: 5,
    seed: 3,
    order: "interleaved",
    concurrency: 1,
    rate: null,
  };
  const orders = () =>
    [...schedule(shape, ["a", "b", "c"])].map(({ order, blocks }) => `${blocks[0]?.prompt} ${order}`);
  assert.deepEqual(orders(), orders());
  const rounds = Array.from({ length: 6 }, (_, at) => orders().slice(at * 5, at * 5 + 5).join());
  assert.ok(new Set(rounds).size > 1);
});

Deno.test("a system message is opened, not replaced, and other prompts get one", () => {
  const [system, user] = withColdPrefix([
    { role: "system", content: "Be brief." },
    { role: "user", content: "Hello" },
  ], "x");
  assert.match(system?.content ?? "", /^Conversation \d{8}\. Be brief\.$/);
  assert.equal(user?.content, "Hello");
  const [added] = withColdPrefix([{ role: "user", content: "Hello" }], "x");
  assert.equal(added?.role, "system");
  assert.equal(
    added?.content,
    system?.content.replace(" Be brief.", ""),
    "the same purpose, the same number",
  );
  assert.notEqual(withColdPrefix([], "y")[0]?.content, added?.content);
});

Deno.test("under load candidates take turns in at least six stretches of equal length, each order reversed once", () => {
  fc.assert(fc.property(shapes, names, (shape, candidates) => {
    fc.pre(underLoad(shape) && shape.order === "interleaved" && candidates.length > 1);
    const stretches = [...schedule(shape, candidates)];
    const blocks = shape.rounds * shape.prompts;
    assert.ok(stretches.length >= Math.min(blocks, LEAST_STRETCHES));
    const lengths = stretches.map((stretch) => stretch.blocks.length);
    assert.ok(Math.max(...lengths) - Math.min(...lengths) <= 1, `${lengths}`);
    for (let at = 1; at < stretches.length; at += 2) {
      assert.deepEqual(stretches[at]?.order, stretches[at - 1]?.order.toReversed());
    }
    const numbers = stretches.map(({ blocks }) => new Set(blocks.map(({ stretch }) => stretch)));
    assert.deepEqual(numbers, stretches.map((_, at) => new Set([at + 1])));
  }));
});

Deno.test("where no rounds are given, a load gets enough of them for its stretches", () => {
  const shape = { prompts: 10, concurrency: 8, rate: null, seed: 1, order: "interleaved" } as const;
  const rounds = roundsUnderLoad(shape);
  assert.ok([...schedule({ ...shape, rounds }, ["a", "b"])].every(({ blocks }) => blocks.length >= 16));
  assert.equal(roundsUnderLoad({ ...shape, rate: 5 }), 6);
});
