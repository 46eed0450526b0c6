/** Every mistake of the user's is one line that names the value and the remedy, with exit code 2 (or 1). */
import assert from "node:assert/strict";
import { join } from "node:path";
import { startFake } from "../fake_endpoint.ts";
import { bench } from "./command.ts";

interface Mistake {
  readonly what: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
  readonly says: RegExp;
  readonly code?: number;
}

/** An unused port: nobody listens on 1. */
const nobody = "http://127.0.0.1:1/v1";

function mistakes(root: string, notOpenAi: string): Mistake[] {
  return [
    { what: "unknown model", args: ["--models", "smolm2"], says: /"smolm2".*did you mean smollm2/ },
    { what: "unknown variant", args: ["--models", "smollm2:q9"], says: /no variant "q9": give q4_1/ },
    {
      what: "wrong engine option",
      args: ["--models", "smollm2:threads=all"],
      says: /"threads=all".*threads=N/,
    },
    {
      what: "unreachable endpoint",
      args: ["--endpoint", nobody],
      says: /cannot reach .*:1\/v1.*start the service/,
      code: 1,
    },
    { what: "no URL", args: ["--endpoint", "lab"], says: /not an endpoint: "lab": give \[NAME=\]URL/ },
    {
      what: "not OpenAI's",
      args: ["--endpoint", notOpenAi],
      says: /not an OpenAI-compatible endpoint.*give/,
      code: 1,
    },
    {
      what: "service variable",
      env: { FOUNDRY_LOCAL_ENDPOINT: nobody },
      says: /FOUNDRY_LOCAL_ENDPOINT: cannot reach/,
      code: 1,
    },
    {
      what: "no JSON",
      args: ["--prompts", join(root, "bad.json")],
      says: /bad\.json is not JSON.*give a list of prompts or a job/,
    },
    {
      what: "no file",
      args: ["--prompts", join(root, "none.json")],
      says: /none\.json: there is no such file/,
    },
    { what: "negative rounds", args: ["--rounds", "-3"], says: /--rounds.*'-3'.*whole number from 1/ },
    {
      what: "typo in a variable",
      env: { BENCH_ROUNDS: "drei" },
      says: /'drei' from env 'BENCH_ROUNDS'.*whole number/,
    },
    { what: "wrong switch", env: { BENCH_STREAM: "maybe" }, says: /'maybe' from env 'BENCH_STREAM'.*1 or 0/ },
    { what: "wrong limits", args: ["--slo", "fast"], says: /'fast'.*ttft=500ms,e2e=3s/ },
    { what: "unknown option", args: ["--round", "3"], says: /unknown option '--round'.*--rounds/ },
    {
      what: "no such run",
      args: ["--resume", "yesterday"],
      says: /--resume yesterday: there is no such run/,
    },
    {
      what: "unwritable folder",
      args: ["--models", "smollm2@embedded", "--out", join(root, "bad.json")],
      says: /can't write to .*bad\.json.*--out/,
      code: 1,
    },
  ];
}

Deno.test("a mistake is one line with the value and the remedy", async () => {
  const root = await Deno.makeTempDir();
  await Deno.writeTextFile(join(root, "bad.json"), "{nope");
  const web = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response("<html>"),
  );
  try {
    const cases = mistakes(root, `http://127.0.0.1:${web.addr.port}/v1`);
    const check = async ({ what, args = [], env = {}, says, code = 2 }: Mistake) => {
      const end = await bench([...args], env);
      const lines = end.stderr.trim().split("\n").filter((line) => !line.startsWith("Measuring"));
      assert.equal(end.code, code, `${what}: ${end.stderr}`);
      assert.equal(lines.length, 1, `${what}: one line, not ${end.stderr}`);
      assert.match(lines[0] ?? "", says, what);
      assert.equal(end.stdout, "", what);
    };
    // Two at a time: most of a run is waiting for the process to begin.
    for (let at = 0; at < cases.length; at += 2) await Promise.all(cases.slice(at, at + 2).map(check));
  } finally {
    await web.shutdown();
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("a corrupted model is a row with its reason, and the others go on", async () => {
  const root = await Deno.makeTempDir();
  const fake = startFake({ models: { fine: { tokens: 3 } } });
  try {
    await Deno.writeTextFile(join(root, "text.gguf"), "this is no model");
    await Deno.writeTextFile(join(root, "cut.gguf"), "GGUF\x03\0\0\0 and then it ends");
    const entry = (alias: string) => ({
      alias,
      variants: [{
        name: "q",
        format: "gguf",
        file: `${alias}.gguf`,
        sources: [{ kind: "file", path: join(root, `${alias}.gguf`) }],
      }],
    });
    const registry = join(root, "registry.json");
    await Deno.writeTextFile(
      registry,
      JSON.stringify({ schema_version: 1, models: [entry("text"), entry("cut")] }),
    );
    const common = [
      "--registry",
      registry,
      "--store",
      join(root, "store"),
      "--out",
      join(root, "out"),
      "--json",
    ];
    const mixed = await bench([
      ...common,
      "--endpoint",
      `fake=${fake.baseUrl}`,
      "--models",
      "text,cut,fine",
      "--prompt",
      "Hello",
    ]);
    assert.equal(mixed.code, 0, mixed.stderr);
    const rows: { id: string; status: string; reason: string | null }[] = JSON.parse(mixed.stdout).candidates;
    assert.deepEqual(rows.map(({ status }) => status), ["failed", "failed", "ok"]);
    assert.match(rows[0]?.reason ?? "", /not a (whole )?GGUF/);
    assert.match(rows[1]?.reason ?? "", /cut/);
    for (const { reason } of rows) {
      assert.ok(!reason?.includes(root), `no folder of the machine in: ${reason}`);
    }
    assert.doesNotMatch(mixed.stderr, /\n\s+at /, "no stack trace");

    const alone = await bench([...common, "--models", "text@embedded"]);
    assert.equal(alone.code, 1, "nothing could be measured");
  } finally {
    await fake.stop();
    await Deno.remove(root, { recursive: true });
  }
});
