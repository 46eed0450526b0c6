/** The quality task from capture to agreement, as people run it, against the fake endpoint. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runTask, taskCommand } from "../bench/command.ts";
import { parseCsv } from "../../lib/csv.ts";
import { startFake } from "../fake_endpoint.ts";

const colours = ["blue", "green", "red", "grey", "white", "black", "brown", "pink"];
const prompts = colours.map((colour) => ({
  id: colour,
  prompt: `Say ${colour}.`,
  aspects: [`says ${colour}`],
  checks: [{ kind: "contains", name: "colour", texts: [colour] }],
  reference: colour,
  anchors: [{ label: "bad", answer: "I don't know." }],
}));

const plain = { words: ["=It", " is", " blue."] };
const constant = { words: ['{"fluency":3,"relevance":3,"correctness":3}'] };

async function withRun(test: (run: string, root: string, endpoint: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  const fake = startFake({
    models: { one: plain, prose: { ...plain, systemMessage: "refuse" }, constant },
    strict: true,
  });
  const endpoint = `fake=${fake.baseUrl}`;
  try {
    const set = join(root, "colours.json");
    // In UTF-16, as some of Windows' tools write it: what travels with the run must be readable too.
    const letters = `\uFEFF${JSON.stringify({ name: "colours", prompts })}`;
    await Deno.writeFile(set, new Uint8Array(Uint16Array.from(letters, (one) => one.charCodeAt(0)).buffer));
    const { code, stdout, stderr } = await runTask("quality", [
      ...["capture", "--endpoint", endpoint, "--models", "one", "--prompts", set, "--out", root, "--json"],
    ]);
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout);
    assert.deepEqual([report.candidates[0].pass_rate.passed, report.candidates[0].pass_rate.n], [1, 8]);
    await test(join(root, report.run_id), root, endpoint);
  } finally {
    await fake.stop();
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("capture keeps answers beside their samples, and the prompts are sent as they are", () =>
  withRun(async (run) => {
    const answers = (await Deno.readTextFile(join(run, "answers.jsonl"))).trim().split("\n");
    assert.equal(answers.length, 8);
    const rows = parseCsv(await Deno.readTextFile(join(run, "answers.csv")));
    assert.equal(rows.length, 9);
    assert.equal(rows[1]?.at(-1), "=It is blue.");
    assert.match(
      await Deno.readTextFile(join(run, "report.md")),
      /pass their checks: `one[^`]*` 12\.5 % of 8 prompts/,
      "the report shows them",
    );
    const before = await Deno.readTextFile(join(run, "quality.json"));
    const { code, stderr } = await runTask("quality", ["check", run]);
    assert.equal(code, 0, stderr);
    assert.equal(
      await Deno.readTextFile(join(run, "quality.json")),
      before,
      "derived again from the folder alone",
    );
  }));

Deno.test("two people rate on a sheet and on the page, and their agreement is told", () =>
  withRun(async (run, root) => {
    assert.equal((await runTask("quality", ["annotate", run, "--annotator", "ana"])).code, 0);
    const sheet = join(run, "annotation", "ana-fluency.csv");
    const filled = (await Deno.readTextFile(sheet)).replaceAll(
      /,,,,$/gm,
      (_, at: number) => `,${1 + at % 5},2,3,`,
    );
    await Deno.writeTextFile(join(root, "filled.csv"), filled);
    const six = filled.replace(/,\d,2,3,$/m, ",6,2,3,");
    await Deno.writeTextFile(join(root, "six.csv"), six);
    const refused = await runTask("quality", ["import", run, join(root, "six.csv")]);
    assert.equal(refused.code, 2);
    assert.match(
      refused.stderr,
      /^error: \S+six\.csv is not taken: line 2: fluency is 6, expected .* 1 to 5\n$/,
    );
    await assert.rejects(() => Deno.stat(join(run, "ratings.jsonl")), Deno.errors.NotFound);
    assert.equal((await runTask("quality", ["import", run, join(root, "filled.csv")])).code, 0);
    assert.match(await Deno.readTextFile(join(run, "report.md")), /Ratings: `one/, "and the ratings");

    const page = taskCommand("quality", ["annotate", run, "--annotator", "ben", "--page"]).spawn();
    const url = await addressIn(page.stderr);
    const { items } = await (await fetch(`${url}sheet`)).json();
    for (const [at, { item }] of items.entries()) {
      const scores = { fluency: 1 + at % 5, relevance: 2, correctness: 3 };
      await fetch(`${url}mark`, { method: "POST", body: JSON.stringify({ item, scores, comment: "" }) });
    }
    await fetch(`${url}done`, { method: "POST" });
    const { code, stdout } = await page.output();
    assert.equal(code, 0);
    assert.match(new TextDecoder().decode(stdout), /8 of 8 answers are rated/);
    const { stdout: told } = await runTask("quality", [
      "import",
      run,
      join(run, "annotation", "ben-fluency.csv"),
      "--json",
    ]);
    const { added, agreement } = JSON.parse(told);
    assert.equal(added, 8);
    assert.equal(agreement[0].raters, 2);
    assert.equal(typeof agreement[0].alpha, "number");
  }));

Deno.test("sheets as Excel saves them are taken with all their scores, and every step writes the report again", () =>
  withRun(async (run, root) => {
    const page = join(run, "report.html");
    const rewritten = async (...args: string[]) => {
      await Deno.remove(page);
      const { code, stderr } = await runTask("quality", args);
      assert.equal(code, 0, stderr);
      assert.ok((await Deno.stat(page)).size > 1000, args.join(" "));
      return stderr;
    };
    await Deno.stat(page);
    await rewritten("check", run);
    assert.equal((await runTask("quality", ["annotate", run, "--annotator", "ana"])).code, 0);
    const [head = [], ...rows] = parseCsv(
      await Deno.readTextFile(join(run, "annotation", "ana-fluency.csv")),
    );
    // Excel adds columns, ends lines in CRLF, and retypes: here the prompt of the first row.
    const saved = (separator: string) =>
      [
        [...head, "", ""],
        ...rows.map(([item, prompt, aspects, answer], at) => {
          return [item, at === 0 ? "01. Feb – Grüße" : prompt, aspects, answer, "4", "4", "5", "", "", ""];
        }),
      ].map((row) =>
        row.map((cell = "") => /[;,\t"\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell).join(
          separator,
        )
      ).join("\r\n") + "\r\n";
    const utf16 = Uint16Array.from(`\uFEFF${saved("\t")}`, (one) => one.charCodeAt(0));
    const in1252: Readonly<Record<string, number>> = { "–": 0x96, "•": 0x95 };
    const cp1252 = Uint8Array.from(saved(";"), (one) => in1252[one] ?? one.charCodeAt(0));
    const files: [string, Uint8Array, RegExp][] = [
      [
        "utf8.csv",
        new TextEncoder().encode(`\uFEFF${saved(",")}`),
        /utf8\.csv, line 2 .*the scores are kept/,
      ],
      ["unicode.txt", new Uint8Array(utf16.buffer), /unicode\.txt, line 2 .*the scores are kept/],
      ["german.csv", cp1252, /was read as Windows-1252, as Excel saves CSV: .*Feb – Grüße/],
      ["dos.csv", new TextEncoder().encode(saved(";")), /dos\.csv, line 2 /],
    ];
    for (const [name, bytes, says] of files) {
      await Deno.writeFile(join(root, name), bytes);
      await Deno.remove(join(run, "ratings.jsonl")).catch(() => {});
      assert.match(await rewritten("import", run, join(root, name)), says);
      const ratings = (await Deno.readTextFile(join(run, "ratings.jsonl"))).trim().split("\n");
      assert.equal(ratings.length, 8, name);
      assert.match(await Deno.readTextFile(page), /by people/, name);
    }
    const judge = judgeService(2);
    try {
      await rewritten("judge", run, "--judge", "same-model@east", "--endpoint", `east=${judge.url}`);
      assert.match(await Deno.readTextFile(join(run, "report.md")), /by a judge \(fluency\)/);
    } finally {
      await judge.close();
    }
  }));

Deno.test("three reports of one run at once are each whole, and leave nothing beside them", () =>
  withRun(async (run) => {
    const names = () => [...Deno.readDirSync(run)].map(({ name }) => name).sort();
    const pageOf = () => Deno.readTextFile(join(run, "report.html"));
    assert.equal((await runTask("report", [run])).code, 0);
    const [before, page] = [names(), await pageOf()];
    for (const { code, stderr } of await Promise.all([1, 2, 3].map(() => runTask("report", [run])))) {
      assert.equal(code, 0, stderr);
    }
    assert.deepEqual(names(), before);
    assert.equal(await pageOf(), page);
  }));

/** The page's address, as the task tells it. */
async function addressIn(stderr: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stderr) {
    text += decoder.decode(chunk, { stream: true });
    const [url] = /http:\S+(?=\n)/.exec(text) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error(`no address in: ${text}`);
}

