/** Copies of the committed run, as they are and altered: inputs whose derived figures are known for good. */
import { dirname, join } from "node:path";

/** Copies the records only: everything else of a run must come from them. */
export async function copyRecords(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for (const name of ["run.json", "samples.jsonl", "answers.jsonl"]) {
    await Deno.copyFile(join(from, name), join(to, name));
  }
}

/** A run like another one, in which a candidate takes half as long again and answers once otherwise. */
export async function slowerRun(run: string, candidate: string): Promise<string> {
  const slower = join(dirname(run), "slower");
  await copyRecords(run, slower);
  await rewrite(join(slower, "samples.jsonl"), (sample, line) => {
    if (sample.kind !== "request") return;
    // A little spread for all: where no request changed there is no interval, and no gate.
    const factor = (sample.candidate === candidate ? 1.5 : 1) + 0.01 * (line % 5);
    const sent = Number(sample.sent_ms);
    sample.end_ms = sent + factor * (Number(sample.end_ms) - sent);
    sample.chunk_ms = (sample.chunk_ms as number[]).map((ms) => factor * ms);
  });
  let changed = false;
  await rewrite(join(slower, "answers.jsonl"), (answer) => {
    if (changed || answer.candidate !== candidate || answer.phase !== "timed") return;
    answer.content = "Something else.";
    changed = true;
  });
  const info = JSON.parse(await Deno.readTextFile(join(slower, "run.json")));
  await Deno.writeTextFile(join(slower, "run.json"), JSON.stringify({ ...info, run_id: "slower" }));
  return slower;
}

async function rewrite(path: string, change: (record: Record<string, unknown>, line: number) => void) {
  const records = (await Deno.readTextFile(path)).trimEnd().split("\n").map((text) => JSON.parse(text));
  records.forEach(change);
  await Deno.writeTextFile(path, records.map((record) => JSON.stringify(record) + "\n").join(""));
}

/** The committed run's prompts have no checks: these are the same prompts with one each. */
export async function checkedPrompts(folder: string): Promise<string> {
  const set = JSON.parse(await Deno.readTextFile(new URL("../../prompts/ten.json", import.meta.url)));
  for (const prompt of set.prompts) {
    const [name, text] = prompt.id === "rag" ? ["retrieval", "retriev"] : ["an a", "a"];
    prompt.checks = [{ kind: "contains", name, texts: [text] }];
  }
  const path = join(folder, "checked.json");
  await Deno.writeTextFile(path, JSON.stringify(set));
  return path;
}
