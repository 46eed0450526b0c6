/**
 * The product's outputs as its users get them, held in golden files: from the command line and from files in a run's
 * folder, never from lib/. So whatever moves inside, this test stays as it is and says whether anything came out
 * otherwise. What derives from records is held by value; what a clock measured is held by its shape.
 *
 *     PODIUM_GOLDEN=update deno test -A tests/golden
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { holds, leftOver, shapeOf, untimed, veil } from "./golden.ts";
import { firstJson, onlyRun, programs, RECORDED, type Task, workspace } from "./podium.ts";
import { checkedPrompts, slowerRun } from "./recorded.ts";

const SMOLLM = "smollm2-135m-instruct:q4_1";
const GEMMA = "gemma-3-270m:q4_k_m";

/**
 * What this machine is: a GPU, an energy counter or another program beside makes these differ. So does the variation
 * within a case: a disturbed block is made up for, and its case then has two blocks.
 */
const OF_MACHINE = /^(machine|energy|warnings|with_disturbed|busiest|slowdown|within)$/;

Deno.test("a recorded run gives the same reports again", async () => {
  await using work = await workspace();
  const run = await work.recordedRun();
  const told = await work.json("report", [run, "--json"]);
  const summary = JSON.parse(await work.read(RECORDED, "summary.json"));
  assert.deepEqual(told, summary, "--json prints what summary.json holds");
  // The committed run is its own golden file: rebuilding it, as the pages tell readers to, must change nothing.
  const committed = `../../../reports/${RECORDED}`;
  await holds(`${committed}/summary.json`, summary);
  for (const file of ["report.csv", "report.md", "report.html"]) {
    await holds(`${committed}/${file}`, await work.read(RECORDED, file));
  }
  await holds("report/terminal.txt", await work.run("report", [run, "--watts", "15"]));
  await holds("report/with_watts.csv", await work.read(RECORDED, "report.csv"));
});

Deno.test("two runs compare the same", async () => {
  await using work = await workspace();
  const run = await work.recordedRun();
  const slower = await slowerRun(run, GEMMA);
  await holds("compare/with_itself.json", await work.json("compare", [run, run, "--json"]));
  await holds("compare/slower.json", await work.json("compare", [run, slower, "--json"]));
  await holds("compare/slower.txt", await work.run("compare", [run, slower, "--fail-on-regression"], 1));
  const control = ["--control", SMOLLM, "--json"];
  await holds("compare/with_control.json", await work.json("compare", [run, slower, ...control]));
});

Deno.test("answers are scored, rated, decided on and routed the same", async () => {
  await using work = await workspace();
  const run = await work.recordedRun();
  const read = (...path: string[]) => work.read(RECORDED, ...path);
  const decided = async (as: string, ...args: string[]) => {
    const decision = await work.json("select", [...args, "--json"]);
    assert.deepEqual(decision, JSON.parse(await read("decision.json")), "--json prints decision.json");
    await holds(`select/${as}.json`, decision);
    await holds(`select/${as}.md.txt`, await read("decision.md"));
  };

  await holds("quality/without_checks.json", await work.json("quality", ["check", run, "--json"]));
  await decided("unscored", run);

  const checked = ["--prompts", await checkedPrompts(work.folder)];
  const scored = await work.json("quality", ["check", run, "--json", ...checked]);
  assert.deepEqual(scored, JSON.parse(await read("quality.json")), "--json prints what quality.json holds");
  await holds("quality/checked.json", scored);
  await holds("quality/checked.txt", await work.run("quality", ["check", run, ...checked]));
  await holds("quality/answers.csv", await read("answers.csv"));
  await holds("quality/errors.json", await work.json("quality", ["errors", run, "--json"]));
  await holds("quality/errors.txt", await work.run("quality", ["errors", run]));
  await holds("quality/errors_differing.txt", await work.run("quality", ["errors", run, "--differing"]));
  await decided("by_checks", run, "--watts", "15", "--price", "0.3");
  await holds("select/pareto.svg", await read("pareto.svg"));
  await decided("with_floor", run, "--min-score", "0.8", "--licenses", "open");
  await decided("of_two_runs", run, await slowerRun(run, GEMMA), "--weights", "latency=1");

  const plan = join(work.folder, "routing.json");
  await holds("route/audit.json", await work.json("route", ["audit", run, "--write", plan, "--json"]));
  await holds("route/plan.json", JSON.parse(await work.read("routing.json")));
  await holds("route/show.txt", await work.run("route", ["show", plan]));
  await holds("route/try.json", await work.json("route", ["try", plan, "Summarize the day", "--json"]));

  for (const annotator of ["ana", "ben"]) {
    const args = ["annotate", run, "--annotator", annotator, "--json"];
    await holds(`quality/annotate_${annotator}.json`, await work.json("quality", args));
    const sheet = await read("annotation", `${annotator}-fluency.csv`);
    await holds(`quality/sheet_${annotator}.csv`, sheet);
    const filled = join(work.folder, `${annotator}.csv`);
    // Scores that depend on the place in the sheet, which is another one for each annotator.
    await Deno.writeTextFile(filled, sheet.replaceAll(/,,,,$/gm, (_, at: number) => `,${1 + at % 5},2,3,`));
    await holds(
      `quality/import_${annotator}.json`,
      await work.json("quality", ["import", run, filled, "--json"]),
    );
  }
  // Imported without the checks, so that people's ratings are all that the decision has.
  await holds("quality/rated.json", JSON.parse(await read("quality.json")));
  await decided("by_ratings", run, "--min-rating", "1");
});

