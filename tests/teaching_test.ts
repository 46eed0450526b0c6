/** What the teaching kit states follows from its own sheet, from the recorded run, and adds up. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseCsv } from "../lib/csv.ts";
import { RECORDED_RUN } from "../scripts/pack/tree.ts";
import { root } from "./docs_commands.ts";

const read = (...path: string[]) => Deno.readTextFile(join(root, ...path));

Deno.test("the worksheet is worked through as its formulas compute it, from figures of the recorded run", async () => {
  const rows = parseCsv(await read("docs", "teaching", "worksheet.csv"));
  const cells = rows.map(([, value = ""]) => value);
  const valueOf = (text: string): number => {
    if (!text.startsWith("=")) return Number(text);
    const formula = text.slice(1).replaceAll(
      /B(\d+)/g,
      (_, row) => `(${valueOf(cells[Number(row) - 1] ?? "")})`,
    );
    assert.match(formula, /^[\d.()+*/e-]+$/);
    return Number(new Function(`return ${formula}`)());
  };
  const worked = await read("docs", "teaching", "worksheet.md");
  let seen = 0;
  for (const [item = "", value = ""] of rows) {
    if (!value.startsWith("=")) continue;
    const stated = new RegExp(`^\\| ${item.replaceAll(/[()]/g, "\\$&")} +\\|[^|]*\\| ([\\d.,]+)`, "m").exec(
      worked,
    )?.[1];
    assert.ok(stated !== undefined, `worksheet.md has no row "${item}"`);
    const [shown, exact] = [Number(stated.replaceAll(",", "")), valueOf(value)];
    assert.ok(
      Math.abs(shown / exact - 1) < 0.006,
      `${item}: ${stated} is stated, the formula gives ${exact}`,
    );
    seen++;
  }
  assert.ok(seen >= 10, `only ${seen} rows were compared`);
  const { candidates } = JSON.parse(await read("reports", RECORDED_RUN, "summary.json"));
  const { latency_s, tokens } = candidates[0];
  for (
    const [row, mean] of [[2, tokens.prompt_mean], [3, tokens.output_mean], [4, latency_s.mean]] as const
  ) {
    assert.ok(
      Math.abs(valueOf(cells[row - 1] ?? "") / mean - 1) < 0.001,
      `row ${row} is not the run's ${mean}`,
    );
  }
});

Deno.test("the minutes of both plans add up, and every part has a fallback", async () => {
  const plan = await read("docs", "teaching.md");
  const section = (from: string, to: string) => plan.slice(plan.indexOf(from), plan.indexOf(to));
  const half = section("## 30 minutes", "## Two hours").split("\n### ").slice(1);
  const minutes = half.map((part) => Number(/\((\d+) minutes\)/.exec(part)?.[1]));
  assert.equal(minutes.reduce((sum, more) => sum + more, 0), 30);
  for (const part of half) assert.match(part, /_Fallback:_/, part.slice(0, 60));
  const rows = section("## Two hours", "On a slow machine").split("\n").filter((row) => /^\| \d/.test(row))
    .map((row) => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()));
  let at = 0;
  for (const [span = "", part = "", , , fallback = ""] of rows) {
    const [from, to] = span.split("–").map(Number);
    assert.equal(from, at, part);
    at = to ?? NaN;
    assert.ok(fallback !== "" || /break|what next/.test(part), `${part} has no fallback`);
  }
  assert.equal(at, 120);
});
