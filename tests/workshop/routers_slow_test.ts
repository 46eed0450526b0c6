/** The two mirrors that route, as a learner runs them, against the fake endpoint. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startFake } from "../fake_endpoint.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

const words = { ttftMs: 5, itlMs: 1, tokens: 10 };
const models = {
  "phi-4-mini": words,
  "qwen2.5-0.5b": words,
  "qwen2.5-7b": {
    fault: { kind: "http" as const, status: 500, body: '{"error":{"message":"out of memory"}}' },
  },
};

async function mirror(name: string, args: readonly string[], variables: Record<string, string> = {}) {
  const fake = startFake({ models, strict: true });
  const store = await Deno.makeTempDir();
  try {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "-q", `workshop:${name}`, ...args],
      cwd: root,
      env: {
        NO_COLOR: "1",
        FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl,
        BASE_URL: "",
        API_KEY: "",
        PODIUM_STORE: store,
        ...variables,
      },
    }).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: decode(stdout), err: decode(stderr) };
  } finally {
    await fake.stop();
    await Deno.remove(store, { recursive: true });
  }
}

Deno.test("models_router prints the sample's fields; the next model stands in for one that is not there", async () => {
  const { code, out, err } = await mirror("models_router", []);
  assert.equal(code, 0, err);
  const rows: { intent: string; alias: string; output: string; tokens: number; reason: string }[] = JSON
    .parse(
      out,
    );
  assert.deepEqual(rows.map(({ intent }) => intent), ["code", "summarize", "classification"]);
  assert.deepEqual(rows.map(({ alias }) => alias), ["phi-4-mini", "phi-4-mini", "qwen2.5-0.5b"]);
  assert.ok(rows.every(({ tokens, output }) => tokens === 10 && output.includes("t10")));
  assert.match(rows[0]?.reason ?? "", /no available model is tagged code/);
  assert.match(err, /deepseek-coder-1\.3b is not available/);
});

Deno.test("models_router looks at the beginnings of words, and a general prompt goes to the general model", async () => {
  const { code, out, err } = await mirror("models_router", ["Decode this barcode", "Good morning"]);
  assert.equal(code, 0, err);
  const rows: { intent: string; alias: string }[] = JSON.parse(out);
  assert.deepEqual(rows.map(({ intent }) => intent), ["general", "general"]);
  assert.deepEqual(rows.map(({ alias }) => alias), ["phi-4-mini", "phi-4-mini"]);
});

Deno.test("router falls back to another tool's model, and says who failed", async () => {
  const { code, out, err } = await mirror("router", ["Refactor this function"]);
  assert.equal(code, 0, err);
  const { tool, model, temperature, answer, failed } = JSON.parse(out);
  assert.deepEqual({ tool, model, temperature }, { tool: "code", model: "phi-4-mini", temperature: 0.2 });
  assert.match(answer, /t10/);
  assert.equal(failed[0].alias, "qwen2.5-7b");
  assert.match(failed[0].error, /out of memory/);
});

Deno.test("router takes TOOL_REGISTRY, and a fault in it is one line", async () => {
  const registry = '{"sql": {"model": "qwen2.5-0.5b", "notes": "queries", "temperature": 0}}';
  const named = await mirror("router", ["--tool", "sql", "all users"], { TOOL_REGISTRY: registry });
  assert.equal(named.code, 0, named.err);
  assert.equal(JSON.parse(named.out).tool_description, "queries");
  const broken = await mirror("router", [], { TOOL_REGISTRY: '{"sql": {"model": 3}}' });
  assert.equal(broken.code, 2);
  assert.equal(broken.out, "");
  assert.match(broken.err, /^error: TOOL_REGISTRY can't be used: .*sql\.model/);
});

Deno.test("where no model answers, the error is not an answer and the exit code is 1", async () => {
  const one = { GENERAL_MODEL: "qwen2.5-7b", REASONING_MODEL: "qwen2.5-7b", CODE_MODEL: "qwen2.5-7b" };
  const { code, out } = await mirror("router", ["Good morning"], { ...one, CREATIVE_MODEL: "qwen2.5-7b" });
  assert.equal(code, 1);
  const { model, answer, error } = JSON.parse(out);
  assert.deepEqual({ model, answer, error }, { model: null, answer: null, error: "no model answered" });
});
