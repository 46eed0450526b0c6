/** From names to a finished run, against a fake endpoint in this process. */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  chooseCandidates,
  findCandidates,
  measure,
  planInfo,
  runSession,
  type SessionPlan,
  valuesOf,
} from "../../lib/bench/session.ts";
import { startFake } from "../fake_endpoint.ts";
import { UserError } from "../../lib/errors.ts";
import { loadPromptSet, type PromptSet, singlePrompt } from "../../lib/prompts/prompts.ts";
import { withService } from "./service.ts";

const plan: SessionPlan = {
  prompts: singlePrompt("Say hello."),
  rounds: 2,
  warmup: 1,
  maxTokens: 8,
  timeoutS: 30,
};
const place = (out: string) => ({ out, now: new Date(0), random: () => 0.5 });

const ids = ["phi-4-mini-cuda-gpu:4", "phi-4-mini-generic-cpu:5", "other-generic-cpu:1", "third"];
const listed = Object.fromEntries(ids.map((id) => [id, {}]));

Deno.test("without names a service that was named is measured whole", async () => {
  await withService(listed, async (resources) => {
    const found = await findCandidates({ names: null }, resources);
    found.close();
    assert.deepEqual(found.candidates.map(({ info }) => info.model_id), ids);
  });
});

Deno.test("where not all models are taken, one build of each is: the CPU's first", async () => {
  await withService(listed, async (resources) => {
    const found = await findCandidates({ names: null, most: 2 }, resources);
    found.close();
    assert.deepEqual(found.candidates.map(({ info }) => info.model_id), [ids[1], ids[2]]);
    assert.match(found.why, /2 more can be named with --models/);
  });
});

Deno.test("of a service that was only found, six models are taken", async () => {
  const many = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`model-${at}`, {}]));
  await withService(many, async (resources) => {
    const url = resources.env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "";
    const found = await findCandidates({ names: null }, {
      ...resources,
      env: { get: () => undefined },
      // The fake answers where Ollama would.
      fetch: (input, init) =>
        String(input).includes(":11434/")
          ? fetch(String(input).replace(/^.*:11434\/v1/, url), init)
          : Promise.reject(new TypeError("connection refused")),
    });
    found.close();
    assert.equal(found.candidates.length, 6);
  });
});

