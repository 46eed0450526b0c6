/** The state on disk, the models in memory, the text that is sent on, what keeps models warm. */
import assert from "node:assert/strict";
import { jsonLog } from "../../scripts/serve/log.ts";
import fc from "fast-check";
import { join } from "node:path";
import { EnginePool, type PooledModel, type PoolEvent } from "../../lib/serve/pool.ts";
import { AnswerScan, areOrdinaryChunks } from "../../lib/serve/answer_scan.ts";
import { withField } from "../../lib/serve/fallback.ts";
import { keepWarm } from "../../lib/serve/keep_warm.ts";
import { GatewayMetrics } from "../../lib/serve/gateway_metrics.ts";
import { stateFile } from "../../lib/serve/state_file.ts";
import { clock, setUp, until } from "./set_up.ts";

const never = new AbortController().signal;

/** Engines that only say where they are. */
function pool(models: Record<string, number>, { limitMb = 1000, freeMb = 10_000 } = {}) {
  const events: string[] = [];
  const running = new Map<string, () => void>();
  const all = new EnginePool({
    limitMb,
    freeMb: () => freeMb,
    clock,
    onEvent: (event: PoolEvent) => events.push(`${event.kind} ${event.id}`),
  });
  const served = Object.entries(models).map(([id, neededMb]) => {
    const model: PooledModel = {
      id,
      names: [],
      candidate: id,
      capabilities: [],
      modelId: id,
      neededMb,
      about: {},
      start: () => {
        const ended = Promise.withResolvers<{ code: number; signal: null }>();
        const end = () => ended.resolve({ code: 1, signal: null });
        running.set(id, end);
        return Promise.resolve({
          endpoint: { name: "embedded", baseUrl: `http://127.0.0.1:1/${id}` },
          exited: ended.promise,
          stats: () => Promise.resolve({ residentMb: neededMb, cpuS: 0 }),
          stop: () => Promise.resolve(end()),
        });
      },
    };
    return all.add(model);
  });
  const hold = async (id: string) => {
    const model = served.find((one) => one.id === id);
    if (model === undefined) throw new Error(id);
    return await model.lease(never);
  };
  const standings = () => served.map((model) => `${model.id} ${model.availability().kind}`);
  return { all, events, hold, standings, kill: (id: string) => running.get(id)?.() };
}

Deno.test("models are loaded on demand; the least recently used goes for one that needs its room", async () => {
  const it = pool({ a: 400, b: 400, c: 400 });
  assert.deepEqual(it.standings(), ["a asleep", "b asleep", "c asleep"]);
  for (const id of ["a", "b", "a", "c"]) (await it.hold(id)).release();
  assert.deepEqual(it.events, ["loaded a", "loaded b", "evicted b", "loaded c"]);
  assert.deepEqual(it.standings(), ["a up", "b asleep", "c up"]);
  await it.all.stop();
});

