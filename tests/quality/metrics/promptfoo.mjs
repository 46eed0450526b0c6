/*
 * Whether promptfoo's assertions pass on the answers of assertions.json, on standard output: the golden values of
 * promptfoo_test.ts. promptfoo's provider "echo" answers with the prompt, so no model is asked.
 *
 *   npm install promptfoo@0.121.20
 *   node tests/quality/metrics/promptfoo.mjs | sed -n "/^{/,\$p" > tests/quality/metrics/promptfoo.json
 */
import { readFileSync } from "node:fs";

// Named by a variable, so that Podium's own type check doesn't look for it.
const name = "promptfoo";
const { default: promptfoo } = await import(name);
const cases = JSON.parse(readFileSync(new URL("assertions.json", import.meta.url), "utf8"));
const summary = await promptfoo.evaluate({
  prompts: ["{{answer}}"],
  providers: ["echo"],
  tests: cases.map(({ id, answer, assert }) => ({ description: id, vars: { answer }, assert: [assert] })),
  writeLatestResults: false,
}, { cache: false, maxConcurrency: 1 });
const { results } = await summary.toEvaluateSummary();
const passed = Object.fromEntries(results.map(({ testCase, success }) => [testCase.description, success]));
console.log(JSON.stringify(passed, null, 2));