Deno.test("races over records and over made-up models end the same; a registry learns the same", async () => {
  await using work = await workspace();
  const run = await work.recordedRun();
  for (const by of ["latency", "ttft", "throughput"]) {
    await holds(`race/replay_${by}.json`, await work.json("race", ["--replay", run, "--by", by, "--json"]));
  }
  await holds("race/simulated.json", await work.json("race", ["--simulate", "--json"]));
  await holds("models/learn.json", await work.json("models", ["learn", run, "--json"]));
});

Deno.test("what tells of this machine keeps its form", async () => {
  await using work = await workspace();
  const { endpoint } = work;
  await holds("models/list.json", await work.json("models", ["list", "--json"]));
  const ofMachine =
    /^(machine|free_disk_gb|first|ok|reasons|conditions|calibration|recommended|place|largest_context|decode|ttft|measured)$/;
  const fit = veil(await work.json("models", ["fit", "--out", "none", "--json"]), ofMachine);
  await holds("models/fit.json", fit);
  const cache = veil(await work.json("models", ["cache", "--json"]), /^(ram|free_ram|free_disk)_bytes$/);
  await holds("models/cache.json", cache);
  await holds("models/verify.json", await work.json("models", ["verify", "--json"]));
  await holds("models/clean.json", await work.json("models", ["clean", "--json"]));
  const service = ["service", "--endpoint", `lab=${endpoint}`, "--json"];
  await holds("models/service.json", await work.json("models", service));

  const asked = ["--endpoint", `lab=${endpoint}`, "--models", "quick@lab", "--json"];
  const doctor = await work.json("doctor", asked) as { ok: boolean; checks: Record<string, string>[] };
  // What is found of the machine is its own; what is found of the endpoint is known but for the time it took.
  const checks = doctor.checks.map((check) =>
    /^(service|probe)-/.test(check.id ?? "")
      ? { ...check, found: check.found?.replace(/in [\d.]+ s$/, "in <time> s") }
      : veil(check, /^(status|found|next)$/)
  );
  await holds("doctor.json", { ...doctor, checks });
  const course = veil(await work.json("select", ["--policy", "course", "--json"]), OF_MACHINE);
  await holds("select/course.json", shapeOf(course));
});

Deno.test("what is measured against an endpoint keeps its shape, and its answers are scored the same", async () => {
  await using work = await workspace();
  const lab = ["--endpoint", `lab=${work.endpoint}`];
  const out = (name: string) => ["--out", join(work.folder, name), "--json"];
  const prompts = join(work.folder, "three.json");
  await Deno.writeTextFile(prompts, JSON.stringify({ name: "three", prompts: ["a", "b", "c"].map(sayBlue) }));
  const plan = ["--prompts", prompts, "--warmup", "0"];

  const measured = [...lab, "--models", "quick,slow,broken", "--rounds", "1", ...plan, ...out("bench")];
  const bench = await work.json("bench", measured);
  await holds("live/bench.shape.json", shapeOf(veil(bench, OF_MACHINE)));

  const raced = await work.run("race", [...lab, "--models", "quick,slow,broken", ...plan, ...out("race")]);
  await holds("live/race.shape.json", shapeOf(JSON.parse(raced)));
  const race = onlyRun(join(work.folder, "race"));
  assert.equal(
    await work.run("race", ["--replay", race, "--json"]),
    raced,
    "a race ends the same when replayed",
  );

  const asked = [...lab, "--models", "quick,slow", "--prompts", prompts, ...out("answers")];
  await holds("live/capture.json", await work.json("quality", ["capture", ...asked]));
  const answers = onlyRun(join(work.folder, "answers"));
  // No judge: it answers prose, and so is refused, which is exit code 1.
  const judge = ["judge", answers, "--judge", "phi-4-mini", ...lab, "--json"];
  await holds("live/judge_refused.json", await work.json("quality", judge, 1));
  await holds(
    "live/chat.json",
    untimed(await work.json("chat", ["quick@lab", ...lab, "--prompt", "Hi", "--json"])),
  );
});

