/** Request settings of jobs and candidates: what is sent, what is recorded, and what is refused with a reason. */
import assert from "node:assert/strict";
import { SharedEngines } from "../../lib/bench/shared_engines.ts";
import { resolveAgain, resolveCandidates, type ResolveFrom } from "../../lib/bench/named_candidate.ts";
import type { AnswerRecord, PlanInfo, RunInfo } from "../../lib/bench/records.ts";
import { runBench } from "../../lib/bench/run.ts";
import { findCandidates, runSession, type SessionPlan } from "../../lib/bench/session.ts";
import type { StartedModel } from "../../lib/bench/start_model.ts";
import { readAnswers, readRunInfo } from "../../lib/bench/read_run.ts";
import { parseRegistry } from "../../lib/catalog/registry.ts";
import type { GenerationRequest } from "../../lib/endpoint/trace.ts";
import type { Prompt, PromptSet } from "../../lib/prompts/prompts.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { fakeRun } from "./fakes.ts";
import { withService } from "./service.ts";

const registry = parseRegistry(
  '{"schema_version": 1, "models": [{"alias": "tiny", "variants": [{"name": "q8_0", "format": "gguf", "file": "x.gguf"}]}]}',
  "x",
);
const endpoint = { name: "lab", baseUrl: "http://127.0.0.1:9/v1" };
const lab = (...ids: string[]): ResolveFrom => ({
  registry,
  services: ids.length === 0 ? [] : [{ endpoint, models: ids.map((id) => ({ id, ownedBy: null })) }],
  engine: {},
});
const infoOf = (name: string, from = lab()) => resolveCandidates([name], from)[0]?.info;

Deno.test("request settings are part of a candidate's id, and not of the model that it requests", () => {
  const embedded = infoOf("tiny:q8_0+threads=2+format=schema+thinking=512");
  assert.equal(embedded?.id, "tiny:q8_0+threads=2+format=schema+thinking=512");
  assert.equal(embedded?.model_id, "tiny:q8_0+threads=2");
  assert.deepEqual(embedded?.request, { format: "schema", thinking: 512 });
  const served = infoOf("qwen3:0.6b+thinking=off@lab", lab("qwen3:0.6b"));
  assert.equal(served?.model_id, "qwen3:0.6b");
  assert.deepEqual(served?.request, { thinking: "off" });
  assert.equal(infoOf("tiny:wording=short")?.id, "tiny:q8_0+wording=short");
  assert.equal(infoOf("tiny")?.request, undefined);
});

Deno.test("an id with request settings names the same candidate again", () => {
  for (const name of ["tiny:format=json", "qwen3:0.6b+thinking=off@lab", "team/m:wording=a-b@lab"]) {
    const from = lab("qwen3:0.6b", "team/m");
    const info = infoOf(name, from);
    assert.ok(info);
    assert.deepEqual(infoOf(info.id, from), info, name);
    assert.deepEqual(resolveAgain([info], from)[0]?.info, info);
  }
});

Deno.test("a request setting that is wrong is refused with what is accepted", () => {
  for (const part of ["format=xml", "thinking=maybe", "wording="]) {
    assert.throws(() => infoOf(`tiny:${part}`), /unknown request setting.*format=free\|json\|schema/);
  }
});

const schema = { type: "object", properties: { label: { type: "string" } }, required: ["label"] };
const weather = [{ name: "get_weather", parameters: { type: "object" } }];

/** A set of one case. */
function job(changes: Partial<Prompt>): PromptSet {
  const set = singlePrompt("Say hello.");
  return { ...set, prompts: set.prompts.map((one) => ({ ...one, ...changes })) };
}

/** Runs a job over a fake service: run.json, the answers, and the bodies of the requests for each model. */
async function runOf(
  models: Record<string, object>,
  names: string[],
  prompts: PromptSet,
  more: Partial<SessionPlan> = {},
) {
  const found = Promise.withResolvers<{ info: RunInfo; answers: AnswerRecord[]; bodies: object[] }>();
  await withService(models, async (resources, out, _, requests) => {
    const plan = { prompts, rounds: 1, warmup: 0, maxTokens: 8, timeoutS: 30, ...more };
    const run = await runSession({ names, plan }, resources, { out, now: new Date(0), random: () => 0.5 });
    const answers = await Array.fromAsync(readAnswers(run.folder));
    found.resolve({
      info: await readRunInfo(run.folder),
      answers,
      bodies: requests.map(({ body }) => Object(body)),
    });
  });
  return await found.promise;
}
const field = (body: object, name: string): unknown => Reflect.get(body, name);

Deno.test("one run compares formats of one model: each candidate sends its own, and run.json names both", async () => {
  const settings = { format: "json", schema, stop: ["\n"] } as const;
  const { info, bodies } = await runOf(
    { m: {} },
    ["m:format=schema", "m:format=free", "m"],
    job({ settings }),
  );
  const requests = info.candidates.map(({ request }) => request);
  assert.deepEqual(requests, [{ format: "schema" }, { format: "free" }, undefined]);
  assert.deepEqual(info.plan.prompt_set.prompts[0]?.settings, settings);
  const formats = bodies.map((body) => field(Object(field(body, "response_format")), "type"));
  assert.deepEqual(new Set(formats), new Set(["json_schema", undefined, "json_object"]));
  for (const body of bodies) assert.deepEqual(field(body, "stop"), ["\n"]);
});