Deno.test("without a service: two models, an instruct model where Hugging Face answers, and the job's own rules", async () => {
  const job = await loadPromptSet(new URL("../../prompts/meeting_notes.json", import.meta.url).pathname);
  await withService(listed, async (resources) => {
    const chosen = async (hub: boolean, prompts?: PromptSet) => {
      const { named, why, client } = await chooseCandidates(
        { names: null, ...(prompts && { plan: { prompts } }) },
        {
          ...resources,
          env: { get: () => undefined },
          fetch: (input) =>
            hub && String(input).includes("huggingface.co")
              ? Promise.resolve(new Response(null, { status: 200 }))
              : Promise.reject(new TypeError("connection refused")),
        },
      );
      client.close();
      return { why, models: named.map(({ info }) => info.alias) };
    };
    const always = ["smollm2-135m-instruct", "gemma-3-270m"];
    assert.deepEqual((await chosen(false)).models, always);
    assert.deepEqual((await chosen(true)).models, [...always, "qwen2.5-0.5b"]);
    const { why, models } = await chosen(false, job);
    assert.deepEqual(models, [...always, "extractive-notes"]);
    assert.match(why, /with the job's baseline extractive-notes/);
  });
});

Deno.test("PODIUM_GPU sets the device in every task; an option of the request, then a candidate's name, override it", async () => {
  await withService(listed, async (resources) => {
    const devices = async (value: string, names: string[], gpu?: "cuda") => {
      const env = { get: (name: string) => name === "PODIUM_GPU" ? value : resources.env.get(name) };
      const request = { names, ...(gpu === undefined ? {} : { engine: { gpu } }) };
      const { named, client } = await chooseCandidates(request, { ...resources, env });
      client.close();
      return named.map((one) => one.kind === "embedded" ? one.engine.gpu : null);
    };
    const names = ["smollm2-135m@embedded", "smollm2-135m:gpu=off@embedded"];
    assert.deepEqual(await devices("vulkan", names), ["vulkan", "off"]);
    assert.deepEqual(await devices("vulkan", names, "cuda"), ["cuda", "off"]);
    await assert.rejects(
      devices("big", names),
      /PODIUM_GPU: invalid engine setting "gpu=big": give .*gpu=auto/,
    );
  });
});

Deno.test("from names to a finished run: one note, the folder, its summary and its values", async () => {
  await withService({ "phi-4-mini": { tokens: 5 } }, async (resources, out, notes) => {
    const events: string[] = [];
    const measured = await runSession({ names: ["phi-4-mini", "phi-4-mini"], plan }, resources, {
      ...place(out),
      onEvent: ({ kind }) => events.push(kind),
    });
    assert.equal(measured.status, "completed");
    assert.equal(events[0], "begin");
    assert.deepEqual(notes, [
      "Measuring phi-4-mini@local-" + new URL(resources.env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "").port +
      ", phi-4-mini@local-" + new URL(resources.env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "").port +
      "#2 (as asked): 1 prompt × 2 rounds, cold prefix, interleaved.",
    ]);
    const [one, twin] = measured.summary.candidates;
    assert.match(twin?.id ?? "", /#2$/);
    assert.equal(valuesOf(measured, one?.id ?? "", "latency_s").length, one?.requests.ok);
    assert.deepEqual(valuesOf(measured, "unknown", "latency_s"), []);
    assert.equal((await Deno.stat(join(measured.folder, "summary.json"))).isFile, true);
  });
});

Deno.test("a model that can't be had is a row with its reason, and the others are measured", async () => {
  await withService({ "phi-4-mini": {} }, async (resources, out) => {
    const found = await findCandidates({ names: ["smollm2-135m", "phi-4-mini"] }, resources);
    const { summary } = await measure(found, planInfo(plan, found.order), { ...place(out), resources });
    found.close();
    assert.deepEqual(summary.candidates.map(({ status }) => status), ["failed", "ok"]);
    assert.match(summary.candidates[0]?.reason ?? "", /smollm2-135m-instruct is not here/);
  });
});

Deno.test("where no model can be had there is one message, the first model's own", async () => {
  await withService({ "phi-4-mini": {} }, async (resources) => {
    await assert.rejects(findCandidates({ names: ["smollm2-135m"] }, resources), (error: unknown) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.exitCode, 1);
      assert.match(error.message, /smollm2-135m-instruct is not here/);
      return true;
    });
    await assert.rejects(findCandidates({ names: ["nonsense"] }, resources), /nonsense/);
  });
});

Deno.test("a model that doesn't fit this machine, or may not be downloaded, says so", async () => {
  await withService({}, async (resources) => {
    const models = resources.registry.models.map((model) =>
      model.alias === "smollm2-135m-instruct" ? { ...model, minRamGb: 1e6 } : model
    );
    const request = { names: ["smollm2-135m@embedded"] };
    await assert.rejects(
      findCandidates(request, { ...resources, registry: { models } }),
      /doesn't fit this machine: it asks for 1000000 GB/,
    );
    await assert.rejects(
      findCandidates({ ...request, downloads: "none" }, resources),
      /not downloaded: .*deno task models pull smollm2-135m-instruct/,
    );
  });
});

Deno.test("a service that was named and can't be reached ends with exit code 1", async () => {
  await withService({}, async (resources) => {
    for (
      const request of [{ names: ["a"], endpoints: ["http://127.0.0.1:9/v1"] }, {
        names: null,
        endpoints: ["http://127.0.0.1:9"],
      }]
    ) {
      await assert.rejects(findCandidates(request, resources), (error: unknown) => {
        assert.ok(error instanceof UserError);
        assert.equal(error.exitCode, 1, error.message);
        return true;
      });
    }
  });
});

Deno.test("a resumed run finds a service on this machine again by itself", async () => {
  await withService({ "phi-4-mini": { tokens: 5 } }, async (resources, out) => {
    const first = await runSession({ names: ["phi-4-mini"], plan }, resources, place(out));
    await Deno.remove(join(first.folder, "samples.jsonl"));
    const unnamed = { ...resources, env: { get: () => undefined } };
    const again = await runSession({ names: null, plan, resume: first.folder }, unnamed, place(out));
    assert.equal(again.status, "completed");
    const row = again.summary.candidates[0];
    assert.deepEqual([row?.requests, row?.reason], [{ ok: 2, failed: 0 }, null]);
  });
});