Deno.test("the workshop's mirrors print the same fields and answers", async () => {
  await using work = await workspace();
  const models = ["--models", "phi-4-mini,qwen2.5-0.5b,qwen2.5-7b"];
  const out = ["--out", work.folder];
  const mirrors: [string, Task, string[]][] = [
    ["benchmark_oss_models", "workshop:benchmark_oss_models", out],
    ["list_and_bench", "workshop:list_and_bench", ["--json", ...out]],
    ["model_compare", "workshop:model_compare", out],
    ["bench_latency", "workshop:bench_latency", [...models, ...out]],
    ["bench_latency_older", "workshop:bench_latency", [...models, "--edition", "older", ...out]],
    ["models_router", "workshop:models_router", models],
    ["router", "workshop:router", ["Refactor this function"]],
    ["select_model", "workshop:select_model", ["--task", "chat"]],
  ];
  // On a busy machine disturbed rounds are made up for, so their number is the machine's too.
  const veiled = /^(ram_gb|free_ram_gb|fits_now|why_not|next_that_fits|n|rounds_ok)$/;
  const uncounted = (text: string) =>
    text.replaceAll(/percentile of \d+ values?/g, "percentile of <n> values");
  const known = (text: string) => untimed(veil(JSON.parse(uncounted(text)), veiled));
  await inTurns(3, mirrors, async ([name, task, args]) => {
    await holds(`workshop/${name}.json`, known(await work.run(task, args)));
  });
  const [table, json] = [join(work.folder, "table.md"), join(work.folder, "table.json")];
  const files = ["--prompt", "Explain RAG.", "--rounds", "1", "--output", table, "--json", json];
  await work.run("workshop:export_benchmark_markdown", [...models, ...files, ...out]);
  const times = uncounted(await work.read("table.md")).replaceAll(/(?<=\|)\d+\.\d+(?=\|)/g, "<number>");
  await holds("workshop/export_benchmark_markdown.md.txt", times);
  await holds(
    "workshop/export_benchmark_markdown.json",
    known(await work.read("table.json")),
  );
});

Deno.test("serve tells its address, lists its models and answers as before", async () => {
  await using work = await workspace();
  const args = [
    "--endpoint",
    `lab=${work.endpoint}`,
    "--port",
    "0",
    "--state",
    join(work.folder, "state.json"),
  ];
  const child = work.start("serve", [...args, "--json", "--log", "off"]);
  try {
    const told = await firstJson(child.stdout);
    const signal = AbortSignal.timeout(5000);
    await holds("serve/told.json", veil(told, /^url$/));
    const models = await (await fetch(`${told.url}/models`, { signal })).json();
    await holds("serve/models.json", veil(models, /^created$/));
    const messages = [{ role: "user", content: "Hi" }];
    for (const model of ["auto", "quick", "broken", "nobody"]) {
      const body = JSON.stringify({ model, messages });
      const answer = await fetch(`${told.url}/chat/completions`, { method: "POST", body, signal });
      const headers = Object.fromEntries(
        [...answer.headers].filter(([name]) => name.startsWith("x-podium-")),
      );
      const shown = { status: answer.status, headers: veil(headers, /request$/), body: await answer.json() };
      await holds(`serve/${model}.json`, shown);
    }
  } finally {
    child.kill("SIGINT");
    await Promise.all([child.status, child.stderr.cancel()]);
  }
});

Deno.test("every task's --help says what it said", async () => {
  await using work = await workspace();
  const parts: Partial<Record<Task, string>> = {
    quality: "new capture check errors annotate import judge",
    route: "audit show try",
    notebook: "reset sync test export",
    fleet: "hub join run status stop decide pack-run import",
    models:
      "list fit pull diff cache verify remove clean move learn compile service load unload move-service download",
  };
  const pages = programs.filter((task) => !task.startsWith("test:") && task !== "bench:report").flatMap((
    task,
  ) => [
    { name: task, task, args: ["--help"] },
    ...(parts[task]?.split(" ") ?? []).map((part) => ({
      name: `${task}-${part}`,
      task,
      args: [part, "--help"],
    })),
  ]);
  await inTurns(4, pages, async ({ name, task, args }) => {
    await holds(`help/${name.replaceAll(":", "-")}.txt`, await work.run(task, args));
  });
});

Deno.test("every golden file is compared", async () => {
  assert.deepEqual(await leftOver(), []);
});

const sayBlue = (id: string) => ({
  id,
  prompt: `Say blue (${id}).`,
  aspects: ["says blue"],
  checks: [{ kind: "contains", name: "blue", texts: ["blue"] }],
  reference: "blue",
  // A judge is tried on at least eight pairs of a good and a bad answer.
  anchors: ["I don't know.", "Red.", "Why?"].map((answer) => ({ label: "bad", answer })),
});

/** A few at a time: the programs mostly wait, but the machine may be small. */
async function inTurns<T>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const next = items.values();
  await Promise.all(Array.from({ length: width }, async () => {
    for (const item of next) await work(item);
  }));
}
