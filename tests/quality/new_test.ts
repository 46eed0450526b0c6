import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inTempFolder } from "../prompts/temp_folder.ts";

const script = fileURLToPath(new URL("../../scripts/quality.ts", import.meta.url));

/** `quality new` as a user runs it, in the folder of the table. */
async function run(folder: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--allow-read",
      "--allow-write",
      "--allow-env",
      "--allow-sys",
      script,
      "new",
      ...args,
    ],
    cwd: folder,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("quality new makes a job of a table: columns, three cases, what they can show, faulty rows left out", () =>
  inTempFolder(async (folder) => {
    const rows = Array.from(
      { length: 40 },
      (_, at) => `T${at};Text number ${at} of a ticket;${at % 3 === 0 ? "bug" : "billing"}`,
    );
    await Deno.writeTextFile(join(folder, "t.csv"), ["id;text;label", ...rows, "T40;;bug"].join("\n"));
    const first = await run(folder, "t.csv");
    assert.equal(first.code, 0, first.err);
    assert.match(first.out, /label +2 values: billing 26, bug 15/);
    assert.equal(first.out.match(/^Case /gm)?.length, 3);
    assert.match(first.out, /Case T0, expected: bug\n {2}\| Which of these .*billing, bug/);
    assert.match(first.out, /40 cases\. .* differ by 24 points or more/);
    assert.match(first.out, /most frequent label would be right in 65 %/);
    assert.match(first.err, /1 of 41 rows are left out: row 41 \(line 42\), column text: no value/);
    const job = JSON.parse(await Deno.readTextFile(join(folder, "t.json")));
    assert.deepEqual([job.task, job.expected, job.id, job.faulty_rows], [
      "classify",
      "{{label}}",
      "{{id}}",
      "skip",
    ]);
    const again = await run(folder, "t.csv");
    assert.equal(again.code, 2);
    assert.match(again.err, /t\.json exists: give --out FILE for another name, or --force/);
    const wrong = await run(folder, "t.csv", "--expected", "lable", "--force");
    assert.match(wrong.err, /t\.csv has no column "lable": its columns are id, text, label/);
    const refused = await run(folder, "t.csv", "--labels", "no,none", "--force");
    assert.equal(refused.code, 2);
    assert.deepEqual(
      JSON.parse(await Deno.readTextFile(join(folder, "t.json"))),
      job,
      "the job stays as it was",
    );
    const free = await run(folder, "t.csv", "--task", "free", "--out", "free.json");
    assert.match(free.out, /40 cases\. Nothing says which answer is right/);
    const json = await run(folder, "t.csv", "--json", "--template", "Team? {{text}}", "--out", "other.json");
    assert.equal(JSON.parse(json.out).job.prompt, "Team? {{text}}");
  }));
