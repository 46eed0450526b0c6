import assert from "node:assert/strict";
import { join } from "node:path";
import { createRunFolder, replaceFile, resumeRunFolder } from "../../lib/bench/folder.ts";
import { readAnswers, readRunInfo, readSamples } from "../../lib/bench/read_run.ts";
import { UserError } from "../../lib/errors.ts";
import type { SampleRecord } from "../../lib/bench/records.ts";
import { requestRecord, runInfoOf } from "./fakes.ts";

const memory = (resident_mb: number): SampleRecord => ({
  kind: "memory",
  candidate: "a",
  at_ms: resident_mb,
  resident_mb,
  source: "engine",
});

const request = (id: string): SampleRecord => requestRecord({ id, end_ms: 2 });

async function inTemp(work: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    await work(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const residents = async (path: string, onTorn?: (text: string) => void) => {
  const seen: number[] = [];
  for await (const record of readSamples(path, onTorn)) {
    if (record.kind === "memory") seen.push(record.resident_mb);
  }
  return seen;
};

Deno.test("what is appended can be read again, in order, whoever wrote at once", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    await Promise.all(Array.from({ length: 200 }, (_, at) => folder.sample(memory(at))));
    folder.close();
    assert.deepEqual(await residents(folder.path), Array.from({ length: 200 }, (_, at) => at));
  }));

Deno.test("a torn last line is left out and told, and cut off before a run goes on", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    await folder.sample(memory(1));
    folder.close();
    const samples = join(folder.path, "samples.jsonl");
    await Deno.writeTextFile(samples, '{"kind":"memory","cand', { append: true });
    let torn = "";
    assert.deepEqual(await residents(folder.path, (text) => torn = text), [1]);
    assert.equal(torn, '{"kind":"memory","cand');
    const resumed = await resumeRunFolder(folder.path);
    await resumed.folder.sample(memory(2));
    resumed.folder.close();
    assert.deepEqual(await residents(folder.path), [1, 2]);
  }));

Deno.test("a torn line longer than what is looked at in one piece is cut off whole", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    await folder.sample(memory(1));
    folder.close();
    await Deno.writeTextFile(join(folder.path, "samples.jsonl"), "x".repeat(200_000), { append: true });
    (await resumeRunFolder(folder.path)).folder.close();
    assert.deepEqual(await residents(folder.path), [1]);
  }));

Deno.test("a damaged line before the last is named", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    await folder.sample(memory(1));
    folder.close();
    const samples = join(folder.path, "samples.jsonl");
    await Deno.writeTextFile(samples, "oops\n", { append: true });
    await assert.rejects(residents(folder.path), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /samples\.jsonl, line 2 can't be read/);
      return true;
    });
  }));

Deno.test("a second run into the folder is refused while the first one lives", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    // The lock belongs to the open file: a second handle is refused, in this process as in another.
    await assert.rejects(resumeRunFolder(folder.path), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /another run is writing to/);
      return true;
    });
    folder.close();
    (await resumeRunFolder(folder.path)).folder.close();
  }));

