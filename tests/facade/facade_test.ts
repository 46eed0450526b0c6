/** The whole way through mod.ts against a service with known answers: from candidates to a saved decision. */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  bench,
  candidates,
  decide,
  type FigureView,
  fit,
  job,
  models,
  quality,
  race,
  serve,
  UserError,
  type View,
} from "../../mod.ts";
import { loadPromptSet } from "../../lib/prompts/prompts.ts";
import { startFake } from "../fake_endpoint.ts";

/** What a notebook is sent for a view. */
function shownInNotebook(view: View): Record<string, string> {
  const display: unknown = Reflect.get(view, Symbol.for("Jupyter.display"));
  assert.ok(typeof display === "function");
  return display.call(view);
}

/** Two models that answer every question, one of them rightly, and a folder of its own for the runs. */
async function withService(work: (folder: string) => Promise<void>): Promise<void> {
  const fake = startFake({
    models: {
      right: { ttftMs: 2, words: ["Paris", " positive", "."] },
      wrong: { ttftMs: 12, words: ["No", " idea", "."] },
    },
  });
  const folder = await Deno.makeTempDir();
  Deno.env.set("FOUNDRY_LOCAL_ENDPOINT", fake.baseUrl);
  try {
    await work(folder);
  } finally {
    Deno.env.delete("FOUNDRY_LOCAL_ENDPOINT");
    await fake.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a run shows itself as a table and as figures, in a notebook and in a terminal; its control is the first model again", async () => {
  await withService(async (reports) => {
    const run = await bench(["right", "wrong"], {
      prompt: "Hello?",
      rounds: 2,
      warmup: 0,
      control: true,
      reports,
    });
    assert.equal(run.status, "completed");
    assert.equal(run.control, `${run.candidates[0]}#2`);
    assert.match(String(run.imagine([3], 50).winners()), /right : the same again/);
    assert.match(String(run), /^model +status +n +mean \(s\)/);
    assert.match(Deno.inspect(run), /^model +status +n/);
    const shown = shownInNotebook(run);
    assert.match(shown["text/html"] ?? "", /<th scope="col"[^>]*>output tokens\/s<\/th>/);
    assert.equal(shown["text/plain"], String(run));
    const [right = "", wrong = ""] = run.candidates.filter((one) => one !== run.control);
    const fastest = (name: string) => Math.min(...run.values(name, "ttft"));
    assert.ok(fastest(wrong) > fastest(right));
    assert.throws(() => run.values("nobody"), /no candidate of this run is called "nobody"/);

    const figures: FigureView[] = [run.ecdf("ttft"), run.box(), run.ratios(), run.imagine([3], 50).box()];
    for (const figure of figures) {
      assert.match(shownInNotebook(figure)["text/html"] ?? "", /<figure[^>]*><svg[\s\S]*<figcaption/);
      assert.match(String(figure), /^\[figure\] .*n = /);
    }
    const path = join(reports, "ecdf.svg");
    await run.ecdf("latency").save(path);
    assert.match(await Deno.readTextFile(path), /^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  });
});

Deno.test("a job is a table of one's own: a template, a draw with every label, and what is expected", async () => {
  const tickets = await job("prompts/tickets.csv", { template: "Which team? {{text}}", draw: 8, seed: 3 });
  assert.match(String(tickets), /8 of the 40 cases of tickets/);
  assert.deepEqual(
    new Set(tickets.cases.map(({ label }) => label)),
    new Set(["account", "billing", "bug", "feature"]),
  );
  const [first] = tickets.cases;
  assert.match(
    String(tickets.example(first?.id)),
    new RegExp(`the case +Which team\\? .*\\n *expected +${first?.label}`),
  );
  assert.match(String(tickets.score(`It is ${first?.label}.`, first?.id)), /score is 1\.00/);
});

Deno.test("candidates, quality, race and decision follow from each other", async () => {
  await withService(async (reports) => {
    const given = await job("four_kinds", { first: 3 });
    const entered = await candidates(["right", "wrong"]);
    const allowed = await entered.constrain({ maxRamGb: 8 });
    assert.equal(allowed.allowed.length, 2);
    const answers = await quality(allowed, { job: given, reports });
    assert.match(String(answers), /right\S* +2 of 3/);
    assert.match(String(answers), /wrong\S* +0 of 3/);
    const floor = { minScore: 0.1 };
    const gate = await decide({ quality: answers, constraints: floor });
    assert.match(String(gate.gate()), /wrong.*excluded: /);
    const result = await race(allowed, { job: given, gate, budget: 8, reports });
    assert.equal(result.verdict, "only");
    assert.equal(String(await result.replay()), String(result));
    for await (const { name } of Deno.readDir(reports)) {
      const { prompts } = await loadPromptSet(join(reports, name, "prompts.json"));
      assert.equal(
        prompts.filter(({ checks }) => checks.length > 0).length,
        3,
        "can be scored again anywhere",
      );
    }
    const decision = await decide({ race: result, quality: answers, constraints: floor });
    assert.match(decision.choice ?? "", /right/);
    await decision.save();
    assert.deepEqual(
      JSON.parse(await Deno.readTextFile(join(result.folder, "decision.json"))),
      JSON.parse(JSON.stringify(decision.document)),
    );
  });
});

Deno.test("a served model answers timed requests and any OpenAI client", async () => {
  await withService(async () => {
    await using model = await serve("right");
    const both = await model.askEach({ one: "Hello?", two: "Again?" }, { maxTokens: 8 });
    assert.equal(String(both), "Paris positive.\n\nParis positive.");
    assert.deepEqual(both.table().rows.map(({ prompt }) => prompt), ["one", "two"]);
    assert.match(String(both.times()), /TTFT +\d/);
    const listed = await fetch(`${model.baseUrl}/models`);
    assert.match(await listed.text(), /right/);
  });
});

Deno.test("a job can be a file of one's own", async () => {
  await withService(async (folder) => {
    const path = join(folder, "capitals.json");
    const cases = [{
      id: "france",
      prompt: "Capital of France?",
      checks: [{ kind: "contains", name: "city", texts: ["Paris"] }],
    }];
    await Deno.writeTextFile(path, JSON.stringify(cases));
    const answers = await quality(["right", "wrong"], { job: path, reports: folder });
    assert.match(String(answers), /right\S* +1 of 1/);
    assert.match(String(answers.job.score("Paris it is.")), /The score is 1\.00: the answer passes\./);
    assert.match(String(answers.verdicts()), /wrong\S* .* no /);
  });
});

Deno.test("mistakes are named with what is accepted", async () => {
  await withService(async (reports) => {
    await assert.rejects(bench(["nobody"], { reports }), UserError);
    await assert.rejects(
      bench(["right"], { rounds: 0, reports }),
      /rounds is 0: give a whole number of at least 1/,
    );
    await assert.rejects(bench(["right"], { job: "no-such-job", reports }), /no-such-job/);
    await assert.rejects(
      bench(["right"], { job: "ten", prompt: "Hello?", reports }),
      /both a job and a prompt are given/,
    );
  });
});

Deno.test("PODIUM_REGISTRY names the registry, as in every task", async () => {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(path, '[{ "name": "own-model", "task": "chat", "min_ram_gb": 1 }]');
  Deno.env.set("PODIUM_REGISTRY", path);
  try {
    assert.deepEqual((await models()).models.map(({ model }) => model.alias), ["own-model"]);
  } finally {
    Deno.env.delete("PODIUM_REGISTRY");
    await Deno.remove(path);
  }
});

Deno.test("fit imagines a machine, names what doesn't fit and says which to take", async () => {
  const small = await fit(null, { ramGb: 4, reports: "no/such/folder" });
  const names = small.report.rows.map(({ model, variant }) => `${model.alias}:${variant.name}`);
  assert.equal(small.table().rows.length + small.excluded().rows.length, names.length);
  assert.match(String(small.excluded()), /^model +why\n[\s\S]*phi-4:q4_k_m +it needs 9\.\d GB/);
  assert.ok(small.recommended === null || names.includes(small.recommended));
  assert.match(String(small.memory()), /^\[figure\] What fits\./);
  const [one] = (await fit("phi-4", { vramGb: 24, bandwidthGbS: 500 })).report.rows;
  assert.equal(one?.place.kind, "gpu");
  await assert.rejects(fit("phi-44"), /no model called "phi-44"/);
});

Deno.test("the catalogue says what fits this machine", async () => {
  const catalogue = await models();
  assert.equal(catalogue.fit().rows.length, catalogue.models.length);
  assert.ok(catalogue.neededGb("smollm2-135m") > 0.3);
  assert.throws(() => catalogue.neededGb("nobody"), /no model of the registry is called "nobody"/);
  assert.match(String(catalogue.memory()), /^\[figure\] What fits this machine\./);
});
