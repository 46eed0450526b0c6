/** The router: who may be taken, who is, what it remembers, and what it never does. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { UserError } from "../../../lib/errors.ts";
import { DEFAULT_INTENTS, intentFinder, parseIntents } from "../../../lib/select/route/intent.ts";
import { makeRouter, type RoutedModel, type RoutingRequest } from "../../../lib/select/route/router.ts";
import {
  parseRouterState,
  parseRoutingPlan,
  planFromDecision,
  type RoutingPlan,
  servedModel,
} from "../../../lib/select/route/router_plan.ts";
import { seededRandom } from "../../../lib/stats/random.ts";

const arms: readonly RoutedModel[] = [
  { id: "small", capabilities: ["general"] },
  { id: "coder", capabilities: ["code"] },
  { id: "writer", capabilities: ["general", "summarize"] },
];
const ids = arms.map(({ id }) => id);
const base = planFromDecision(null, ids);
const asked = (more: Partial<RoutingRequest> = {}): RoutingRequest => ({
  text: "",
  intentHint: null,
  capability: null,
  conversation: null,
  ...more,
});
const all = () => true;

const modes = ["constant", "adaptive", "by-intent", "neighbours", "by-tag"] as const;
const neighbours = { k: 2, examples: [{ text: "sort a list", worth: { coder: 1, small: 0, writer: 0.5 } }] };
const planOf = (mode: RoutingPlan["mode"]): RoutingPlan => ({ ...base, mode, neighbours });

const seen = fc.record({
  intent: fc.constantFrom("code", "general", "summarize"),
  model: fc.constantFrom(...ids),
  success: fc.boolean(),
});
const ask = fc.record({
  text: fc.oneof(fc.string(), fc.constantFrom("Refactor this code", "Summarize the notes", "Hello")),
  intentHint: fc.constantFrom(null, "code", "general", "summarize", "nonsense"),
  capability: fc.constantFrom(null, "code", "general", "vision"),
  conversation: fc.constantFrom(
    null,
    ...["c1", "c2"].flatMap((key) => [{ key, begins: true }, { key, begins: false }]),
  ),
});

Deno.test("only available arms with the capability asked for are taken, each once, and a known hint is respected", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...modes),
      fc.array(fc.tuple(ask, fc.subarray(ids), seen), { maxLength: 30 }),
      fc.integer(),
      (mode, steps, seed) => {
        const router = makeRouter(planOf(mode), arms, null, seededRandom(seed));
        for (const [one, up, observed] of steps) {
          const choice = router.choose(one, (arm) => up.includes(arm));
          const able = arms.filter(({ id, capabilities }) =>
            up.includes(id) && (one.capability === null || capabilities.includes(one.capability))
          );
          assert.deepEqual(choice?.order.toSorted() ?? [], able.map(({ id }) => id).toSorted());
          if (choice !== null && one.intentHint !== null && one.intentHint !== "nonsense") {
            assert.equal(choice.intent, one.intentHint);
          }
          assert.match(choice?.reason ?? "ASCII", /^[ -~]+$/);
          router.observe(observed);
        }
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("state goes to text and back, and the router goes on where it was", () => {
  fc.assert(
    fc.property(
      fc.array(seen, { maxLength: 40 }),
      fc.constantFrom(null, 0.9),
      fc.integer(),
      (steps, discount, seed) => {
        const plan = { ...planOf("by-intent"), discount };
        const router = makeRouter(plan, arms, null, seededRandom(seed));
        for (const one of steps) router.observe(one);
        router.choose(asked({ conversation: { key: "c1", begins: false } }), all);
        const text = JSON.stringify(router.state());
        const again = makeRouter(plan, arms, parseRouterState(text, "state"), seededRandom(seed));
        assert.deepEqual(again.state(), router.state());
        assert.deepEqual(again.view(), router.view());
        for (const { arms: beliefs } of Object.values(router.view().intents)) {
          for (const { successes, failures, mean, ci95 } of Object.values(beliefs)) {
            assert.ok(successes >= 0 && failures >= 0 && mean > 0 && mean < 1);
            assert.ok(0 <= ci95[0] && ci95[0] <= ci95[1] && ci95[1] <= 1);
          }
        }
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("constant takes one model for everything, and the next best only while it is away", () => {
  const plan = { ...base, mode: "constant" as const, constant: "writer" };
  const router = makeRouter(plan, arms, null, seededRandom(1));
  for (let i = 0; i < 50; i++) router.observe({ intent: "code", model: "writer", success: false });
  for (let i = 0; i < 50; i++) router.observe({ intent: "code", model: "coder", success: true });
  const choice = router.choose(asked({ text: "refactor this code" }), all);
  assert.equal(choice?.order[0], "writer");
  assert.equal(router.choose(asked(), (arm) => arm !== "writer")?.order[0], "coder");
  assert.equal(router.choose(asked({ intentHint: "code" }), all)?.order[0], "coder");
});

Deno.test("Thompson sampling leaves what fails, and by intent it keeps what each is good at", () => {
  const router = makeRouter(planOf("by-intent"), arms, null, seededRandom(2));
  const good: Record<string, string> = { code: "coder", general: "small" };
  const taken: Record<string, number> = { coder: 0, small: 0 };
  for (let at = 0; at < 400; at++) {
    const intent = at % 2 === 0 ? "code" : "general";
    const arm = router.choose(asked({ intentHint: intent }), all)?.order[0] ?? "";
    router.observe({ intent, model: arm, success: arm === good[intent] });
    if (at >= 300 && arm === good[intent]) taken[arm] = (taken[arm] ?? 0) + 1;
  }
  assert.ok((taken.coder ?? 0) > 45 && (taken.small ?? 0) > 40, JSON.stringify(taken));
});

Deno.test("a discount forgets: evidence is worth at most 1 / (1 - discount) requests", () => {
  const router = makeRouter({ ...planOf("adaptive"), discount: 0.9 }, arms, null, seededRandom(1));
  for (let i = 0; i < 1000; i++) router.observe({ intent: "general", model: "small", success: true });
  const before = router.view().intents.any?.arms.small;
  assert.ok(Math.abs((before?.successes ?? 0) - 10) < 1e-6);
  for (let i = 0; i < 30; i++) router.observe({ intent: "general", model: "small", success: false });
  assert.ok((router.view().intents.any?.arms.small?.mean ?? 1) < 0.2);
});

Deno.test("a conversation keeps its model, moves when that goes away, and the oldest is forgotten", () => {
  const router = makeRouter({ ...planOf("adaptive"), conversations: 2 }, arms, null, seededRandom(3));
  const first = router.choose(asked({ conversation: { key: "a", begins: false } }), all)?.order[0] ?? "";
  for (let i = 0; i < 20; i++) {
    assert.equal(router.choose(asked({ conversation: { key: "a", begins: false } }), all)?.order[0], first);
  }
  const moved = router.choose(asked({ conversation: { key: "a", begins: false } }), (arm) => arm !== first)
    ?.order[0];
  assert.notEqual(moved, first);
  assert.equal(router.choose(asked({ conversation: { key: "a", begins: false } }), all)?.order[0], moved);
  router.choose(asked({ conversation: { key: "b", begins: false } }), all);
  router.choose(asked({ conversation: { key: "c", begins: false } }), all);
  assert.deepEqual(router.state().conversations.map(([key]) => key), ["b", "c"]);
});

Deno.test("the same first question is another conversation each time, and the last choice is kept", () => {
  const router = makeRouter(planOf("adaptive"), arms, null, seededRandom(3));
  const begin = () => router.choose(asked({ conversation: { key: "a", begins: true } }), all)?.order[0];
  const chosen = new Set(Array.from({ length: 50 }, begin));
  assert.ok(chosen.size > 1, "what is in doubt is tried out");
  const last = begin();
  assert.equal(router.choose(asked({ conversation: { key: "a", begins: false } }), all)?.order[0], last);
});

Deno.test("what a plan excludes is never taken, and ids of candidates find their arms", () => {
  const plan: RoutingPlan = {
    ...base,
    mode: "constant",
    constant: "small:q4_1@embedded",
    excluded: [{ id: "coder:q8", reason: "licence" }],
  };
  const router = makeRouter(plan, arms, null, seededRandom(1));
  assert.deepEqual(router.choose(asked(), all)?.order, ["small", "writer"]);
  assert.equal(router.choose(asked({ capability: "code" }), all), null);
  assert.equal(servedModel("small:q4_1+threads=2", ["small:q8_0", "small:q4_1"]), "small:q4_1");
});

Deno.test("neighbours take what did best on the most similar prompt", () => {
  const plan: RoutingPlan = {
    ...planOf("neighbours"),
    neighbours: {
      k: 1,
      examples: [
        { text: "sort this list in Python", worth: { coder: 1, writer: 0.2, small: 0.1 } },
        { text: "a poem about the autumn", worth: { coder: 0, writer: 1, small: 0.5 } },
      ],
    },
  };
  const router = makeRouter(plan, arms, null, seededRandom(1));
  assert.equal(router.choose(asked({ text: "please sort the lists" }), all)?.order[0], "coder");
  assert.equal(router.choose(asked({ text: "write poems" }), all)?.order[0], "writer");
});

Deno.test("what an arm did is kept while it is away; without any arm there is no router", () => {
  const router = makeRouter(base, arms.slice(0, 2), null, seededRandom(1));
  router.observe({ intent: "code", model: "writer", success: true });
  assert.equal(router.view().intents.code?.arms.writer, undefined);
  const back = makeRouter(base, arms, router.state(), seededRandom(1));
  assert.equal(back.view().intents.code?.arms.writer?.successes, 1);
  assert.throws(() => makeRouter(base, [], null, seededRandom(1)), RangeError);
});

Deno.test("intents begin at words; patterns run in linear time and bad ones are one line", () => {
  const find = intentFinder(DEFAULT_INTENTS);
  assert.equal(find("Decode this barcode", null).name, "general");
  assert.equal(find("CLASSIFY the feedback", null).name, "classification");
  const matter = "The quarter went well. ".repeat(1000);
  assert.equal(find(`${matter}Summarize this.`, null).name, "summarize");
  assert.equal(find(`Summarize this. ${matter}`, null).name, "summarize");
  const slow = intentFinder([{ name: "evil", patterns: ["(a+)+b"], needs: [] }]);
  assert.equal(slow("a".repeat(50_000), null).name, "general");
  for (const text of ['[{"name": "x", "patterns": ["(?=a)"]}]', "[{]", '[{"name": "any", "patterns": []}]']) {
    assert.throws(
      () => parseIntents(text, "i.json"),
      (error) =>
        error instanceof UserError && !error.message.includes("\n") && error.message.startsWith("i.json"),
    );
  }
});

Deno.test("a damaged plan or state is one line that says what to do", () => {
  const faulty = { ...base, mode: "neighbours", neighbours: null };
  for (const text of ["", "{}", JSON.stringify(faulty)]) {
    assert.throws(
      () => parseRoutingPlan(text, "routing.json"),
      (error) =>
        error instanceof UserError && /^routing\.json is damaged: [^\n]+route audit/.test(error.message),
    );
  }
  const newer = /newer version of Podium \(schema 2; this version reads up to 1\): update Podium/;
  assert.throws(() => parseRoutingPlan('{"schema_version":2}', "routing.json"), newer);
  assert.throws(() => parseRouterState('\uFEFF{"schema_version":2}', "s"), newer);
  assert.throws(
    () => parseRouterState('{"schema_version":1,"seen":{"any":{"a":{"successes":-1,"failures":0}}}}', "s"),
    (error) => error instanceof UserError && error.message.includes("delete it"),
  );
});
