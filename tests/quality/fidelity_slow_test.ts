/** `deno task fidelity` over real variants of a model gives the figures of llama.cpp's own perplexity tool. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FidelityReport } from "../../lib/quality/fidelity.ts";
import { realModel } from "../engine/real_model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

async function run(program: string, args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(program, { args: [...args], cwd: root }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function succeed(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

const fidelity = (...args: readonly string[]) => run(Deno.execPath(), ["task", "-q", "fidelity", ...args]);

/** Variants of SmolLM2-135M, quantised by llama.cpp's own Python package. */
async function variants(folder: string): Promise<{ q8: string; q4: string }> {
  const python = join(folder, "venv", Deno.build.os === "windows" ? "Scripts" : "bin", "python");
  await succeed("python3", ["-m", "venv", join(folder, "venv")]);
  await succeed(python, ["-m", "pip", "install", "--quiet", "gguf==0.19.0"]);
  const make = async (kind: string) => {
    const path = join(folder, `smollm2-${kind.toLowerCase()}.gguf`);
    await succeed(python, ["tests/quality/requantise.py", await realModel(), path, kind]);
    return path;
  };
  return { q8: await make("Q8_0"), q4: await make("Q4_0") };
}

Deno.test("the figures agree with llama.cpp's perplexity tool within the error that it prints", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { q8, q4 } = await variants(folder);
    const { code, stdout, stderr } = await fidelity(q8, q4, "--tokens", "1024", "--json");
    assert.equal(code, 0, stderr);
    const { text }: FidelityReport = JSON.parse(stdout);
    // llama-perplexity -m smollm2-q8_0.gguf -f prompts/fidelity.txt -c 512 --kl-divergence-base base.bin
    // llama-perplexity -m smollm2-q4_0.gguf -f prompts/fidelity.txt -c 512 --kl-divergence-base base.bin --kl-divergence
    // after 2 chunks: 61.8729 ± 8.5257   0.27372 ± 0.04187   0.36152 ± 0.01021   11.893 ± 0.840 %   58.431 ± 2.184 %
    const near = (found: number, wanted: number, error: number) =>
      assert.ok(Math.abs(found - wanted) <= error, `${found} is not ${wanted} ± ${error}`);
    near(text.perplexity[1].value, 61.8729, 0.3);
    near(Math.log(text.perplexity_ratio.value), 0.27372, 0.01);
    near(text.kl_mean.value, 0.36152, 0.005);
    near(text.same_top.value, 0.58431, 0.012);
    assert.equal(text.compared, 2 * 255);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a setting that changes nothing gives identical predictions, and six equal answers are no proof of equality", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const { name, prompts } = JSON.parse(await Deno.readTextFile(join(root, "prompts", "four_kinds.json")));
    const job = join(folder, "job.json");
    await Deno.writeTextFile(job, JSON.stringify({ name, prompts: prompts.slice(0, 6) }));
    const { code, stdout, stderr } = await fidelity(
      "smollm2-135m",
      "smollm2-135m:mmap=off",
      ...["--tokens", "128", "--block", "64", "--prompts", job, "--max-tokens", "16"],
      ...["--out", folder],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /same top token +100\.0 %/);
    assert.match(stdout, /The predictions are identical\./);
    assert.match(
      stdout,
      /mmap=off is as good as smollm2-135m-instruct:q4_1 on \d+ cases like these|Can't tell/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what can't be compared is refused in one line", async () => {
  const refusals: readonly (readonly [string[], RegExp])[] = [
    [["smollm2-135m", "smollm2-135m:gpu=vulkan"], /read on the processor: leave out gpu=vulkan/],
    [["smollm2-135m", "smollm2-135m:context=64"], /does(n't| not) fit into context=64: give --block 64/],
    [["smollm2-135m", "no-such-model"], /no model called "no-such-model"/],
    [["smollm2-135m"], /missing required argument 'b'/],
  ];
  for (const [args, wanted] of refusals) {
    const { code, stdout, stderr } = await fidelity(...args);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, wanted);
  }
});
