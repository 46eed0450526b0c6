/** One real run of the embedded default: both models, through engines of their own, to a report. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { readSamples } from "../../lib/bench/read_run.ts";
import { summarySchema } from "../../lib/bench/summary_schema.ts";
import { bench } from "./command.ts";

Deno.test("both real models are measured side by side", async () => {
  const out = await Deno.makeTempDir();
  try {
    const { models } = await loadRegistry("models.json");
    const always = models.filter((entry) => entry.default === "always").map(({ alias }) => alias);
    assert.equal(always.length, 2);
    const names = [...always, `${always[0]}:threads=1`].map((name) => `${name}@embedded`).join(",");
    const end = await bench([
      ...["--models", names, "--rounds", "2", "--warmup", "1", "--max-tokens", "24", "--out", out, "--json"],
      ...["--prompt", "Name three colours of the rainbow."],
    ]);
    assert.equal(end.code, 0, end.stderr);
    const summary = summarySchema.parse(JSON.parse(end.stdout));
    assert.equal(summary.status, "completed");
    assert.equal(summary.candidates.length, 3);
    for (const row of summary.candidates) {
      assert.equal(row.status, "ok", `${row.id}: ${row.reason}`);
      assert.ok(row.requests.ok >= 2);
      assert.equal(row.tokens.source, "usage");
      for (const known of [row.load_s, row.memory_mb, row.size_mb, row.ttft_s.mean, row.latency_s.mean]) {
        assert.ok((known ?? 0) > 0);
      }
      assert.ok((row.sample_answer ?? "") !== "" && row.device !== null && row.license !== null);
    }
    const folder = join(out, summary.run_id);
    for (const name of ["report.md", "report.csv", "report.html", "run.json"]) {
      assert.ok((await Deno.stat(join(folder, name))).size > 0, name);
    }
    for await (const record of readSamples(folder)) {
      if (record.kind !== "machine") continue;
      assert.ok((record.engines_cpu_s ?? 0) > 0, "engines tell their processor time");
    }
    const written = await Promise.all(
      ["run.json", "samples.jsonl", "answers.jsonl", "summary.json"].map((name) =>
        Deno.readTextFile(join(folder, name))
      ),
    );
    const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE") ?? "";
    for (const secret of [Deno.hostname(), home].filter((text) => text.length > 5)) {
      assert.ok(written.every((text) => !text.includes(secret)), `nothing written names ${secret}`);
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
