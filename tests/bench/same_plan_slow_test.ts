/** One session: the same request through a task, the facade, lib and a mirror makes the same plan. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readRunInfo } from "../../lib/bench/read_run.ts";
import { runSession } from "../../lib/bench/session.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { bench, runTask } from "./command.ts";
import { withService } from "./service.ts";

const prompt = "Explain edge AI in one sentence.";
const models = { "phi-4-mini-generic-cpu:5": { tokens: 5 }, "qwen2.5-0.5b": { tokens: 5 }, unasked: {} };

/** What a run that was written below `out` planned. */
async function planIn(out: string) {
  const [run, ...more] = [...Deno.readDirSync(out)].filter(({ isDirectory, name }) =>
    isDirectory && name !== "models"
  );
  assert.ok(run !== undefined && more.length === 0, `one run below ${out}`);
  const { plan, candidates, machine, versions } = await readRunInfo(join(out, run.name));
  // Which settings were stated, and so precede a job's own, and whether disturbed blocks are made up for (a mirror runs
  // exactly the rounds asked for): in these a caller may differ.
  const { stated: _, repeat_disturbed: __, ...same } = plan;
  return { plan: same, candidates, machine, versions };
}

Deno.test("a task, the facade, lib and a mirror find the same candidates and make the same plan", async () => {
  await withService(models, async (resources, out) => {
    const url = resources.env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "";
    const env = { FOUNDRY_LOCAL_ENDPOINT: url, PODIUM_STORE: join(out, "models") };
    const at = (way: string) => join(out, way);
    for (const way of ["task", "facade", "lib", "mirror"]) await Deno.mkdir(at(way));

    const flags =
      "--models phi-4-mini,qwen2.5-0.5b --rounds 2 --warmup 1 --max-tokens 120 --temperature 0.2 --timeout 300";
    const task = await bench([...flags.split(" "), "--prompt", prompt, "--out", at("task")], env);
    assert.equal(task.code, 0, task.stderr);

    const plan = { rounds: 2, warmup: 1, maxTokens: 120, temperature: 0.2, timeoutS: 300 };
    const options = { ...plan, prompt, reports: at("facade") };
    const script =
      `import { bench } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};\n` +
      `await bench(["phi-4-mini", "qwen2.5-0.5b"], ${JSON.stringify(options)});\n`;
    await Deno.writeTextFile(join(out, "facade.ts"), script);
    const facade = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--config",
        fileURLToPath(new URL("../../deno.json", import.meta.url)),
        join(out, "facade.ts"),
      ],
      env: { ...env, NO_COLOR: "1" },
    }).output();
    assert.equal(facade.code, 0, new TextDecoder().decode(facade.stderr));

    await runSession(
      { names: ["phi-4-mini", "qwen2.5-0.5b"], plan: { ...plan, prompts: singlePrompt(prompt) } },
      resources,
      { out: at("lib"), now: new Date(), random: Math.random },
    );

    const mirror = await runTask("workshop:benchmark_oss_models", ["--out", at("mirror")], {
      ...env,
      BENCH_MODELS: "phi-4-mini,qwen2.5-0.5b",
      BENCH_PROMPT: prompt,
      BENCH_ROUNDS: "2",
    });
    assert.equal(mirror.code, 0, mirror.stderr);

    const expected = await planIn(at("lib"));
    assert.deepEqual(expected.candidates.map(({ model_id }) => model_id), [
      "phi-4-mini-generic-cpu:5",
      "qwen2.5-0.5b",
    ]);
    assert.deepEqual(await planIn(at("task")), expected);
    assert.deepEqual(await planIn(at("facade")), expected);
    assert.deepEqual(await planIn(at("mirror")), expected);
    const line = /^Measuring .*$/m;
    assert.equal(line.exec(mirror.stderr)?.[0], line.exec(task.stderr)?.[0], "the same message");
  });
});

Deno.test("without names a task and lib choose the same models, and race, quality capture and doctor the same as a bench", async () => {
  await withService(models, async (resources, out) => {
    const url = resources.env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "";
    const env = { FOUNDRY_LOCAL_ENDPOINT: url, PODIUM_STORE: join(out, "models") };
    const at = (way: string) => join(out, way);
    for (const way of ["bench", "race", "capture", "lib"]) await Deno.mkdir(at(way));
    const flags = ["--prompt", prompt, "--max-tokens", "8", "--warmup", "0"];
    const benched = await bench([...flags, "--rounds", "1", "--out", at("bench")], env);
    assert.equal(benched.code, 0, benched.stderr);
    const raced = await runTask("race", [...flags, "--budget", "6", "--out", at("race")], env);
    assert.equal(raced.code, 0, raced.stderr);
    const cases = ["--prompts", "prompts/meeting_notes.json", "--limit", "1", "--max-tokens", "8"];
    const captured = await runTask("quality", ["capture", ...cases, "--out", at("capture")], env);
    assert.equal(captured.code, 0, captured.stderr);
    const doctor = await runTask("doctor", ["--json"], env);
    assert.ok(doctor.stdout.startsWith("{"), doctor.stderr);
    await runSession(
      { names: null, plan: { prompts: singlePrompt(prompt), rounds: 1, maxTokens: 8, warmup: 0 } },
      resources,
      { out: at("lib"), now: new Date(), random: Math.random },
    );
    const { candidates, plan } = await planIn(at("lib"));
    assert.equal(candidates.length, 3);
    assert.deepEqual((await planIn(at("bench"))).candidates, candidates);
    assert.deepEqual((await planIn(at("bench"))).plan, plan);
    assert.deepEqual((await planIn(at("race"))).candidates, candidates);
    assert.deepEqual((await planIn(at("capture"))).candidates, candidates);
    const probed = [...doctor.stdout.matchAll(/"probe-([^"]+)"/g)].map(([, id]) => id);
    assert.deepEqual(probed, candidates.map(({ id }) => id));
  });
});
