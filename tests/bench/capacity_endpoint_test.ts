import assert from "node:assert/strict";
import { type CapacityReport, measureCapacity } from "../../lib/bench/capacity.ts";
import { singlePrompt } from "../../lib/prompts/prompts.ts";
import { capacityCsv, capacityMarkdown, capacityPage, terminalCapacity } from "../../lib/report/capacity.ts";
import { capacitySentences } from "../../lib/report/capacity_text.ts";
import { withService } from "./service.ts";

const place = (out: string) => ({ out, now: new Date(), random: Math.random, onLevel: () => {} });
const plan = { prompts: singlePrompt("Say hello."), warmup: 1, maxTokens: 4 };

Deno.test("a candidate that answers nothing is a row with its reason, and limits that limit nothing are refused", async () => {
  const models = { broken: { fault: { kind: "http", status: 500, body: "{}" } } };
  await withService(models, async (resources, out) => {
    const terms = {
      limits: { ttft_s: 1, e2e_s: null, within: 0.95, mostRequests: 100 },
      thinkS: 0,
      search: "both",
      maxUsers: 4,
    } as const;
    const { report } = await measureCapacity({ names: null, plan }, terms, resources, place(out));
    assert.match(report.candidates[0]?.problem ?? "", /answer/);
    assert.match(capacitySentences(report).join(), /`broken/);
    const none = { ...terms, limits: { ...terms.limits, ttft_s: null } };
    await assert.rejects(
      measureCapacity({ names: null, plan }, none, resources, place(out)),
      /without limits every load is within them: give --slo/,
    );
  });
});

const level = {
  load: 1,
  verdict: "meets",
  n: 96,
  failed: 0,
  met: 96,
  share: 1,
  low: 0.955,
  high: 1,
  due_per_s: 0.2,
  completed_per_s: 0.2,
  goodput_per_s: 0.2,
  saturated: false,
  disturbed: null,
  latency_s: { mean: 1, p95: 1.1 },
  ttft_s: { mean: 0.2, p95: 0.3 },
  tpot_s: { mean: 0.02, p95: 0.02 },
} as const;
const over = { ...level, load: 2, verdict: "misses", share: 0.5, saturated: true, due_per_s: 4 } as const;

Deno.test("terminal, Markdown, CSV and page name the capacity, the knee and saturation", () => {
  const report: CapacityReport = {
    schema_version: 1,
    capacity_id: "capacity-x",
    created_at: "2026-11-29T00:00:00.000Z",
    status: "completed",
    machine: { cpu: "a processor", cores: 2, ram_gb: 16, gpu: [], os: "an os", arch: "x64" },
    slo: { ttft_s: 2, e2e_s: 10 },
    within: 0.95,
    confidence: 0.95,
    think_s: 5,
    prompt_set: { name: "default", sha256: "0" },
    max_tokens: 40,
    prefix: "cold",
    seed: 1,
    candidates: [{
      id: "a<b>",
      problem: null,
      users: { best: 1, next: 2, knee: 1, levels: [level, over, { ...over, load: 4 }] },
      rate: { best: null, next: 0.5, knee: null, levels: [{ ...over, load: 0.5 }] },
    }],
  };
  const [carries = ""] = capacitySentences(report);
  assert.match(
    carries,
    /`a<b>` can serve 1 user who thinks for 5 s on average: 100 % of 96 requests met the limits/,
  );
  assert.match(
    carries,
    /At 2 users they don't \(50 % of 96\); saturated: 0\.2 of 4 due requests\/s complete\./,
  );
  assert.match(capacityMarkdown(report), /1 user ◀ capacity \(knee\)/);
  assert.match(terminalCapacity(report, 80), /misses, saturated/);
  for (const line of terminalCapacity(report, 80).split("\n")) assert.ok(line.length <= 100, line);
  const [head = "", first = ""] = capacityCsv(report).split("\n");
  assert.equal(first.split(",")[head.split(",").indexOf("goodput_per_s")], "0.2");
  const page = capacityPage(report);
  assert.ok(!page.includes("<b>") && page.includes("knee = capacity"));
  assert.match(page, /limit 2/);
});
