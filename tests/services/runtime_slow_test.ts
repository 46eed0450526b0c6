/** Everything we say to Foundry Local, said to the real 2.x runtime with a small model. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { sleepOn } from "../../lib/clock.ts";
import { holdFoundryModel } from "../../lib/services/foundry_hold.ts";
import {
  loadFoundryModel,
  resolveFoundryModel,
  unloadFoundryModel,
} from "../../lib/services/foundry_load.ts";
import { foundryModels, loadedModels, recognizeFoundry } from "../../lib/services/foundry_service.ts";
import { describeService, parseEndpoint } from "../../lib/services/discovery.ts";
import { probe } from "../../lib/endpoint/probe.ts";
import { postOverFetch } from "../../lib/endpoint/timed_client.ts";
import { timedRequest } from "../../lib/endpoint/timed_request.ts";
import { runProgram } from "../../lib/program.ts";
import { ALIAS, bringRuntime, fixtureCache, MODEL_ID, startRuntime } from "./runtime.ts";
import { freePort } from "../../lib/program.ts";

const brought = await bringRuntime();
if (!brought.ok) {
  console.error(
    `\n*** SKIPPED: the tests of the real Foundry Local runtime, which can't be had: ${brought.reason} ***\n`,
  );
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const clock = () => performance.now();
const options = { fetch, post: postOverFetch({ clock, fetch }), clock, timeoutMs: 20_000 };

/** A task of ours, as a person runs it. */
async function task(script: string, args: readonly string[], env: Record<string, string>) {
  const permissions = [
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
    "--allow-net",
    "--allow-run",
  ];
  const command = [Deno.execPath(), "run", "-q", ...permissions, join(root, "scripts", script), ...args];
  const end = await runProgram(command, { cwd: root, env: { NO_COLOR: "1", ...env }, timeoutMs: 180_000 });
  assert.ok(end !== null);
  return end;
}

