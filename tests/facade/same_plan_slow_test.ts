/** One session: the task, the facade and a mirror make the same plan of the same request. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readRunInfo } from "../../lib/bench/folder.ts";
import { startFake } from "../fake_endpoint.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const prompt = "Say hello.";

/** Runs a Deno program below the repository, with runs going to `out`, and reads the run.json that it left. */
async function runOf(args: readonly string[], out: string, env: Record<string, string>) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    cwd: root,
    env: { NO_COLOR: "1", ...env },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const [run] = [...Deno.readDirSync(out)];
  assert.ok(run !== undefined);
  return await readRunInfo(join(out, run.name));
}

Deno.test("bench, the facade and a mirror make the same plan of the same request", async () => {
  const fake = startFake({ models: { quick: { ttftMs: 1 }, slow: { ttftMs: 4 } } });
  const env = { FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl };
  const folder = await Deno.makeTempDir();
  const [task, facade, mirror] = ["task", "facade", "mirror"].map((name) => join(folder, name));
  try {
    const options = { prompt, rounds: 2, warmup: 1, maxTokens: 120, temperature: 0.2, timeoutS: 300 };
    const script = `import { bench } from ${JSON.stringify(join(root, "mod.ts"))};\n` +
      `await bench(["quick", "slow"], ${JSON.stringify({ ...options, reports: facade })});\n`;
    await Deno.writeTextFile(join(folder, "script.ts"), script);
    const runs = [
      await runOf(
        [
          "scripts/bench.ts",
          ...["--models", "quick,slow", "--prompt", prompt, "--rounds", "2", "--warmup", "1"],
          ...["--max-tokens", "120", "--temperature", "0.2", "--timeout", "300", "--out", task ?? ""],
        ],
        task ?? "",
        env,
      ),
      await runOf(["--config", join(root, "deno.json"), join(folder, "script.ts")], facade ?? "", env),
      await runOf(
        ["scripts/workshop/benchmark_oss_models.ts", "--out", mirror ?? ""],
        mirror ?? "",
        { ...env, BENCH_MODELS: "quick,slow", BENCH_ROUNDS: "2", BENCH_PROMPT: prompt },
      ),
    ];
    const [first, ...others] = runs.map(({ plan, candidates }) => ({
      plan,
      candidates: candidates.map(({ id }) => id),
    }));
    for (const other of others) assert.deepEqual(other, first);
  } finally {
    await fake.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
