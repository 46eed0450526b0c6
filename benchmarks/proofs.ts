/**
 * A verdict is worth what its error rate is worth, on the code that ships. This runs worlds of known truth
 * through the real race, run, summary, select, gate and audit, and counts how often each is wrong.
 *
 *   deno task bench:proofs                     the table of docs/statistics.md (2,000 runs per row; about an hour)
 *   deno task bench:proofs --runs 200          a quicker look
 *   deno task bench:proofs --candidates 2,6    other numbers of candidates
 *   deno task bench:proofs --json              one JSON document
 */
import { bareCommand, printJson, runTask } from "../scripts/cli.ts";
import { option, type Shared, shared, wholeNumber } from "../scripts/options.ts";
import { rateInterval } from "../lib/stats/beta.ts";
import { isBroken, type ProofRow, proofRows } from "./proof_rows.ts";

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function line(row: ProofRow): string {
  const [low, high] = rateInterval(row.wrong, row.runs);
  return `| ${row.claim} | ${row.world} | ${percent(row.stated)} | ${percent(row.wrong / row.runs)} (${
    percent(low)
  }–${percent(high)}) | ${row.runs} |`;
}

const command = bareCommand("bench:proofs")
  .addOptions([
    option("--runs <n>", "runs per row", wholeNumber(10, 1e6), 2000),
    option(
      "--candidates <list>",
      "numbers of candidates",
      (text) => text.split(",").map((one) => wholeNumber(2, 20)(one)),
    ).default([2, 4, 6], "2,4,6"),
    ...shared("seed", "json"),
  ]);

interface Options extends Shared<"seed" | "json"> {
  readonly runs: number;
  readonly candidates: number[];
}

await runTask(command, async ({ runs, candidates, seed, json }: Options) => {
  const rows: ProofRow[] = [];
  if (!json) {
    console.log(
      "| Claim | World | Stated | Measured (95 % interval) | Runs |\n| --- | --- | --- | --- | --- |",
    );
  }
  for await (const row of proofRows({ runs, candidates }, seed)) {
    rows.push(row);
    if (!json) console.log(line(row));
  }
  const broken = rows.filter((row) => isBroken(row, 0.001 / rows.length));
  if (json) printJson({ runs, candidates, seed, rows, broken });
  else {
    console.log(
      broken.length === 0
        ? `\nNo rate is above the stated one beyond chance (${rows.length} rows, exact binomial, 0.001 in all).`
        : `\nBroken: ${broken.map(({ claim, world }) => `${claim} in ${world}`).join("; ")}`,
    );
  }
  return broken.length === 0 ? 0 : 1;
});
