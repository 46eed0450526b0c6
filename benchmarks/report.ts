/**
 * A report must stay quick and small, however long the run was.
 *
 *   deno task bench:report              200,000 samples; prints seconds and peak memory
 *   deno task bench:report 20000        another size
 *
 * The run is made up in a temporary folder (4 candidates, 10 prompts, 64 chunks an answer); the report is
 * made by a process of its own, so that its peak memory is its own.
 */
import { join } from "node:path";
import process from "node:process";
import { reportRun } from "../lib/report/write.ts";
import { writeGeneratedRun } from "./generated_run.ts";

const [first = "200000", folder] = Deno.args;

if (first === "--report" && folder !== undefined) {
  await reportRun(folder);
  console.log(JSON.stringify({
    seconds: performance.now() / 1000,
    cpu_s: (process.cpuUsage().user + process.cpuUsage().system) / 1e6,
    peak_mb: process.resourceUsage().maxRSS / 1024,
    html_mb: (await Deno.stat(join(folder, "report.html"))).size / 1e6,
  }));
} else {
  const samples = Number(first);
  const target = await Deno.makeTempDir({ prefix: "podium-report-" });
  try {
    const candidates = ["a", "b", "c", "d"].map((id, i) => ({
      id: `model-${id}`,
      ttftMs: 40 + 10 * i,
      itlMs: 6 + i,
      tokens: 64,
      stalling: 0.02,
    }));
    const prompts = Array.from(
      { length: 10 },
      (_, i) => ({ id: `prompt-${i + 1}`, text: `Question ${i + 1}?` }),
    );
    const rounds = Math.ceil(samples / candidates.length / prompts.length);
    await writeGeneratedRun(target, { candidates, prompts, rounds, disturbEvery: 50 });
    const size = (await Deno.stat(join(target, "samples.jsonl"))).size;
    console.error(`${rounds * 40} timed samples, ${(size / 1e6).toFixed(0)} MB`);
    const child = new Deno.Command(Deno.execPath(), {
      args: "run -q --allow-read --allow-write --allow-env --allow-sys".split(" ")
        .concat(import.meta.url, "--report", target),
      stdout: "inherit",
      stderr: "inherit",
    });
    const { code } = await child.output();
    if (code !== 0) Deno.exit(code);
  } finally {
    await Deno.remove(target, { recursive: true });
  }
}
