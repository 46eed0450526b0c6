/** The task itself, as it is typed. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { lastSelfcheck, selfcheckResult } from "../../lib/selfcheck/selfcheck.ts";
import { join } from "node:path";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where Deno keeps its packages: told to the task, because a cache folder of its own would move them too. */
const { denoDir } = JSON.parse(
  new TextDecoder().decode(
    (await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output()).stdout,
  ),
);

/** Runs `deno task selfcheck` with a cache folder of its own. */
async function selfcheck(cache: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "selfcheck", ...args],
    cwd: root,
    env: { DENO_DIR: denoDir, XDG_CACHE_HOME: cache, LOCALAPPDATA: cache, NO_COLOR: "1" },
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
  await Deno.remove(cache, { recursive: true });
});