Deno.test("judges that answer prose, or the same to everything, are refused; nothing is rated", () =>
  withRun(async (run, _root, endpoint) => {
    const judge = (name: string) =>
      runTask("quality", ["judge", run, "--judge", name, "--endpoint", endpoint]);
    const prose = await judge("prose");
    assert.equal(prose.code, 1);
    assert.match(
      prose.stderr,
      /the judge prose@fake is refused: .* were not JSON of the requested schema, such as "=It is blue\."/,
    );
    assert.match(
      prose.stderr,
      /^judge prose@fake: it refuses system messages.*: their text opens the user message$/m,
    );
    const constant = await judge("constant");
    assert.equal(constant.code, 1);
    assert.match(
      constant.stderr,
      /the judge constant@fake is refused: 16 of 32 replies were not JSON of the/,
    );
    assert.match(constant.stdout, /8 pairs.*\n.*8 ties/);
    assert.match(constant.stdout, /with people\s+not known/);
    await assert.rejects(() => Deno.stat(join(run, "ratings.jsonl")), Deno.errors.NotFound);
    const second = startFake({ models: { other: plain }, strict: true });
    try {
      const endpoints = ["--endpoint", endpoint, "--endpoint", `spare=${second.baseUrl}`];
      const other = await runTask("quality", ["judge", run, "--judge", "other@spare", ...endpoints]);
      assert.match(other.stderr, /the judge other@spare is refused: .* such as "=It is blue\."/);
      const unknown = await runTask("quality", ["judge", run, "--judge", "other@fake", ...endpoints]);
      assert.equal(unknown.code, 2, unknown.stderr);
    } finally {
      await second.stop();
    }
  }));

