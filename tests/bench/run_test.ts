import assert from "node:assert/strict";
import { runBench } from "../../lib/bench/run.ts";
import { sampleRecord } from "../../lib/bench/records.ts";
import type { LiveCandidate } from "../../lib/bench/live_candidate.ts";
import {
  type FakeBehaviour,
  fakeCandidate,
  fakeMachine,
  fakeRun,
  MemorySink,
  runInfoOf,
  VirtualTime,
} from "./fakes.ts";

Deno.test("every candidate answers every prompt in every round, and every record is valid", async () => {
  const { sink, options } = fakeRun({ a: {}, b: {} });
  assert.equal(await runBench(options), "completed");
  for (const record of sink.samples) sampleRecord.parse(record);
  assert.equal(sink.timed.length, 2 * 2 * 3);
  assert.equal(new Set(sink.requests.map(({ id }) => id)).size, sink.requests.length);
  assert.equal(sink.answers.length, sink.requests.length);
});

Deno.test("a block holds one prompt for every candidate, one right after the other", async () => {
  const { sink, options } = fakeRun({ a: {}, b: {}, c: {} });
  await runBench(options);
  for (let at = 0; at < sink.timed.length; at += 3) {
    const block = sink.timed.slice(at, at + 3);
    assert.equal(new Set(block.map((record) => record.block)).size, 1);
    assert.equal(new Set(block.map((record) => record.prompt_id)).size, 1);
    assert.equal(new Set(block.map((record) => record.candidate)).size, 3);
  }
  const firsts = sink.timed.filter((_, at) => at % 3 === 0).map(({ candidate }) => candidate);
  assert.ok(new Set(firsts).size > 1, "not always the same one first");
});

Deno.test("the same seed gives the same order, another seed another", async () => {
  const order = async (seed: number) => {
    const { sink, options } = fakeRun({ a: {}, b: {} }, { seed, rounds: 4 });
    await runBench(options);
    return sink.timed.map(({ id }) => id).join();
  };
  assert.equal(await order(1), await order(1));
  assert.notEqual(await order(1), await order(2));
});

Deno.test("a cold prefix is the same for all candidates of a block and never comes twice", async () => {
  const asked: string[] = [];
  const note = (id: string): FakeBehaviour => ({
    onRequest: ({ messages }) => asked.push(`${id} ${messages[0]?.content} ${messages[1]?.content}`),
  });
  const { options, sink } = fakeRun({ a: note("a"), b: note("b") }, { warmup: 2 });
  await runBench(options);
  const ofA = asked.filter((text) => text.startsWith("a ")).map((text) => text.slice(2));
  const ofB = asked.filter((text) => text.startsWith("b ")).map((text) => text.slice(2));
  assert.equal(new Set(ofA).size, ofA.length, "no prompt is sent twice");
  assert.deepEqual(new Set(ofA.slice(2)), new Set(ofB.slice(2)), "the timed ones are the same for both");
  assert.match(ofA[0] ?? "", /^Conversation \d{8}\. Prompt /);
  assert.ok(sink.requests.every(({ prefix }) => prefix === "cold"));
});

Deno.test("with a warm prefix the same prompt was sent right before", async () => {
  const asked: string[] = [];
  const { options, sink } = fakeRun(
    { a: { onRequest: ({ messages }) => asked.push(messages.map(({ content }) => content).join()) } },
    { prefix: "warm", warmup: 0 },
  );
  await runBench(options);
  assert.equal(sink.timed.length, 6);
  assert.equal(asked.length, 12);
  for (let at = 0; at < asked.length; at += 2) assert.equal(asked[at], asked[at + 1]);
  assert.ok(asked.every((text) => text.startsWith("Prompt")), "scored and warm answers carry no nonce");
  assert.equal(sink.requests.filter(({ phase }) => phase === "warmup").length, 6);
});

Deno.test("a candidate that can't be loaded is a row with a reason, and the others go on", async () => {
  const { sink, options } = fakeRun({ bad: { broken: "not a GGUF file" }, good: {} });
  assert.equal(await runBench(options), "completed");
  assert.equal(sink.timed.length, 6);
  const left = sink.samples.find((record) => record.kind === "candidate");
  assert.deepEqual([left?.candidate, left?.status, left?.reason], ["bad", "failed", "not a GGUF file"]);
});

Deno.test("three failures in a row end a candidate's run, two don't", async () => {
  const dying: FakeBehaviour = { fails: (nth) => nth > 2 ? "HTTP 500: out of memory" : null };
  const shaky: FakeBehaviour = { fails: (nth) => nth % 3 === 0 ? null : "HTTP 500" };
  const { sink, options } = fakeRun({ dying, shaky, good: {} });
  assert.equal(await runBench(options), "completed");
  const timedOf = (id: string) => sink.timed.filter(({ candidate }) => candidate === id);
  assert.equal(timedOf("dying").length, 4, "one good, then three failures");
  assert.equal(timedOf("shaky").length, 6);
  assert.equal(timedOf("good").length, 6);
  const left = sink.samples.filter((record) => record.kind === "candidate");
  assert.deepEqual(left.map(({ candidate, status }) => [candidate, status]), [["dying", "skipped"]]);
  assert.match(left[0]?.reason ?? "", /3 failures in a row.*out of memory/);
});

