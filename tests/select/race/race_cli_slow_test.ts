/** The race as people run it: against endpoints whose truth is known, recorded, and run again. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { startFake } from "../../fake_endpoint.ts";

const temporary = () => Deno.makeTempDir({ prefix: "podium-race-" });

async function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const permissions = ["read", "write", "env", "sys", "net", "run"].map((name) => `--allow-${name}`);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", ...permissions, "scripts/race.ts", ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

const short = ["--warmup", "0", "--prompts", "prompts/default.json"];

Deno.test("the faster of two wins, is recorded, and wins again byte for byte when replayed", async () => {
  const out = await temporary();
  const fake = startFake({ models: { quick: { ttftMs: 1, tokens: 4 }, slow: { ttftMs: 40, tokens: 4 } } });
  try {
    const live = await run(["--endpoint", `lab=${fake.baseUrl}`, "--json", "--out", out, ...short]);
    assert.equal(live.code, 0, live.stderr);
    const report = JSON.parse(live.stdout);
    assert.deepEqual([report.verdict, report.winner, report.blocks, report.requests], [
      "winner",
      "quick@lab",
      8,
      16,
    ]);
    assert.equal(report.eliminated[0].by, "quick@lab");
    const again = await run(["--replay", join(out, report.run_id), "--json"]);
    assert.equal(again.stdout, live.stdout);
    const info = JSON.parse(await Deno.readTextFile(join(out, report.run_id, "run.json")));
    assert.deepEqual([info.status, info.plan.mode, info.plan.race.by], ["completed", "race", "latency"]);
    const stricter = await run(["--replay", join(out, report.run_id), "--delta", "0.001", "--json"]);
    assert.equal(JSON.parse(stricter.stdout).verdict, "undecided");
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("candidates that do not answer a probe are excluded with the reason; one left needs no race", async () => {
  const out = await temporary();
  const fake = startFake({
    models: {
      good: { tokens: 4 },
      gone: { fault: { kind: "http", status: 500, body: "no" } },
      cut: { tokens: 400, ttftMs: 1, itlMs: 1, fault: { kind: "cut", afterChunks: 3 } },
    },
  });
  try {
    const args = ["--models", "good,gone,cut", "--endpoint", `lab=${fake.baseUrl}`, "--json", "--out", out];
    const { code, stdout, stderr } = await run([...args, ...short]);
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout);
    assert.deepEqual([report.verdict, report.winner, report.requests], ["only", "good@lab", 0]);
    const excluded = report.excluded.map(({ id, constraint }: Record<string, string>) =>
      `${id} ${constraint}`
    );
    assert.deepEqual(excluded, ["gone@lab failed", "cut@lab failed"]);
    const decided = await Deno.readTextFile(join(out, report.run_id, "decision.json"));
    const { verdict, fastest, choice } = JSON.parse(decided);
    assert.deepEqual([verdict, fastest, choice], ["undecided", null, null], "nothing was measured");
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("a race by checks ends after one pass, and equal answers are said to be equal", async () => {
  const out = await temporary();
  const prompts = join(out, "yes.json");
  const one = (id: string) => ({
    id,
    prompt: `Say yes (${id}).`,
    checks: [{ kind: "contains", name: "yes", texts: ["yes"] }],
  });
  await Deno.writeTextFile(prompts, JSON.stringify(["a", "b", "c"].map(one)));
  const fake = startFake({ models: { one: { words: ["yes"] }, two: { words: ["yes"] } } });
  try {
    const args = ["--by", "checks", "--prompts", prompts, "--endpoint", `lab=${fake.baseUrl}`, "--out", out];
    const live = await run([...args, "--json"]);
    assert.equal(live.code, 0, live.stderr);
    const report = JSON.parse(live.stdout);
    assert.deepEqual([report.verdict, report.choice, report.blocks], ["undecided", null, 3]);
    assert.match(report.reason, /equal in all 3 blocks/);
    assert.equal((await run(["--replay", join(out, report.run_id), "--json"])).stdout, live.stdout);
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("one command, the whole way: gate, race, decision; and none, where nobody reaches the floor", async () => {
  const out = await temporary();
  const prompts = join(out, "yes.json");
  const one = (id: string) => ({
    id,
    prompt: `Say yes (${id}).`,
    checks: [{ kind: "contains", name: "yes", texts: ["yes"] }],
  });
  await Deno.writeTextFile(prompts, JSON.stringify([..."abcdefghijkl"].map(one)));
  const fake = startFake({
    models: {
      quick: { words: ["yes"], ttftMs: 1 },
      slow: { words: ["yes"], ttftMs: 40 },
      wrong: { words: ["no"] },
    },
  });
  try {
    const args = ["--prompts", prompts, "--endpoint", `lab=${fake.baseUrl}`, "--out", out, "--warmup", "0"];
    const live = await run([...args, "--min-score", "0.5", "--json"]);
    assert.equal(live.code, 0, live.stderr);
    const report = JSON.parse(live.stdout);
    assert.deepEqual([report.verdict, report.winner], ["winner", "quick@lab"]);
    assert.deepEqual(report.excluded.map(({ id }: { id: string }) => id), ["wrong@lab"]);
    assert.match(
      report.excluded[0].reason,
      /score of 0\.000 .* the lower bound must reach the floor of 0\.500/,
    );
    const decision = JSON.parse(await Deno.readTextFile(join(out, report.run_id, "decision.json")));
    assert.deepEqual([decision.verdict, decision.choice, decision.runner_up, decision.quality_run], [
      "winner",
      "quick@lab",
      "slow@lab",
      report.quality_run,
    ]);
    const nobody = await run([...args, "--min-pass", "1", "--models", "wrong", "--json"]);
    assert.equal(nobody.code, 0, nobody.stderr);
    const none = JSON.parse(nobody.stdout);
    assert.deepEqual([none.verdict, none.winner, none.choice, none.requests], ["none", null, null, 0]);
    const text = await Deno.readTextFile(join(out, none.run_id, "decision.md"));
    assert.match(text, /^# None; the best of the rest is wrong@lab/);
  } finally {
    await fake.stop();
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("mistakes end with one line, exit code 2, and nothing written", async () => {
  const out = await temporary();
  const wrong: readonly [readonly string[], RegExp][] = [
    [["--by", "utility", "--weights", "latency=0,checks=0"], /the weights sum to 0/],
    [["--by", "utility", "--weights", "speed=1"], /unknown part "speed=1"/],
    [["--by", "utility"], /needs --weights/],
    [["--by", "checks", "--prompts", "prompts/ten.json"], /needs checks/],
    [["--weights", "latency=1"], /belongs to --by utility/],
    [["--delta", "0"], /above 0/],
    [["--replay", "nothing-there"], /there is no such run/],
    [["--quality", "nothing-there", "--models", "smollm2", "--min-score", "0.5"], /there is no such run/],
  ];
  const results = await Promise.all(wrong.map(([args]) => run([...args, "--out", out])));
  for (const [i, { code, stderr }] of results.entries()) {
    assert.equal(code, 2, stderr);
    assert.match(stderr, wrong[i]?.[1] ?? /./);
    assert.ok(!stderr.includes("    at "), stderr);
  }
  assert.deepEqual([...Deno.readDirSync(out)], []);
  await Deno.remove(out, { recursive: true });
});
