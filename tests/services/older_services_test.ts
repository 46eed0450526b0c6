/** The older generations of Foundry Local, by their recorded answers. */
import assert from "node:assert/strict";
import { describeService, parseEndpoint } from "../../lib/services/discovery.ts";
import { holdFoundryModel } from "../../lib/services/foundry_hold.ts";
import { loadFoundryModel, resolveFoundryModel } from "../../lib/services/foundry_load.ts";
import { foundryModels, type FoundryService, recognizeFoundry } from "../../lib/services/foundry_service.ts";
import { postOverFetch } from "../../lib/endpoint/timed_client.ts";
import { timedRequest } from "../../lib/endpoint/timed_request.ts";
import { UserError } from "../../lib/errors.ts";
import { type FakeService, startFake0, startFake1 } from "./fake_services.ts";

const clock = () => performance.now();
const options = { fetch, post: postOverFetch({ clock, fetch }), clock, timeoutMs: 5000 };

async function withService(fake: FakeService, work: (service: FoundryService) => Promise<void>) {
  try {
    const service = await recognizeFoundry(parseEndpoint(fake.baseUrl), options);
    assert.ok(service !== null);
    await work(service);
  } finally {
    await fake.stop();
  }
}

Deno.test("1.x: ids are listed without a version, and loaded by id", async () => {
  const fake = startFake1();
  await withService(fake, async (service) => {
    assert.equal(service.generation, "1.x");
    const model = resolveFoundryModel(await foundryModels(service, options), "smollm2-135m");
    assert.equal(model.chatId, "smollm2-135m-generic-cpu");
    assert.equal(model.device, "cpu");
    assert.equal(model.cached, true);
    const { loadMs } = await loadFoundryModel(service, model, options);
    assert.ok(loadMs !== null);
    assert.ok(fake.asked.includes("/models/load/smollm2-135m-generic-cpu"));
    const [again] = await foundryModels(service, options);
    assert.equal(again?.loaded, true, "listed without a version, held with one");
  });
});

Deno.test("1.x: every chunk carries usage and the text twice; it counts once", async () => {
  const fake = startFake1();
  await withService(fake, async ({ endpoint }) => {
    const request = {
      model: "smollm2-135m-generic-cpu",
      messages: [{ role: "user" as const, content: "Hi" }],
      maxTokens: 3,
      temperature: 0,
    };
    const refused = await timedRequest(endpoint, request, options);
    assert.equal(refused.httpStatus, 400);
    assert.match(refused.reason ?? "", /is not loaded/);
    const held = await holdFoundryModel(endpoint, request.model, options);
    const trace = await timedRequest(endpoint, request, options);
    assert.equal(trace.status, "ok", trace.reason ?? "");
    assert.equal(trace.content, "\noptic •");
    assert.equal(trace.chunks.length, 3);
    assert.deepEqual([trace.usage?.promptTokens, trace.usage?.outputTokens], [31, 3]);
    assert.equal(trace.finishReason, "length");
    await held?.release();
    assert.equal(fake.loaded.size, 0);
  });
});

Deno.test("1.x: a load that fails without a message is an error that names the model", async () => {
  await withService(startFake1(["other-generic-cpu"]), async (service) => {
    const model = {
      ...resolveFoundryModel(await foundryModels(service, options), "other"),
      id: "gone-generic-cpu:1",
      chatId: "gone-generic-cpu",
    };
    await assert.rejects(
      loadFoundryModel(service, model, options),
      /could not load gone-generic-cpu:1: HTTP 500$/,
    );
  });
});

Deno.test("0.x: the catalogue names devices, the cache what is downloaded; an alias is the downloaded variant", async () => {
  const fake = startFake0(["qwen2.5-0.5b-instruct-generic-cpu:4"]);
  await withService(fake, async (service) => {
    assert.equal(service.generation, "0.x");
    const models = await foundryModels(service, options);
    assert.deepEqual(models.map(({ device, cached }) => [device, cached]), [["gpu", false], ["cpu", true]]);
    const here = resolveFoundryModel(models, "qwen2.5-0.5b");
    assert.equal(here.device, "cpu");
    await loadFoundryModel(service, here, options);
    assert.deepEqual([...fake.loaded], ["qwen2.5-0.5b-instruct-generic-cpu:4"]);
    const gpu = resolveFoundryModel(models, models.find(({ device }) => device === "gpu")?.id ?? "");
    await assert.rejects(loadFoundryModel(service, gpu, options), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /not downloaded: foundry model download qwen2\.5-0\.5b/);
      return true;
    });
  });
});

Deno.test("0.x: what is only in the catalogue is listed, but not ready", async () => {
  const fake = startFake0(["qwen2.5-0.5b-instruct-generic-cpu:4"]);
  try {
    const found = await describeService(parseEndpoint(fake.baseUrl), "--endpoint", options);
    assert.equal(found.kind, "Foundry Local 0.x");
    assert.deepEqual(found.models.map(({ device, ready }) => [device, ready]), [["gpu", false], [
      "cpu",
      true,
    ]]);
  } finally {
    await fake.stop();
  }
});

Deno.test("a service that loads another variant than requested is noticed", async () => {
  const facts = { alias: "phi", sizeMb: null, license: null, task: null };
  const entry = (device: string) => ({
    ...facts,
    id: `phi-cuda-${device}:1`,
    name: `phi-cuda-${device}`,
    runtime: { deviceType: device.toUpperCase(), executionProvider: `${device}ExecutionProvider` },
  });
  const dir = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${dir}/foundry.modelinfo.json`,
    JSON.stringify({ models: [entry("gpu"), entry("cpu")] }),
  );
  let loaded: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
    const { pathname } = new URL(url);
    if (pathname === "/status") return Response.json({ modelCachePath: dir, pid: 1 });
    if (pathname === "/models/loaded") return Response.json(loaded);
    if (pathname === "/models/load/phi") loaded = ["phi-cuda-cpu:1"]; // the first that is downloaded
    if (pathname === "/models/unload/phi") loaded = [];
    return Response.json({ data: [{ id: "phi-cuda-gpu:1" }, { id: "phi-cuda-cpu:1" }], status: "ok" });
  });
  try {
    const endpoint = parseEndpoint(`http://127.0.0.1:${server.addr.port}/v1`);
    await assert.rejects(
      holdFoundryModel(endpoint, "phi-cuda-gpu:1", options),
      /silent fallback to the CPU: phi-cuda-gpu:1 \(gpu\) was requested, but phi-cuda-cpu:1 \(cpu\) runs/,
    );
    assert.deepEqual(loaded, [], "what was loaded by mistake is let go");
  } finally {
    await server.shutdown();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a broken entry in Foundry Local's list leaves the others usable; an empty list is empty", async () => {
  const listed = async (data: unknown) => {
    const stub = (input: string | URL | Request) => {
      const { pathname } = new URL(String(input));
      if (pathname === "/status") {
        return Promise.resolve(Response.json({ modelCachePath: "/nowhere", pid: 1 }));
      }
      return Promise.resolve(Response.json(pathname === "/v1/models" ? { data } : []));
    };
    const endpoint = parseEndpoint("http://127.0.0.1:1/v1");
    const found = await describeService(endpoint, "--endpoint", { fetch: stub, timeoutMs: 5000 });
    assert.deepEqual([found.kind, found.problem], ["Foundry Local 2.x", null]);
    return found.models.map(({ id }) => id);
  };
  assert.deepEqual(await listed([{ id: "phi" }, null, { name: "no id" }, { id: " " }, { id: 5 }]), ["phi"]);
  assert.deepEqual(await listed(null), []);
});