Deno.test("a folder that can't be made is a line with the remedy, exit code 1", () =>
  inTemp(async (root) => {
    const file = join(root, "file");
    await Deno.writeTextFile(file, "");
    await assert.rejects(createRunFolder(file, runInfoOf([])), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.exitCode, 1);
      assert.match(error.message, /can't write to .*--out/);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  }));

Deno.test("what is no run is named as such", () =>
  inTemp(async (root) => {
    await assert.rejects(resumeRunFolder(root), /is not the folder of a run: it has no run\.json/);
    await Deno.writeTextFile(join(root, "run.json"), '{"schema_version": 2}');
    await assert.rejects(resumeRunFolder(root), /run\.json in .* is damaged/);
    await Deno.writeTextFile(join(root, "run.json"), '{"schema_version": 7}');
    await assert.rejects(
      resumeRunFolder(root),
      /newer version of Podium \(schema 7; .* up to 2\): update Podium/,
    );
  }));

Deno.test("run.json of schema 1, and one that an editor gave a byte order mark, are read", () =>
  inTemp(async (root) => {
    const info = { ...runInfoOf([]), schema_version: 1 as const };
    await Deno.writeTextFile(join(root, "run.json"), `\uFEFF${JSON.stringify(info)}`);
    assert.deepEqual(await readRunInfo(root), info);
  }));

Deno.test("a full disk ends with what was kept, and keeps every whole line", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    await folder.sample(memory(1));
    const write = Deno.FsFile.prototype.write;
    // As a disk does it: the first part still fits, the rest does not.
    let calls = 0;
    Deno.FsFile.prototype.write = function (bytes) {
      if (++calls === 1) return write.call(this, bytes.subarray(0, 10));
      return Promise.reject(new Error("No space left on device (os error 28)"));
    };
    try {
      await assert.rejects(folder.sample(memory(2)), (error) => {
        assert.ok(error instanceof UserError);
        assert.equal(error.exitCode, 1);
        assert.match(error.message, /^the disk is full: can't write to .*; free some space/);
        assert.ok(!error.message.includes("\n"));
        return true;
      });
    } finally {
      Deno.FsFile.prototype.write = write;
    }
    assert.deepEqual(await residents(folder.path, () => assert.fail("no torn line")), [1]);
    await folder.sample(memory(3));
    folder.close();
    assert.deepEqual(await residents(folder.path), [1, 3]);
  }));

Deno.test("a full disk names the flag that the task has: --resume for a bench, --replay for a race", () =>
  inTemp(async (root) => {
    const { write } = Deno.FsFile.prototype;
    const info = runInfoOf([]);
    for (const [mode, flag] of [["bench", "continue with --resume"], ["race", "with --replay"]] as const) {
      const folder = await createRunFolder(root, { ...info, run_id: mode, plan: { ...info.plan, mode } });
      await folder.sample(request("one"));
      Deno.FsFile.prototype.write = () => Promise.reject(new Error("No space left (os error 28)"));
      try {
        await assert.rejects(
          folder.sample(memory(1)),
          new RegExp(`1 requests of this run are kept there; .*${flag} `),
        );
      } finally {
        Deno.FsFile.prototype.write = write;
        folder.close();
      }
    }
  }));

Deno.test("files that are replaced by many writers at once end whole, and leave nothing beside them", () =>
  inTemp(async (root) => {
    const path = join(root, "report.md");
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(50_000));
    await Promise.all(texts.map((text) => replaceFile(path, text)));
    assert.ok(texts.includes(await Deno.readTextFile(path)));
    assert.deepEqual([...Deno.readDirSync(root)].map(({ name }) => name), ["report.md"]);
    if (Deno.build.os === "windows") return;
    const victim = join(root, "victim");
    await Deno.writeTextFile(victim, "kept");
    await Deno.symlink(victim, `${path}.1.new`);
    await replaceFile(path, "new");
    assert.equal(await Deno.readTextFile(victim), "kept");
    assert.equal(await Deno.readTextFile(path), "new");
  }));

Deno.test("a resumed run holds no answer without its sample", () =>
  inTemp(async (root) => {
    const info = runInfoOf([]);
    const folder = await createRunFolder(root, info);
    const answer = (id: string) => ({
      id,
      candidate: "a",
      prompt_id: "p1",
      phase: "timed" as const,
      round: 1,
      content: id,
      reasoning: "",
    });
    // The disk took the answer of the second request, and not its sample.
    await folder.answer(answer("one"));
    await folder.sample(request("one"));
    await folder.answer(answer("two"));
    folder.close();
    // A disk that is still full, or a kill at any moment, takes no answer.
    const before = await Deno.readTextFile(join(folder.path, "answers.jsonl"));
    const { write } = Deno.FsFile.prototype;
    Deno.FsFile.prototype.write = () => Promise.reject(new Error("No space left (os error 28)"));
    await assert.rejects(resumeRunFolder(folder.path), /the disk is full.*free some space/);
    Deno.FsFile.prototype.write = write;
    assert.equal(await Deno.readTextFile(join(folder.path, "answers.jsonl")), before);
    const resumed = await resumeRunFolder(folder.path);
    assert.deepEqual([...resumed.done], ["one"]);
    await resumed.folder.answer(answer("two"));
    await resumed.folder.sample(request("two"));
    resumed.folder.close();
    const ids: string[] = [];
    for await (const { id } of readAnswers(folder.path)) ids.push(id);
    assert.deepEqual(ids, ["one", "two"]);
  }));

Deno.test("records are flushed to the disk when that is asked for, and when a run ends", () =>
  inTemp(async (root) => {
    const folder = await createRunFolder(root, runInfoOf([]));
    const { syncData, syncDataSync } = Deno.FsFile.prototype;
    let flushes = 0;
    Deno.FsFile.prototype.syncData = function () {
      flushes++;
      return syncData.call(this);
    };
    Deno.FsFile.prototype.syncDataSync = function () {
      flushes++;
      return syncDataSync.call(this);
    };
    try {
      await folder.sample(memory(1));
      await folder.flush?.();
      assert.equal(flushes, 2, "samples and answers");
      folder.close();
      assert.equal(flushes, 4);
    } finally {
      Object.assign(Deno.FsFile.prototype, { syncData, syncDataSync });
    }
  }));