Deno.test("mistakes are one line with the value and the remedy", async () => {
  const mistakes: [string[], RegExp][] = [
    [[], /missing command: use new, capture, check/],
    [["score"], /unknown command "score"/],
    [["check", "--out", "no-such-folder"], /there is no run below no-such-folder: deno task bench makes one/],
    [["check", "no-such-run"], /no-such-run: there is no such run: give its folder/],
    [["capture", "--prompts", "none.json"], /none\.json: there is no such file/],
    [["capture", "--pass-mark", "2"], /--pass-mark.*'2'.*at most 1/],
    [["annotate", "run", "--annotator", "a b"], /--annotator.*'a b'.*letters, digits/],
    [["judge", "run"], /required option '--judge <model>' not specified/],
    [["judge", "run", "--judge", "x", "--threshold", "0.4"], /--threshold.*'0.4'.*above 0.5/],
  ];
  for (const [args, says] of mistakes) {
    const { code, stderr } = await runTask("quality", args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr.replaceAll("\n", " "), says);
    assert.ok(!/^\s+at /m.test(stderr), "no stack");
  }
});

/** A service with one model, which scores the colours' references 5 and everything else `low`. */
function judgeService(low: number) {
  let thinking: unknown;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    if (request.method === "GET") return Response.json({ object: "list", data: [{ id: "same-model" }] });
    const { messages, response_format: format, chat_template_kwargs: settings } = await request.json();
    thinking = settings?.enable_thinking;
    const text: string = messages.at(-1).content;
    const [answer, a] = [/<answer>\n(.*?)\n<\/answer>/s, /Answer A:\n<answer>\n(.*?)\n<\/answer>/s].map((
      form,
    ) => form.exec(text)?.[1] ?? "");
    const score = colours.includes(answer ?? "") ? 5 : low;
    const reply = format?.json_schema?.name === "choice"
      ? { better: colours.includes(a ?? "") ? "A" : "B" }
      : { fluency: score, relevance: score, correctness: score };
    return Response.json({
      choices: [{
        index: 0,
        message: { role: "assistant", content: JSON.stringify(reply) },
        finish_reason: "stop",
      }],
    });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/v1`,
    thinking: () => thinking,
    close: () => server.shutdown(),
  };
}

Deno.test("two endpoints that list the same model are two judges, beside an older rating by the model alone", () =>
  withRun(async (run) => {
    const [east, west] = [judgeService(1), judgeService(2)];
    try {
      const old = {
        source: "judge",
        rater: "same-model",
        rubric: "fluency",
        answer: "timed/1/blue/one@fake",
        candidate: "one@fake",
        prompt_id: "blue",
        scores: { fluency: 4, relevance: 4, correctness: 4 },
        comment: null,
      };
      await Deno.writeTextFile(join(run, "ratings.jsonl"), `${JSON.stringify(old)}\n`);
      const endpoints = ["--endpoint", `east=${east.url}`, "--endpoint", `west=${west.url}`];
      for (const name of ["east", "west"]) {
        const judge = ["judge", run, "--judge", `same-model@${name}`, ...endpoints, "--json"];
        const { code, stdout, stderr } = await runTask("quality", judge);
        assert.equal(code, 0, stderr);
        const { judge: id, rated } = JSON.parse(stdout);
        assert.deepEqual([id, rated], [`same-model@${name}`, 8]);
        await Deno.stat(join(run, `judge-same-model@${name}-fluency.json`));
      }
      const lines = (await Deno.readTextFile(join(run, "ratings.jsonl"))).trim().split("\n");
      const means = Map.groupBy(lines.map((line) => JSON.parse(line)), ({ rater }) => rater);
      assert.deepEqual(
        [...means].map(([rater, all]) => [rater, all.length, all[0].scores.fluency]),
        [["same-model", 1, 4], ["same-model@east", 8, 1], ["same-model@west", 8, 2]],
      );
      const { candidates } = JSON.parse(await Deno.readTextFile(join(run, "quality.json")));
      assert.deepEqual(candidates[0].ratings[0].raters, ["same-model", "same-model@east", "same-model@west"]);

      const named = (parts: string) => ["judge", run, "--judge", `same-model:${parts}@east`, ...endpoints];
      const thinking = await runTask("quality", named("thinking=off"));
      assert.equal(thinking.code, 0, thinking.stderr);
      assert.equal(east.thinking(), false, "what the rater's name says is what was asked");
      const free = await runTask("quality", named("format=free"));
      assert.equal(free.code, 2);
      assert.match(free.stderr, /^error: same-model:format=free@east: .* are fixed: leave out format/);
    } finally {
      await Promise.all([east.close(), west.close()]);
    }
  }));

Deno.test("a run of bench keeps its cases: check and judge need no prompt set, though the file is gone", () =>
  withRun(async (_run, root, endpoint) => {
    const set = join(root, "gone.json");
    await Deno.writeTextFile(set, JSON.stringify({ name: "gone", prompts }));
    const plan = ["--rounds", "1", "--warmup", "0", "--prompts", set, "--out", join(root, "bench")];
    const measured = await runTask("bench", ["--endpoint", endpoint, "--models", "one", ...plan]);
    assert.equal(measured.code, 0, measured.stderr);
    await Deno.remove(set);
    const [{ name = "" } = {}] = await Array.fromAsync(Deno.readDir(join(root, "bench")));
    const run = join(root, "bench", name);
    const checked = await runTask("quality", ["check", run, "--json"]);
    assert.equal(checked.code, 0, checked.stderr);
    assert.equal(JSON.parse(checked.stdout).candidates[0].pass_rate.n, 8);
    const judged = await runTask("quality", ["judge", run, "--judge", "constant", "--endpoint", endpoint]);
    assert.equal(judged.code, 1);
    assert.match(judged.stderr, /the judge constant@fake is refused: /);
  }));
