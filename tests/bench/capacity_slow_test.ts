import assert from "node:assert/strict";
import { join } from "node:path";
import { measureCapacity } from "../../lib/bench/capacity.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { writeCapacityReports } from "../../lib/report/capacity.ts";
import { withService } from "./service.ts";

const place = (out: string) => ({ out, now: new Date(), random: Math.random, onLevel: () => {} });
const plan = { prompts: singlePrompt("Say hello."), warmup: 1, maxTokens: 4 };

Deno.test("on an endpoint with one slot and known service times capacity finds the known number of users", async () => {
  // 100 ms per answer, one at a time: three users wait 300 ms, four 400 ms. The limit is between them.
  const models = { one: { ttftMs: 40, itlMs: 20, tokens: 4, slots: 1, log: "nothing" } };
  await withService(models, async (resources, out) => {
    const limits = { ttft_s: null, e2e_s: 0.37, within: 0.9, mostRequests: 100 };
    const terms = { limits, thinkS: 0, search: "users", maxUsers: 16 } as const;
    const { report, folder } = await measureCapacity({ names: null, plan }, terms, resources, place(out));
    const [one] = report.candidates;
    assert.equal(one?.problem, null);
    const best = one?.users?.best ?? 0;
    assert.ok(Math.abs(best - 3) <= 1, `${best} users`);
    assert.equal(one?.users?.levels.at(-1)?.saturated, true);
    const lines = (await Deno.readTextFile(join(folder, "samples.jsonl"))).trim().split("\n");
    const counted = one?.users?.levels.reduce((sum, { n }) => sum + n, 0) ?? 0;
    assert.ok(lines.length >= counted, "every request is kept");
    assert.deepEqual(await writeCapacityReports(folder, report), [
      join(folder, "capacity.md"),
      join(folder, "capacity.csv"),
      join(folder, "capacity.html"),
    ]);
  });
});
