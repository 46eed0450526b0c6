/** What runs showed, back in models.json: nothing else in the file may change. */
import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { lineDiff } from "../../lib/text_diff.ts";
import { learn, type MeasuredFigures, merge } from "../../lib/catalog/learn.ts";
import { UserError } from "../../lib/errors.ts";

const machine = { cpu: "Some CPU", cores: 4, ram_gb: 15.6, gpu: [], os: "Linux", arch: "x86_64" };

function figures(change: Partial<MeasuredFigures> = {}): MeasuredFigures {
  return {
    variant: "q4",
    where: "embedded",
    machine,
    date: "2026-11-21",
    run: "2026-11-21T05-00-00-aaaa",
    podium: "0.1.0",
    prompts: "default",
    max_tokens: 128,
    prefix: "cold",
    requests: 24,
    blocks: { timed: 24, disturbed: 1 },
    latency_s: 1.25,
    ttft_s: 0.2,
    output_tokens_per_s: 80,
    memory_mb: 450,
    load_s: 0.5,
    quality: null,
    ...change,
  };
}

/** The course's three shapes, in three hands: compact, four spaces, tabs with CRLF. */
const shapes = {
  "a list": '[\n    {"name":"phi-4-mini",   "task":"chat", "min_ram_gb":8, "notes":"mine:  keep"}\n]\n',
  "a map": '{"phi-4-mini": {"capabilities": ["chat"], "size_mb": 2500, "notes": "mine:  keep"}}',
  "models":
    '{\r\n\t"models": [\r\n\t\t{\r\n\t\t\t"alias": "other"\r\n\t\t},\r\n\t\t{\r\n\t\t\t"alias": "phi-4-mini",\r\n' +
    '\t\t\t"notes": "mine:  keep",\r\n\t\t\t"my_field": [1,2,   3]\r\n\t\t}\r\n\t]\r\n}\r\n',
};

for (const [name, text] of Object.entries(shapes)) {
  Deno.test(`a registry that is ${name} learns, and every line that was there stays`, () => {
    const { text: after, unknown } = learn(text, "m.json", [
      { alias: "phi-4-mini", measured: figures() },
      { alias: "nobody", measured: figures() },
    ]);
    assert.deepEqual(unknown, ["nobody"]);
    assert.ok(after.includes('"mine:  keep"') && after.includes('"latency_s": 1.25'));
    if (text.includes("\r\n")) assert.ok(!/[^\r]\n/.test(after), "line ends stay");
    const pieces = text.split(/("mine: {2}keep"[^}\]]*)/);
    assert.ok(after.startsWith(pieces[0] ?? "?"), "what stands before stays");
    const again = learn(after, "m.json", [{ alias: "phi-4-mini", measured: figures() }]);
    assert.equal(again.text, after, "learning the same twice changes nothing");
  });
}

Deno.test("newer figures take the place of older ones of the same variant and machine, and quality is carried over", () => {
  const first = learn(shapes.models, "m", [{
    alias: "phi-4-mini",
    measured: figures({ quality: { score: 0.7, passed: 9, prompts: 12 } }),
  }]);
  const later = figures({ date: "2026-11-22", run: "2026-11-22T05-00-00-bbbb", latency_s: 2 });
  const other = figures({ machine: { ...machine, cores: 8 } });
  const { text } = learn(first.text, "m", [
    { alias: "phi-4-mini", measured: later },
    { alias: "phi-4-mini", measured: other },
  ]);
  const measured: MeasuredFigures[] = JSON.parse(text).models[1].measured;
  assert.deepEqual(measured.map(({ latency_s, machine }) => [latency_s, machine.cores]), [[1.25, 8], [2, 4]]);
  assert.deepEqual(measured[1]?.quality, { score: 0.7, passed: 9, prompts: 12 });
});

Deno.test("two teammates' files merge: both keep their figures, our notes stay, differences are named", () => {
  const ours = learn(shapes.models, "ours", [{ alias: "phi-4-mini", measured: figures() }]).text;
  const theirs = JSON.stringify({
    models: [
      {
        alias: "phi-4-mini",
        notes: "theirs",
        measured: [figures({ machine: { ...machine, cpu: "Their CPU" } })],
      },
      { alias: "new-one", task: ["chat"], measured: [figures()] },
    ],
  });
  const { text, conflicts } = merge({ text: ours, where: "ours" }, { text: theirs, where: "theirs" });
  const [, phi, fresh] = JSON.parse(text).models;
  assert.deepEqual(phi.measured.map((one: MeasuredFigures) => one.machine.cpu), ["Some CPU", "Their CPU"]);
  assert.deepEqual([phi.notes, fresh.alias, fresh.measured.length], ["mine:  keep", "new-one", 1]);
  assert.deepEqual(conflicts, ['phi-4-mini.notes: ours "mine:  keep" stays, theirs is "theirs"']);
  assert.equal(merge({ text, where: "ours" }, { text: theirs, where: "theirs" }).text, text);
});

Deno.test("a damaged list of figures is named, not overwritten", () => {
  const text = '[{"name": "a", "measured": [{"latency_s": "fast"}]}]';
  assert.throws(
    () => learn(text, "m.json", [{ alias: "a", measured: figures() }]),
    (error) => error instanceof UserError && /m\.json, a: its list "measured" is damaged/.test(error.message),
  );
});

Deno.test("the shipped registry learns, and only lines are added", async () => {
  const text = await Deno.readTextFile("models.json");
  const lesson = { alias: "smollm2", measured: figures() };
  const { text: after } = learn(text, "models.json", [lesson]);
  assert.ok(lineDiff(text, after).every((line) => line.startsWith("+")));
});

Deno.test("a diff turns the old text into the new one", () => {
  const line = fc.constantFrom("a", "b", "c", "d");
  fc.assert(fc.property(fc.array(line), fc.array(line), (before, after) => {
    const diff = lineDiff(before.join("\n"), after.join("\n"));
    const kept = (lines: readonly string[], sign: string) => {
      const at = new Set(
        diff.filter((one) => one.startsWith(sign)).map((one) => Number(/\d+/.exec(one)?.[0])),
      );
      return lines.filter((_, i) => !at.has(i + 1));
    };
    const [a, b] = [before.join("\n").split("\n"), after.join("\n").split("\n")];
    assert.deepEqual(kept(a, "-"), kept(b, "+"));
  }));
});

Deno.test("models learn shows the change, and writes it only with --yes", async () => {
  const out = await Deno.makeTempDir({ prefix: "podium-learn-" });
  const registry = join(out, "models.json");
  await Deno.writeTextFile(registry, shapes.models);
  const theirs = join(out, "theirs.json");
  await Deno.writeTextFile(
    theirs,
    learn(shapes.models, "x", [{ alias: "other", measured: figures() }]).text,
  );
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-q",
        ...["read", "write", "env", "sys"].map((one) => `--allow-${one}`),
        "scripts/models.ts",
        "learn",
        ...args,
        "--registry",
        registry,
      ],
      env: { NO_COLOR: "1" },
    }).output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  };
  const shown = await run("--merge", theirs);
  assert.equal(shown.code, 0, shown.stderr);
  assert.match(shown.stdout, /^\+ 5 .*"measured"/m);
  assert.equal(await Deno.readTextFile(registry), shapes.models);
  assert.match((await run("--merge", theirs, "--yes")).stdout, /written to/);
  assert.match(await Deno.readTextFile(registry), /"latency_s": 1.25/);
  const missing = await run("no-such-run");
  assert.deepEqual([missing.code, /no-such-run: there is no such run/.test(missing.stderr)], [2, true]);
  await Deno.remove(out, { recursive: true });
});