Deno.test("a model at work is not unloaded: the next waits for it", async () => {
  const it = pool({ a: 600, b: 600 });
  const working = await it.hold("a");
  let loaded = false;
  const waiting = it.hold("b").then((held) => {
    loaded = true;
    return held;
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(loaded, false);
  working.release();
  (await waiting).release();
  assert.deepEqual(it.events, ["loaded a", "evicted a", "loaded b"]);
  await it.all.stop();
});

Deno.test("what can never fit is refused with the figures, and harms nobody", async () => {
  const it = pool({ a: 400, huge: 2000 });
  (await it.hold("a")).release();
  await assert.rejects(
    it.hold("huge"),
    /'huge' can't be loaded: it needs 2000 MB .* --memory allows 1000 MB/,
  );
  (await it.hold("a")).release();
  const full = pool({ a: 400 }, { freeMb: 300 });
  await assert.rejects(full.hold("a"), /44 MB are free/);
  await Promise.all([it.all.stop(), full.all.stop()]);
});

Deno.test("an engine that ends is loaded again when somebody asks; many who ask load it once", async () => {
  const it = pool({ a: 400 });
  (await it.hold("a")).release();
  it.kill("a");
  await until(() => it.events.includes("ended a"));
  for (const held of await Promise.all([it.hold("a"), it.hold("a"), it.hold("a")])) held.release();
  assert.deepEqual(it.events, ["loaded a", "ended a", "loaded a"]);
  await it.all.stop();
});

Deno.test("state is written beside and renamed; a disk that refuses is told once, and serving goes on", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const troubles: (string | null)[] = [];
    let text = "one";
    const path = join(folder, "sub", "state.json");
    const onTrouble = (reason: string | null) => troubles.push(reason);
    const file = stateFile({ path, text: () => text, everyMs: 1, onTrouble });
    file.changed();
    await file.flush();
    assert.equal(await Deno.readTextFile(path), "one");
    text = "two";
    file.changed();
    await until(() => Deno.readTextFileSync(path) === "two");
    if (Deno.build.os !== "windows") assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    await Deno.remove(path);
    await Deno.mkdir(join(path, "in the way"), { recursive: true });
    for (let i = 0; i < 3; i++) {
      file.changed();
      await file.flush();
    }
    assert.equal(troubles.length, 1);
    await Deno.remove(path, { recursive: true });
    await file.flush();
    assert.equal(await Deno.readTextFile(path), "two");
    assert.deepEqual(troubles.map((reason) => reason === null), [false, true]);
    assert.deepEqual(Array.from(Deno.readDirSync(join(folder, "sub")), ({ name }) => name), ["state.json"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("one field is exchanged, and nothing else of any JSON", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.string(),
      fc.constantFrom(0, 1, 2),
      (rest, name, indent) => {
        const { model: _, ...others } = rest;
        const text = JSON.stringify({ ...others, model: name }, null, indent);
        const changed: unknown = JSON.parse(withField(text, "model", '"new"'));
        assert.deepEqual(changed, JSON.parse(JSON.stringify({ ...others, model: "new" })));
      },
    ),
  );
});

Deno.test("a model that was used and idles is asked for one token, quietly", async () => {
  await using it = await setUp({ models: { one: {}, unused: {} } });
  await (await it.post({ model: "one", messages: [] })).text();
  const metrics = new GatewayMetrics();
  const stop = keepWarm(20, { models: it.models, metrics, fetch, clock });
  while (!(await metrics.text()).includes('podium_keep_warm_total{model="one",outcome="answered"}')) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  stop();
  assert.equal(it.fakes.unused?.log.length, 0);
  assert.ok((it.fakes.one?.log.length ?? 0) >= 2);
  assert.equal(it.records.length, 1, "it is no client's request");
});

Deno.test("a line of the log holds nothing that a terminal obeys, and the same data", async () => {
  const written: Uint8Array[] = [];
  const log = jsonLog({
    write: (bytes) => {
      written.push(bytes.slice());
      return Promise.resolve(bytes.length);
    },
  });
  const attack = "\u001b]0;owned\u0007\u009b2J\u202e\u007f";
  log.write("request", { asked: attack });
  await log.flush();
  const text = written.map((bytes) => new TextDecoder().decode(bytes)).join("");
  // deno-lint-ignore no-control-regex -- none of these may come out
  assert.doesNotMatch(text.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
  assert.equal(JSON.parse(text).asked, attack);
});

Deno.test("a first piece that is passed on unread never holds an error that reading it would find", () => {
  const odd = fc.oneof(
    fc.constantFrom("error", "aborted", "", "stop", null, true, 0, 503, [], {}),
    fc.constant({ message: "no memory" }),
    fc.jsonValue({ maxDepth: 1 }),
  );
  const key = fc.constantFrom(
    "error",
    "code",
    "status",
    "object",
    "content",
    "finish_reason",
    "delta",
    "choices",
    "text",
  );
  const oddities = fc.oneof(
    { weight: 5, arbitrary: fc.constant({}) },
    fc.dictionary(key, odd, { maxKeys: 1 }),
  );
  const chunk = fc.tuple(oddities, oddities, oddities, fc.constantFrom("Hi", "", null)).map(
    ([inChunk, inChoice, inDelta, content]) => ({
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta: { content, ...inDelta }, ...inChoice }],
      ...inChunk,
    }),
  );
  const event = fc.oneof(
    { weight: 4, arbitrary: chunk.map((value) => `data: ${JSON.stringify(value)}\n\n`) },
    fc.constantFrom("event: error\n", "\n", "data: {]\n\n", ": ping\n\n", "data: [DONE]\n\n"),
  );
  const seen = { unread: 0, faulty: 0 };
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 3 }), (events) => {
      const bytes = new TextEncoder().encode(events.join(""));
      const scan = new AnswerScan("text/event-stream");
      scan.add(bytes, 1);
      if (scan.error !== null) seen.faulty++;
      if (!areOrdinaryChunks(bytes)) return;
      seen.unread++;
      assert.equal(scan.error, null);
    }),
    { numRuns: 5000 },
  );
  assert.ok(seen.unread > 100 && seen.faulty > 100, JSON.stringify(seen));
});