Deno.test("a resumed run whose service is gone says where it was", async () => {
  await withService({ "phi-4-mini": {} }, async (resources, out) => {
    const { folder } = await runSession({ names: ["phi-4-mini"], plan }, resources, place(out));
    const path = join(folder, "run.json");
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:9"));
    const unnamed = { ...resources, env: { get: () => undefined } };
    await assert.rejects(runSession({ names: null, plan, resume: folder }, unnamed, place(out)), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /was measured at http:\/\/127\.0\.0\.1:9\/v1: .*--endpoint local-\d+=URL/);
      assert.equal(error.exitCode, 1);
      return true;
    });
  });
});

Deno.test("a run says where an endpoint does not take requests as they are, and measures it all the same", async () => {
  const models = {
    able: {},
    strict: { systemMessage: "refuse", refuseZeroTemperature: true },
    silent: { systemMessage: "drop" },
    loading: { loadingMs: 300 },
  };
  await withService(models, async (resources, out) => {
    const cold = { ...plan, prefix: "cold" as const };
    const { summary, folder } = await runSession(
      { names: Object.keys(models), plan: cold },
      resources,
      place(out),
    );
    assert.deepEqual(summary.candidates.map(({ latency_s }) => latency_s.n), [2, 2, 2, 2]);
    const info = JSON.parse(await Deno.readTextFile(join(folder, "run.json")));
    assert.deepEqual(info.candidates.map(({ protocol }: { protocol: unknown }) => protocol ?? null), [
      null,
      { system_message: "refused", left_out: ["temperature"] },
      { system_message: "dropped", left_out: [] },
      null,
    ]);
    const changed = summary.warnings.filter(({ code }) => code === "request-changed");
    assert.equal(changed.length, 2);
    assert.match(changed[0]?.message ?? "", /strict.*refuses system messages.*refuses temperature/);
    assert.match(changed[1]?.message ?? "", /silent.*drops system messages/);
    assert.ok((summary.candidates[3]?.load_s ?? 0) >= 0.2, "the wait counts as load");
  });
});

Deno.test("a model that is named is asked at a service whose list is missing, null or empty", async () => {
  const lists = [{ status: 404, body: {} }, { body: { object: "list", data: null } }, { body: { data: [] } }];
  for (const modelList of lists) {
    const fake = startFake({ models: { m: { tokens: 3 } }, modelList });
    try {
      await withService({}, async (resources, out) => {
        const endpoints = [fake.baseUrl];
        const { summary } = await runSession({ names: ["m"], endpoints, plan }, resources, place(out));
        assert.deepEqual(summary.candidates.map(({ status }) => status), ["ok"]);
        await assert.rejects(
          findCandidates({ names: null, endpoints }, resources),
          /lists no models: name one/,
        );
      });
    } finally {
      await fake.stop();
    }
  }
});

Deno.test("where system messages are refused or dropped, a cold prefix opens the user message", async () => {
  for (const systemMessage of ["use", "refuse", "refuse with 500", "drop"] as const) {
    const fake = startFake({ models: { m: { systemMessage, tokens: 3 } } });
    try {
      await withService({}, async (resources, out) => {
        const cold = { ...plan, prefix: "cold" as const };
        const { prompts: [first, ...others], ...set } = plan.prompts;
        assert.ok(first !== undefined);
        const messages = [{ role: "system" as const, content: "Be brief." }, ...first.messages];
        const prompts = { ...set, prompts: [{ ...first, messages }, ...others] };
        const request = { names: ["m"], endpoints: [fake.baseUrl], plan: { ...cold, prompts } };
        await runSession(request, resources, place(out));
        const openings = fake.log.slice(-2).map(({ body }) => Object(body).messages[0]);
        const role = systemMessage === "use" ? "system" : "user";
        assert.deepEqual(openings.map((one) => one.role), [role, role], systemMessage);
        assert.ok(openings.every(({ content }) => !content.startsWith("Be brief.")), "a nonce comes first");
        assert.notEqual(openings[0].content, openings[1].content);
      });
    } finally {
      await fake.stop();
    }
  }
});
