/** The tasks `compare` and `report` as a user calls them: names, git revisions, exit codes, one JSON document. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeRunToRun } from "../../lib/bench/run_to_run.ts";
import { type GeneratedRun, writeGeneratedRun } from "../../benchmarks/generated_run.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

const run = (factor: number): GeneratedRun => ({
  candidates: [{ id: "a", ttftMs: 50 * factor, itlMs: 8 * factor, tokens: 30, answer: `Answer ${factor}.` }],
  plan: { prefix: "warm" },
});

async function deno(script: string, args: readonly string[], cwd: string) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      `--config=${join(root, "deno.json")}`,
      "--allow-read",
      "--allow-write",
      "--allow-env",
      "--allow-run=git",
      join(root, "scripts", script),
      ...args,
    ],
    cwd,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

async function git(cwd: string, ...args: string[]): Promise<void> {
  const settings = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"];
  const { success, stderr } = await new Deno.Command("git", { args: [...settings, ...args], cwd }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

Deno.test("runs by id, by folder and by git revision; exit codes; one JSON document", async (t) => {
  const cwd = await Deno.makeTempDir({ prefix: "podium-compare-" });
  try {
    await git(cwd, "init", "--quiet");
    await writeGeneratedRun(join(cwd, "reports", "base"), { ...run(1), runId: "base" });
    await writeGeneratedRun(join(cwd, "reports", "base", "repeats", "1"), { ...run(1), runId: "1" });
    await writeRunToRun(join(cwd, "reports", "base"), {
      schema_version: 1,
      run_id: "base",
      repeats: ["1", "2", "3"],
      candidates: [{
        candidate: "a",
        latency_s: { sd: 0.5, df: 2, cases: 8 },
        ttft_s: null,
        decode_tokens_per_s: null,
        output_chars_per_s: null,
      }],
    });
    await git(cwd, "add", "-A");
    await git(cwd, "commit", "--quiet", "-m", "first");
    await Deno.remove(join(cwd, "reports", "base"), { recursive: true });
    await writeGeneratedRun(join(cwd, "reports", "base"), { ...run(1.5), runId: "base" });
    await writeGeneratedRun(join(cwd, "elsewhere"), { ...run(1), runId: "other" });

    await t.step("an id against a folder", async () => {
      const { code, out, err } = await deno("compare.ts", ["elsewhere", "base", "--json"], cwd);
      assert.equal(code, 0, err);
      const comparison = JSON.parse(out);
      assert.equal(comparison.baseline.run_id, "other");
      assert.equal(comparison.runs[0].candidates[0].metrics[0].verdict, "worse");
    });

    await t.step("a revision alone, and with a folder; nothing is left behind", async () => {
      for (const name of ["HEAD", "HEAD:reports/base", "HEAD:base"]) {
        const { code, out, err } = await deno("compare.ts", [name, "base", "--fail-on-regression"], cwd);
        assert.equal(code, 1, err);
        assert.match(out, /E2E latency +1\.5/);
        // The committed baseline holds the spread of its latency, which is too wide to fail by.
        assert.match(err, /^Fail: base against .*fail\s+a: TTFT 1\.50 ×/s);
      }
      const left = [...Deno.readDirSync(join(cwd, "reports"))].map((entry) => entry.name);
      assert.deepEqual(left, ["base"]);
    });

    await t.step(
      "a gate includes the spread between runs that lies beside a committed baseline",
      async () => {
        const gate = async (baseline: string) => {
          const { out, err } = await deno("gate.ts", ["base", "--against", baseline, "--json"], cwd);
          const report = JSON.parse(out);
          const latency = report.parts.find(({ part }: { part: string }) => part === "latency");
          assert.ok(latency, err);
          return { correction: report.correction, verdict: latency.verdict };
        };
        const committed = await gate("HEAD:reports/base");
        assert.match(committed.correction, /included \(measured: 3 repeats of the baseline\)/);
        assert.equal(committed.verdict, "can't tell", "1.5 × is little where runs differ by half");
        const without = await gate("elsewhere");
        assert.match(without.correction, /not known and not included/);
        assert.equal(without.verdict, "fail");
      },
    );

    await t.step("changed answers set the exit code when asked", async () => {
      const plain = await deno("compare.ts", ["HEAD", "base"], cwd);
      assert.equal(plain.code, 0, plain.err);
      assert.match(plain.out, /24 of 24 changed/);
      const gate = await deno("compare.ts", ["HEAD", "base", "--fail-on-changed-answers"], cwd);
      assert.equal(gate.code, 1);
    });

    await t.step("what is not named is the latest run", async () => {
      assert.equal(
        JSON.parse((await deno("compare.ts", ["elsewhere", "--json"], cwd)).out).runs[0].run_id,
        "base",
      );
      const gate = await deno("gate.ts", ["--against", "HEAD:reports/base", "--json"], cwd);
      assert.match(gate.out, /"base"/);
      const itself = await deno("gate.ts", ["--against", "base"], cwd);
      assert.match(itself.err, /^error: base is the latest run/);
      assert.equal(itself.code, 2);
    });

    await t.step("mistakes are one line with what to do, and exit code 2", async () => {
      const mistakes: [string[], RegExp][] = [
        [["nosuch", "base"], /^error: no run nosuch: give a folder/],
        [
          ["HEAD:reports/nosuch", "base"],
          /^error: HEAD holds no run reports\/nosuch: it holds HEAD:reports\/base/,
        ],
        [["base"], /^error: base is the latest run below reports: name the run to compare it with/],
        [["base", "elsewhere", "--control", "zz"], /^error: the control zz is not in base/],
        [["base", "elsewhere", "--epsilon", "-1"], /--epsilon/],
      ];
      for (const [args, message] of mistakes) {
        const { code, out, err } = await deno("compare.ts", args, cwd);
        assert.equal(code, 2, `${args.join(" ")}: ${err}`);
        assert.match(err, message);
        assert.doesNotMatch(err, /\n\s+at /);
        assert.equal(out, "");
      }
    });

    await t.step("a gate across machines is refused, not passed", async () => {
      await writeGeneratedRun(join(cwd, "far"), { ...run(1), machine: { cpu: "Another" } });
      const { code, err } = await deno("compare.ts", ["elsewhere", "far", "--fail-on-regression"], cwd);
      assert.equal(code, 3, "it can't tell");
      assert.match(err, /processor/);
    });

    await t.step("report makes everything of a run again", async () => {
      const { code, out, err } = await deno("report.ts", ["base", "--json", "--watts", "15"], cwd);
      assert.equal(code, 0, err);
      assert.equal(JSON.parse(out).run_id, "base");
      const names = [...Deno.readDirSync(join(cwd, "reports", "base"))].map((entry) => entry.name).sort();
      assert.deepEqual(names, [
        "answers.jsonl",
        "report.csv",
        "report.html",
        "report.md",
        "run.json",
        "samples.jsonl",
        "summary.json",
      ]);
      const missing = await deno("report.ts", ["nosuch"], cwd);
      assert.equal(missing.code, 2);
      assert.match(missing.err, /^error: nosuch: there is no such run/);
    });

    await t.step("a damaged record is named by its line", async () => {
      await Deno.writeTextFile(join(cwd, "far", "samples.jsonl"), '{"kind":"request"}\n{}\n', {
        append: true,
      });
      const { code, err } = await deno("report.ts", ["far"], cwd);
      assert.equal(code, 2);
      assert.match(err, /samples\.jsonl, line \d+ can't be read/);
      assert.doesNotMatch(err, /\n\s+at /);
    });
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
