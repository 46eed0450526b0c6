/** Every mirror as a learner runs it, against the fake endpoint, whose times are known. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startFake } from "../fake_endpoint.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

async function mirror(name: string, args: readonly string[], variables: Record<string, string>) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "-q", `workshop:${name}`, ...args],
    cwd: root,
    env: { NO_COLOR: "1", FOUNDRY_LOCAL_ENDPOINT: "", BASE_URL: "", API_KEY: "", ...variables },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: decode(stdout), err: decode(stderr) };
}

const words = { ttftMs: 60, itlMs: 4, tokens: 20 };
const models = {
  "phi-4-mini": words,
  "qwen2.5-0.5b": { ...words, usage: "never" as const },
  "qwen2.5-7b": {
    fault: { kind: "http" as const, status: 500, body: '{"error":{"message":"out of memory"}}' },
  },
};

async function withFake(
  run: (fake: { url: string; out: string; env: Record<string, string> }) => Promise<void>,
) {
  const fake = startFake({ models, strict: true });
  const out = await Deno.makeTempDir();
  try {
    const env = { FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl, PODIUM_STORE: join(out, "models") };
    await run({ url: fake.baseUrl, out, env });
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
}

Deno.test("benchmark_oss_models prints the sample's fields, and what the endpoint really did", async () => {
  await withFake(async ({ out, env }) => {
    const { code, out: text, err } = await mirror("benchmark_oss_models", ["--out", out], {
      ...env,
      BENCH_STREAM: "1",
    });
    assert.equal(code, 0, err);
    const rows = JSON.parse(text);
    assert.deepEqual(rows.map((row: { alias: string }) => row.alias), ["phi-4-mini", "qwen2.5-0.5b"]);
    for (const row of rows) {
      // 60 ms + 19 gaps of 4 ms; upper bounds are wide, since a test machine may be busy.
      assert.ok(row.latency_avg >= 0.13 && row.latency_avg < 2, JSON.stringify(row));
      assert.ok(row.first_token_latency_avg >= 0.055 && row.first_token_latency_avg < row.latency_avg);
      assert.ok(row.tokens_per_sec_avg <= 20 / 0.13, "prompt tokens were counted");
      assert.equal(row.rounds, 3);
      assert.ok(typeof row.p95_note === "string");
    }
    assert.deepEqual(rows.map((row: { token_source: string }) => row.token_source), ["usage", "chunks"]);
  });
});

Deno.test("a variable with a typo is one line that names it, what it holds and what it takes", async () => {
  const { code, out, err } = await mirror("benchmark_oss_models", [], { BENCH_ROUNDS: "three" });
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /'three' from env 'BENCH_ROUNDS' is invalid\. Give a whole number/);
});

Deno.test("models that can't be had end in one line that says what to run", async () => {
  await withFake(async ({ out, env }) => {
    const args = ["--out", out];
    const { code, err } = await mirror("benchmark_oss_models", args, { ...env, BENCH_MODELS: "mistral-7b" });
    assert.equal(code, 1);
    assert.match(
      err,
      /error: mistral-7b:q4_k_m: no service lists it .* BENCH_MODELS=smollm2-135m,gemma-3-270m/,
    );
  });
});

Deno.test("export_benchmark_markdown writes both files and keeps the row of a failed model", async () => {
  await withFake(async ({ out, env }) => {
    const [output, json] = [join(out, "r.md"), join(out, "r.json")];
    const args = [
      "--models",
      "phi-4-mini,qwen2.5-7b",
      "--prompt",
      "Explain RAG.",
      "--rounds",
      "1",
      "--output",
      output,
    ];
    const { code, err } = await mirror(
      "export_benchmark_markdown",
      [...args, "--json", json, "--out", out],
      env,
    );
    assert.equal(code, 0, err);
    const table = await Deno.readTextFile(output);
    assert.match(table, /^\|Model\|Avg Latency \(s\)\|p95 \(s\)\|Tokens\/sec\|Rounds\|First Token \(s\)\|\n/);
    assert.match(table, /\n\|qwen2\.5-7b\|-\|-\|-\|1\|-\|\n/);
    assert.match(table, /out of memory/);
    assert.equal(JSON.parse(await Deno.readTextFile(json)).length, 2);
  });
});

Deno.test("model_compare prints an answer, or the error in its place", async () => {
  await withFake(async ({ out, env }) => {
    const { code, out: text, err } = await mirror("model_compare", ["--out", out], env);
    assert.equal(code, 0, err);
    const [small, large] = JSON.parse(text);
    assert.equal(small.alias, "phi-4-mini");
    assert.equal(small.tokens, 20);
    assert.match(small.sample, /t1 t2/);
    assert.match(large.error, /out of memory/);
  });
});

Deno.test("bench_latency has the fields of either edition of the page", async () => {
  await withFake(async ({ out, env }) => {
    const args = ["--models", "phi-4-mini,qwen2.5-7b", "--out", out];
    const newer = JSON.parse((await mirror("bench_latency", args, env)).out);
    assert.equal(newer[0].status, "success");
    assert.equal(newer[1].status, "error");
    assert.match(newer[1].error, /out of memory/);
    const older = JSON.parse((await mirror("bench_latency", [...args, "--edition", "older"], env)).out);
    assert.ok(older[0].latency_sec > 0.1 && !("status" in older[0]));
  });
});

Deno.test("list_and_bench lists models, services and cache, and runs one", async () => {
  await withFake(async ({ url, out, env }) => {
    const { code, out: text, err } = await mirror("list_and_bench", ["--json", "--out", out], env);
    assert.equal(code, 0, err);
    const told = JSON.parse(text);
    assert.ok(told.models.some((model: { alias: string }) => model.alias === "phi-4-mini"));
    assert.ok(told.services.some((service: { url: string }) => service.url === url));
    assert.deepEqual(told.cache, []);
    assert.equal(told.run.status, "success");
  });
});

Deno.test("select_model picks for this machine, and names the tasks there are", async () => {
  const picked = JSON.parse((await mirror("select_model", ["--task", "chat"], {})).out);
  assert.ok(
    typeof picked.name === "string" && picked.task === "chat" && typeof picked.min_ram_gb === "number",
  );
  const unknown = await mirror("select_model", ["--task", "poetry"], {});
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /"poetry": there are chat/);
});