Deno.test("the job's limit precedes the default, and a flag precedes the job's", async () => {
  const prompts = job({ settings: { maxTokens: 5, temperature: 0.5 } });
  const sent = async (stated: NonNullable<SessionPlan["stated"]>) => {
    const { info, bodies } = await runOf({ m: {} }, ["m"], prompts, { stated });
    const body = bodies.at(-1) ?? {};
    return [field(body, "max_tokens"), field(body, "temperature"), info.plan.max_tokens];
  };
  assert.deepEqual(await sent([]), [5, 0.5, 5]);
  assert.deepEqual(await sent(["max_tokens", "temperature"]), [8, 0, 8]);
});

Deno.test("candidates that differ in what they request get a cold prefix each", async () => {
  const { bodies } = await runOf({ m: {} }, ["m:format=free", "m"], job({}));
  const texts = bodies.map((body) => JSON.stringify(field(body, "messages")))
    .filter((text) => text.includes("Conversation"));
  assert.equal(texts.length, 2);
  assert.notEqual(texts[0], texts[1], "what one of them sent would be warm for the other");
});

Deno.test("tools are sent, calls are recorded, and an endpoint that refuses tools is unsupported", async () => {
  const calls = [{ name: "get_weather", arguments: '{"city":"Paris"}' }];
  const models = { able: { calls }, unable: { refuseFields: ["tools"] } };
  const prompts = job({ tools: weather, settings: { toolChoice: "auto" } });
  const { info, answers } = await runOf(models, ["able", "unable"], prompts);
  assert.deepEqual(info.plan.prompt_set.prompts[0]?.tools, weather);
  assert.deepEqual(answers.map(({ tool_calls }) => tool_calls), [[{ id: "call_1", ...calls[0] }]]);
});

Deno.test("what a job lacks is said before anything is sent", async () => {
  await withService({ m: {} }, async (resources, _out, _notes, requests) => {
    const tried = (name: string, prompts: PromptSet) =>
      findCandidates({ names: [name], plan: { prompts } }, resources);
    const wordings = new Map([["steps", [{ role: "user" as const, content: "Step by step." }]]]);
    await assert.rejects(tried("m:wording=short", job({ wordings })), /no wording "short", only steps/);
    await assert.rejects(tried("m:format=schema", job({})), /no JSON schema/);
    assert.equal(requests.length, 0);
  });
});

/** A case of three turns, and nothing else. */
const conversation: Partial<PlanInfo> = {
  prompt_set: {
    name: "x",
    sha256: "0".repeat(64),
    prompts: [{
      id: "trip",
      sha256: "0".repeat(64),
      messages: [{ role: "user", content: "one" }],
      turns: ["two", "three"],
    }],
  },
  rounds: 1,
  warmup: 0,
};

Deno.test("a conversation feeds the model's own answers back; only its last request is timed", async () => {
  const sent: GenerationRequest[] = [];
  const onRequest = (request: GenerationRequest) => void sent.push(request);
  const { sink, options } = fakeRun({ a: { tokens: 2, onRequest } }, { ...conversation, prefix: "as is" });
  await runBench(options);
  assert.deepEqual(sink.requests.map(({ id, phase }) => [id, phase]), [
    ["turn/1/trip/a/turn1", "turn"],
    ["turn/1/trip/a/turn2", "turn"],
    ["timed/1/trip/a", "timed"],
  ]);
  assert.deepEqual(sent.at(-1)?.messages.map(({ role, content }) => `${role} ${content}`), [
    "user one",
    "assistant wordword",
    "user two",
    "assistant wordword",
    "user three",
  ]);
  assert.deepEqual(sink.answers.map(({ turns }) => turns), [undefined, ["wordword"], [
    "wordword",
    "wordword",
  ]]);
});

Deno.test("a conversation that fails on the way is one failed request that says where", async () => {
  const fails = (nth: number) => nth === 2 ? "HTTP 500" : null;
  const { sink, options } = fakeRun({ a: { fails } }, conversation);
  await runBench(options);
  assert.deepEqual(sink.requests.map(({ phase, status, reason }) => [phase, status, reason]), [
    ["turn", "ok", null],
    ["timed", "failed", "turn 2 of 3: HTTP 500"],
  ]);
});

Deno.test("an engine that candidates share is started once, and stopped after the last", async () => {
  let [starts, stops] = [0, 0];
  const start = () => {
    starts++;
    const stop = () => Promise.resolve(void stops++);
    // Only what is shared matters here.
    return Promise.resolve({ stop, exited: new Promise(() => {}), pid: 7 } as unknown as StartedModel);
  };
  const engines = new SharedEngines();
  const [first, second] = await Promise.all([engines.take("a", start), engines.take("a", start)]);
  const other = await engines.take("b", start);
  assert.equal(starts, 2);
  assert.equal(second.pid, 7);
  await first.stop();
  assert.equal(stops, 0);
  await second.stop();
  await other.stop();
  assert.equal(stops, 2);
  await engines.take("a", start);
  assert.equal(starts, 3, "a stopped engine is not given again");
});

Deno.test("an engine that does not start is tried anew for the next candidate", async () => {
  const engines = new SharedEngines();
  await assert.rejects(engines.take("a", () => Promise.reject(new Error("no memory"))), /no memory/);
  await assert.rejects(engines.take("a", () => Promise.reject(new Error("again"))), /again/);
});
