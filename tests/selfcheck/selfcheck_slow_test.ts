/** The task itself, as it is typed. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { lastSelfcheck, selfcheckResult } from "../../lib/selfcheck/selfcheck.ts";
import { join } from "node:path";
import { runSession } from "../../lib/bench/session.ts";
import { writeRunToRun } from "../../lib/bench/run_to_run.ts";
import { readRunInfo } from "../../lib/bench/read_run.ts";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { withService } from "../bench/service.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where Deno keeps its packages: told to the task, because a cache folder of its own would move them too. */
const { denoDir } = JSON.parse(
  new TextDecoder().decode(
    (await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()).stdout,
  ),
);

/** Runs `deno task selfcheck` with a cache folder of its own. */
const selfcheck = (cache: string, ...args: string[]) => task("selfcheck", cache, args);

async function task(name: string, cache: string, args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", name, ...args],
    cwd: root,
    env: { DENO_DIR: denoDir, XDG_CACHE_HOME: cache, LOCALAPPDATA: cache, NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("selfcheck prints one JSON document, and saves it for reports", async () => {
  const cache = await Deno.makeTempDir();
  const { code, stdout, stderr } = await selfcheck(cache, "--json");
  assert.equal(code, 0, stderr);
  const result = selfcheckResult.parse(JSON.parse(stdout));
  assert.deepEqual(result.accuracy.map((one) => [one.transport, one.concurrency]), [
    ["raw", 1],
    ["raw", 8],
    ["raw", 64],
    ["fetch", 1],
    ["fetch", 64],
  ]);
  assert.ok(result.accuracy.every((one) => one.failed === 0 && one.requests > 0));
  assert.ok(result.trust.length > 0);
  const kept = /^saved for reports: (.*)$/m.exec(stderr)?.[1] ?? "";
  assert.deepEqual(await lastSelfcheck(join(kept, "..")), result);
  await Deno.remove(cache, { recursive: true });
});

Deno.test("selfcheck --soak reports memory and errors over time", async () => {
  const cache = await Deno.makeTempDir();
  const { code, stdout, stderr } = await selfcheck(cache, "--soak", "0.02", "--json");
  assert.equal(code, 0, stderr);
  const { slices } = JSON.parse(stdout);
  assert.ok(slices.length >= 1);
  assert.ok(
    slices.every((slice: { failed: number; memory_mb: number }) => slice.failed === 0 && slice.memory_mb > 0),
  );
  await Deno.remove(cache, { recursive: true });
});

Deno.test("selfcheck refuses invalid input in one line", async () => {
  const cache = await Deno.makeTempDir();
  const { code, stderr } = await selfcheck(cache, "--soak", "-1");
  assert.equal(code, 2);
  assert.match(stderr, /--soak <minutes>.*-1.*above 0/s);
  assert.ok(!stderr.includes("    at "));
  const both = await selfcheck(cache, "--aa", "RUN", "--classic");
  assert.deepEqual([both.code, /--aa.*--classic/.test(both.stderr)], [2, true], both.stderr);
  const missing = await selfcheck(cache, "--aa", "nosuch");
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /^error: --aa nosuch: there is no such run/m);
  await Deno.remove(cache, { recursive: true });
});

Deno.test("selfcheck --aa repeats a run by its own plan, and a gate against that run includes the spread", async () => {
  await withService({ "smollm2-135m": { ttftMs: 20, itlMs: 2, tokens: 8 } }, async (resources, out) => {
    const env = { FOUNDRY_LOCAL_ENDPOINT: resources.env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "" };
    const prompts = await loadPromptSet(join(root, "prompts", "default.json"));
    const plan = { prompts: { ...prompts, prompts: prompts.prompts.slice(0, 6) }, warmup: 1, maxTokens: 8 };
    const { folder } = await runSession({ names: null, plan }, resources, {
      out,
      now: new Date(),
      random: Math.random,
    });
    const aa = await task("selfcheck", out, ["--aa", folder, "--repeats", "2", "--json"], env);
    const repeats = [...Deno.readDirSync(join(folder, "repeats"))].map(({ name }) =>
      join(folder, "repeats", name)
    );
    assert.equal(repeats.length, 2, aa.stderr);
    const original = await readRunInfo(folder);
    for (const repeat of repeats) assert.deepEqual((await readRunInfo(repeat)).plan, original.plan);
    if (aa.code === 0) {
      const [{ latency_s, ttft_s }] = JSON.parse(aa.stdout).candidates;
      assert.deepEqual([latency_s.df, latency_s.cases, ttft_s.df], [1, 6, 1]);
      assert.ok(latency_s.sd >= 0 && latency_s.sd < 0.5, `${latency_s.sd}`);
    } else assert.match(aa.stderr, /two repeats on a quiet machine, and [01] of 2 w(as|ere) quiet \(/);

    const sd = { sd: 0.2, df: 4, cases: 6 };
    const known = { latency_s: sd, ttft_s: sd, decode_tokens_per_s: sd, output_chars_per_s: sd };
    await writeRunToRun(folder, {
      schema_version: 1,
      run_id: original.run_id,
      repeats: ["1", "2", "3", "4", "5"],
      candidates: original.candidates.map(({ id }) => ({ candidate: id, ...known })),
    });
    const gate = await task("gate", out, [repeats[0] ?? "", "--against", folder]);
    assert.match(gate.stdout, /included \(measured: 5 repeats of the baseline\)/);
  });
});
