/** deno task route as a person runs it: on scored runs, and with everything that can be given wrong. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { generatedQuality, writeGeneratedRun } from "../../../benchmarks/generated_run.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..");

async function route(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "-q", "route", ...args],
    cwd: root,
    env: { NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: decode(stdout), err: decode(stderr) };
}

/** A run of two models whose answers were scored. */
async function withScoredRun(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "podium-route-" });
  try {
    const ids = ["quick:q4_1+threads=1", "slow"];
    const candidates = ids.map((id) => ({ id, ttftMs: 50, itlMs: 5, tokens: 40 }));
    const info = await writeGeneratedRun(folder, { candidates, rounds: 1 });
    const report = generatedQuality(info, ids, (id) => id === "slow" ? 0.4 : 0.9);
    await Deno.writeTextFile(join(folder, "quality.json"), JSON.stringify(report));
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("audit finds the best single model, writes a plan, and show and try read it", async () => {
  await withScoredRun(async (folder) => {
    const file = join(folder, "routing.json");
    const { code, out, err } = await route("audit", folder, "--write", file, "--json");
    assert.equal(code, 0, err);
    const found = JSON.parse(out);
    assert.deepEqual([found.source, found.best_single.arm, found.chosen], ["checks", "quick:q4_1", null]);
    assert.deepEqual(JSON.parse(await Deno.readTextFile(file)), found.plan);
    assert.deepEqual([found.plan.mode, found.plan.constant], ["constant", "quick:q4_1"]);
    const shown = await route("show", file);
    assert.match(shown.out, /^auto: constant \(quick:q4_1\)\. /);
    const tried = await route("try", file, "Summarize the day", "--json");
    assert.deepEqual(JSON.parse(tried.out).order, ["quick:q4_1", "slow"]);
    const table = await route("audit", folder);
    assert.match(table.out, /map by intent[\s\S]*nearest neighbours[\s\S]*oracle/);
  });
});

Deno.test("every mistake is one line and exit code 2 or 1", async () => {
  await withScoredRun(async (folder) => {
    const bad = join(folder, "bad.json");
    await Deno.writeTextFile(bad, '[{"name": "code", "patterns": ["(?=x)"]}]');
    const unscored = join(folder, "unscored");
    const candidates = ["a", "b"].map((id) => ({ id, ttftMs: 5, itlMs: 1, tokens: 4 }));
    await Deno.mkdir(unscored);
    await writeGeneratedRun(unscored, { candidates, rounds: 1 });
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[], /missing command: use audit, show or try/],
      [["audti"], /unknown command "audti"/],
      [["audit"], /were not scored: deno task quality check/],
      [["audit", "nowhere"], /nowhere: there is no such run/],
      [["audit", unscored], /were not scored: deno task quality check/],
      [["audit", folder, "--intents", bad], /\(\?=x\).*is not valid/],
      [["audit", folder, "--decision", bad], /is damaged: .*make one with deno task select/],
      [["audit", folder, "--alpha", "2"], /Give a number that is above 0 and at most 0.5/],
      [["show", join(folder, "missing.json")], /can't read/],
      [["show", bad], /is damaged/],
      [["try", bad], /is damaged/],
    ];
    for (const [args, expected] of cases) {
      const { code, out, err } = await route(...args);
      assert.equal(code, 2, `${args.join(" ")}: ${err}`);
      assert.equal(out, "");
      assert.match(err, expected);
      assert.equal(err.trim().split("\n").length, 1, err);
    }
  });
});