Deno.test({ name: "the real Foundry Local runtime", ignore: !brought.ok }, async (t) => {
  const dir = await Deno.makeTempDir({ prefix: "podium-foundry-" });
  const cacheDir = await fixtureCache(dir);
  const runtime = await startRuntime(dir, cacheDir);
  const endpoint = { ...parseEndpoint(runtime.baseUrl), name: "real" };
  const ask = (maxTokens: number, stream: boolean) =>
    timedRequest(endpoint, {
      model: MODEL_ID,
      messages: [{ role: "user", content: "Say something." }],
      maxTokens,
      temperature: 0,
    }, { ...options, stream });
  try {
    await t.step("is found, recognised, and lists what it has", async () => {
      const service = await describeService(endpoint, "--endpoint", options);
      assert.equal(service.problem, null);
      assert.equal(service.kind, "Foundry Local 2.x");
      assert.deepEqual(service.models, [
        { id: MODEL_ID, ownedBy: null, alias: ALIAS, device: "cpu", sizeMb: 6, ready: true },
      ]);
      assert.equal(service.foundry?.cacheDir, cacheDir);
      assert.ok((service.foundry?.pid ?? 0) > 0);
    });

    const service = await recognizeFoundry(endpoint, options);
    assert.ok(service !== null);
    const model = resolveFoundryModel(await foundryModels(service, options), ALIAS);

    await t.step("refuses to chat before a model is loaded, with a reason", async () => {
      const trace = await ask(4, true);
      assert.equal(trace.status, "failed");
      assert.equal(trace.httpStatus, 400);
      assert.match(trace.reason ?? "", /not loaded/i);
    });

    await t.step("loads by alias, and tells what it holds", async () => {
      const loaded = await loadFoundryModel(service, model, options);
      assert.ok((loaded.loadMs ?? 0) > 0);
      assert.equal(loaded.note, null);
      assert.deepEqual(await loadedModels(service, options), [MODEL_ID]);
      const again = await loadFoundryModel(service, model, options);
      assert.equal(again.loadMs, null, "what is in memory is not loaded twice");
    });

    await t.step("answers whole and streamed, with usage, the same at temperature 0", async () => {
      const [whole, streamed] = [await ask(8, false), await ask(8, true)];
      for (const trace of [whole, streamed]) {
        assert.equal(trace.status, "ok", trace.reason ?? "");
        assert.equal(trace.usage?.outputTokens, 8);
        assert.equal(trace.finishReason, "length");
      }
      assert.equal(whole.streamed, false);
      assert.equal(streamed.streamed, true);
      assert.equal(whole.content, streamed.content);
      const pieces: string[] = [];
      await timedRequest(endpoint, {
        model: MODEL_ID,
        messages: [{ role: "user", content: "Say something." }],
        maxTokens: 8,
        temperature: 0,
      }, { ...options, onText: (text) => pieces.push(text) });
      assert.equal(pieces.join(""), streamed.content);
    });

    await t.step("is asked by chat: it has no /completions", async () => {
      const found = await probe(endpoint, MODEL_ID, { ...options, sleep: sleepOn(clock) });
      assert.ok(found.ok);
      assert.deepEqual(found.abilities, {
        foldSystem: false,
        leaveOut: [],
        systemMessage: null,
        route: "chat",
        stream: true,
        streamUsage: true,
        tokenSource: "usage",
        reasoning: false,
        // Nobody asked about thinking: then it is the field that most services take.
        thinkingField: "chat_template_kwargs",
      });
      const trace = await timedRequest(endpoint, {
        model: MODEL_ID,
        messages: [{ role: "user", content: "x" }],
        maxTokens: 2,
        temperature: 0,
      }, { ...options, route: "completions" });
      assert.equal(trace.httpStatus, 404);
    });

    await t.step("tells errors: an unknown model, an unknown name, too long a prompt", async () => {
      const messages = (content: string) => [{ role: "user" as const, content }];
      const wanted = { maxTokens: 2, temperature: 0 };
      const unknown = await timedRequest(
        endpoint,
        { ...wanted, model: "nope", messages: messages("x") },
        options,
      );
      assert.equal(unknown.httpStatus, 404);
      const long = messages("word ".repeat(4000));
      const overflow = await timedRequest(endpoint, { ...wanted, model: MODEL_ID, messages: long }, {
        ...options,
        stream: false,
      });
      assert.equal(overflow.status, "failed");
      assert.equal(overflow.httpStatus, 400);
      const models = await foundryModels(service, options);
      assert.throws(() => resolveFoundryModel(models, "nope"), /lists no model "nope": it lists tiny/);
    });

    await t.step("stops when its client goes, and goes on answering", async () => {
      const controller = new AbortController();
      const running = timedRequest(endpoint, {
        model: MODEL_ID,
        messages: [{ role: "user", content: "Go on and on." }],
        maxTokens: 1500,
        temperature: 0,
      }, { ...options, signal: controller.signal, onText: () => controller.abort(new Error("enough")) });
      await assert.rejects(running, /enough/);
      assert.equal((await ask(2, true)).status, "ok");
    });

    await t.step("gives memory back when a holder lets go, but not what was there before", async () => {
      const held = await holdFoundryModel(endpoint, ALIAS, { ...options, run: runProgram });
      assert.equal(held?.loadMs, null);
      assert.equal(held?.device, "cpu (CPUExecutionProvider)");
      assert.ok((await held?.residentMb() ?? 0) > 10);
      await held?.release();
      assert.deepEqual(await loadedModels(service, options), [MODEL_ID]);
      await unloadFoundryModel(service, model, options);
      const own = await holdFoundryModel(endpoint, ALIAS, options);
      assert.ok((own?.loadMs ?? 0) > 0);
      await own?.release();
      assert.deepEqual(await loadedModels(service, options), []);
    });

    await t.step("doctor asks it, and passes", async () => {
      const env = { FOUNDRY_LOCAL_ENDPOINT: runtime.baseUrl, PODIUM_STORE: join(dir, "store") };
      const end = await task("doctor.ts", ["--json"], env);
      assert.equal(end.code, 0, end.stdout + end.stderr);
      const { ok, checks } = JSON.parse(end.stdout);
      assert.equal(ok, true);
      const asked = checks.find(({ id }: { id: string }) => id.startsWith("probe-tiny"));
      assert.match(asked?.found, /loaded in .* on cpu/);
      const missing = await task("doctor.ts", ["--models", "no-such-model"], env);
      assert.equal(missing.code, 1);
      assert.match(missing.stdout, /FAILED .*no-such-model/);
    });

    await t.step("chat answers on stdout", async () => {
      const args = [ALIAS, "--prompt", "Hi", "--max-tokens", "6", "--temperature", "0", "--json"];
      const end = await task("chat.ts", args, { FOUNDRY_LOCAL_ENDPOINT: runtime.baseUrl });
      assert.equal(end.code, 0, end.stderr);
      const answer = JSON.parse(end.stdout);
      assert.equal(answer.model_id, MODEL_ID);
      assert.equal(answer.usage.outputTokens, 6);
      assert.match(answer.device, /^cpu/);
    });

    await t.step("bench measures it from end to end", async () => {
      const out = join(dir, "reports");
      const args = [
        "--rounds",
        "1",
        "--warmup",
        "1",
        "--max-tokens",
        "8",
        "--prompt",
        "Hi",
        "--out",
        out,
        "--json",
      ];
      const end = await task("bench.ts", args, { FOUNDRY_LOCAL_ENDPOINT: runtime.baseUrl });
      assert.equal(end.code, 0, end.stderr);
      const [candidate] = JSON.parse(end.stdout).candidates;
      assert.equal(candidate.model_id, MODEL_ID);
      assert.equal(candidate.tokens.source, "usage");
      assert.match(candidate.device, /^cpu/);
      assert.ok(candidate.load_s > 0);
      assert.ok(candidate.memory_mb > 0);
      assert.ok(candidate.requests.ok >= 1 && candidate.requests.failed === 0);
      assert.deepEqual(await loadedModels(service, options), []);
    });

    await t.step("dies in mid-answer: what came is kept as partial, and it is told", async () => {
      await loadFoundryModel(service, model, options);
      let killed: Promise<void> | null = null;
      const trace = await timedRequest(endpoint, {
        model: MODEL_ID,
        messages: [{ role: "user", content: "Go on and on." }],
        maxTokens: 1900,
        temperature: 0,
      }, { ...options, onText: () => killed ??= runtime.kill() });
      await killed;
      assert.equal(trace.status, "partial");
      assert.ok(trace.reason !== null && trace.content.length > 0);
      const dead = await task("doctor.ts", [], {
        FOUNDRY_LOCAL_ENDPOINT: runtime.baseUrl,
        PODIUM_STORE: join(dir, "store"),
      });
      assert.equal(dead.code, 1);
      assert.match(dead.stdout, /FAILED .*cannot reach/);
    });
  } finally {
    await runtime.stop();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("doctor on an empty machine says what to do, and fails", async () => {
  const dir = await Deno.makeTempDir({ prefix: "podium-empty-" });
  try {
    const dead = `http://127.0.0.1:${freePort()}/v1`;
    const end = await task("doctor.ts", ["--endpoint", dead, "--shell", "PowerShell"], { PODIUM_STORE: dir });
    assert.equal(end.code, 1);
    assert.match(end.stdout, /FAILED +every target answers/);
    assert.match(end.stdout, /deno task models pull/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