Deno.test("a run in which nothing succeeds has failed", async () => {
  const { options } = fakeRun({ a: { fails: () => "HTTP 500" }, b: { broken: "no such file" } });
  assert.equal(await runBench(options), "failed");
});

Deno.test("an interrupt keeps what is done and drops what is in flight", async () => {
  const controller = new AbortController();
  const { sink, options } = fakeRun(
    { a: { onRequest: () => sink.timed.length === 3 && controller.abort(new Error("stop")) } },
    {},
    () => ({ signal: controller.signal }),
  );
  assert.equal(await runBench(options), "interrupted");
  assert.equal(sink.timed.length, 3);
});

Deno.test("a resumed run repeats nothing and loses nothing", async () => {
  const whole = fakeRun({ a: {}, b: {} });
  await runBench(whole.options);
  for (const cut of [0, 1, 4, 11]) {
    const kept = whole.sink.timed.slice(0, cut);
    const rest = fakeRun({ a: {}, b: {} }, {}, () => ({
      resumed: {
        done: new Set(kept.map(({ id }) => id)),
        left: new Map(),
        loaded: new Set(["a", "b"]),
        lastBlock: kept.at(-1)?.block ?? 0,
        lastMs: 5000,
        measured: cut > 0,
        owed: [],
      },
    }));
    await runBench(rest.options);
    const all = [...kept, ...rest.sink.timed].map(({ id }) => id);
    assert.deepEqual(all.toSorted(), whole.sink.timed.map(({ id }) => id).toSorted());
    assert.ok(rest.sink.requests.every(({ due_ms }) => due_ms >= 5000), "the run's own time goes on");
  }
});

Deno.test("models that don't fit together are open one at a time", async () => {
  const open = new Set<string>();
  let most = 0;
  const track = (id: string): FakeBehaviour => ({
    onOpen(opened) {
      if (opened) open.add(id);
      else open.delete(id);
      most = Math.max(most, open.size);
    },
  });
  const { sink, options } = fakeRun({ a: track("a"), b: track("b") }, { order: "by model" });
  await runBench(options);
  assert.equal(most, 1);
  assert.equal(open.size, 0, "everything is closed at the end");
  const turns = sink.timed.map(({ candidate }) => candidate);
  assert.equal(turns.filter((id, at) => id !== turns[at - 1]).length, 2, "one turn each");
});

Deno.test("disturbed blocks are made up for, but a machine that is never quiet can't keep us for ever", async () => {
  const { sink, options } = fakeRun({ a: {}, b: {} }, {}, (time) => ({
    readMachine: fakeMachine(time, (atMs) => atMs / 1000),
  }));
  await runBench(options);
  assert.equal(sink.timed.length, 12 + 6, "half as many blocks again, no more");
  assert.equal(new Set(sink.timed.map(({ block }) => block)).size, 9, "each under a number of its own");
  assert.ok(sink.timed.some(({ id }) => id.endsWith("/2")));
});

Deno.test("at a constant rate latency counts from when a request was due", async () => {
  // Each answer takes 120 ms; asked every 50 ms of two clients, requests queue.
  const { sink, options } = fakeRun({ a: {} }, { rate: 20, concurrency: 2, rounds: 4, warmup: 0 });
  await runBench(options);
  const dues = sink.timed.map(({ due_ms }) => due_ms).toSorted((x, y) => x - y);
  for (let at = 1; at < dues.length; at++) {
    assert.ok(Math.abs((dues[at] ?? 0) - (dues[at - 1] ?? 0) - 50) < 0.01, "due at a constant rate");
  }
  const last = sink.timed.at(-1);
  assert.ok(last !== undefined && last.sent_ms - last.due_ms > 50, "the queue shows");
  assert.ok(last !== undefined && (last.chunk_ms[0] ?? 0) > 100, "and counts");
});

Deno.test("a closed loop of n clients keeps n requests in flight and no more", async () => {
  let [inFlight, most] = [0, 0];
  const time = new VirtualTime();
  const candidate = fakeCandidate("a", time);
  const counting: LiveCandidate = {
    ...candidate,
    async open(signal) {
      const open = await candidate.open(signal);
      return {
        ...open,
        async request(request, terms) {
          most = Math.max(most, ++inFlight);
          try {
            return await open.request(request, terms);
          } finally {
            inFlight--;
          }
        },
      };
    },
  };
  const sink = new MemorySink();
  await runBench({
    info: runInfoOf([counting], { concurrency: 4, rounds: 4 }),
    candidates: [counting],
    sink,
    clock: time.clock,
    sleep: time.sleep,
    readMachine: fakeMachine(time),
    signal: new AbortController().signal,
  });
  assert.equal(most, 4);
  assert.equal(sink.timed.length, 12);
});

Deno.test("warm-ups end when two in a row take the same time, and at the number asked for", async () => {
  const count = async (slowdown: (atMs: number) => number) => {
    const { sink, options } = fakeRun({ a: { slowdown } }, { warmup: 6, rounds: 1 });
    await runBench(options);
    return sink.requests.filter(({ phase }) => phase === "warmup").length;
  };
  assert.equal(await count(() => 1), 2);
  // It takes half a second to settle down.
  assert.equal(await count((atMs) => atMs < 1900 ? 5 - (atMs - 1000) / 250 : 1), 4);
  assert.equal(await count((atMs) => Math.exp(atMs / 1000)), 6, "it never settles down");
});
