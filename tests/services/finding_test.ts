/** Finding services: the order, the command line of either generation, and what each server says it is. */
import assert from "node:assert/strict";
import type { Fetch } from "../../lib/clock.ts";
import { findServices, recognizeServer } from "../../lib/services/discovery.ts";
import { probeFoundryCli } from "../../lib/services/foundry_cli.ts";
import type { ProgramEnd, RunProgram } from "../../lib/program.ts";
import { runProgram } from "../../lib/program.ts";

const env = (values: Record<string, string> = {}) => ({ get: (name: string) => values[name] });

/** A foundry program that answers some words and refuses all others. */
const cli = (answers: Record<string, Partial<ProgramEnd>>): RunProgram => (command) => {
  const said = answers[command.slice(1, 3).join(" ")];
  const refused = { code: 1, stdout: "", stderr: "Unrecognized command or argument" };
  return Promise.resolve(said === undefined ? refused : { code: 0, stdout: "", stderr: "", ...said });
};

const newer = cli({
  "server status": { stdout: JSON.stringify({ state: "Ready", webUrls: ["http://127.0.0.1:52364"] }) },
  "--version": { stdout: "0.10.3" },
});
const older = cli({
  "service status": {
    stdout: "🟢 Model management service is running on http://127.0.0.1:58338/openai/status",
  },
  "--version": { stdout: "0.8.119" },
});

Deno.test("both generations of the command line are understood", async () => {
  assert.deepEqual(await probeFoundryCli({ run: newer, timeoutMs: 100 }), {
    words: "server",
    version: "0.10.3",
    serviceUrl: "http://127.0.0.1:52364",
  });
  assert.deepEqual(await probeFoundryCli({ run: older, timeoutMs: 100 }), {
    words: "service",
    version: "0.8.119",
    serviceUrl: "http://127.0.0.1:58338",
  });
  const table = cli({
    "server status": { stdout: "State    Ready\nPID      29056\nWeb URLs http://127.0.0.1:52364" },
  });
  assert.equal((await probeFoundryCli({ run: table, timeoutMs: 100 }))?.serviceUrl, "http://127.0.0.1:52364");
});

Deno.test("a stopped service, another program of that name, a program that hangs, and none at all", async () => {
  const stopped = cli({ "server status": { stdout: JSON.stringify({ state: "Stopped", webUrls: null }) } });
  assert.equal((await probeFoundryCli({ run: stopped, timeoutMs: 100 }))?.serviceUrl, null);
  assert.equal(await probeFoundryCli({ run: cli({}), timeoutMs: 100 }), null);
  const hangs: RunProgram = () => Promise.resolve({ code: null, stdout: "", stderr: "" });
  assert.equal(await probeFoundryCli({ run: hangs, timeoutMs: 100 }), null);
  assert.equal(await probeFoundryCli({ run: () => Promise.resolve(null), timeoutMs: 100 }), null);
});

/** Lists one model at each of these base URLs. */
const serving = (...bases: string[]): Fetch => (input) => {
  const url = String(input);
  return bases.some((base) => url === `${base}/models`)
    ? Promise.resolve(Response.json({ data: [{ id: "m" }] }))
    : Promise.reject(new TypeError("connection refused"));
};

Deno.test("the order is: named services, the command line's, known ports", async () => {
  const fetch = serving("http://lab.example:1/v1", "http://127.0.0.1:52364/v1", "http://127.0.0.1:11434/v1");
  const found = await findServices({
    fetch,
    run: newer,
    env: env({ FOUNDRY_LOCAL_ENDPOINT: "http://lab.example:1/v1" }),
  });
  assert.deepEqual(found.map(({ source, endpoint }) => [source, endpoint.name]), [
    ["FOUNDRY_LOCAL_ENDPOINT", "remote-1"],
    ["Foundry CLI", "foundry"],
    ["known port", "ollama"],
  ]);
});

Deno.test("one service that is found in two ways counts once; two of one name are told apart", async () => {
  const onKnown = cli({ "service status": { stdout: "running on http://127.0.0.1:5273" } });
  const once = await findServices({ fetch: serving("http://127.0.0.1:5273/v1"), run: onKnown, env: env() });
  assert.deepEqual(once.map(({ source }) => source), ["Foundry CLI"]);
  const two = await findServices({
    fetch: serving("http://127.0.0.1:5273/v1", "http://127.0.0.1:52364/v1"),
    run: newer,
    env: env(),
  });
  assert.deepEqual(two.map(({ endpoint }) => endpoint.name), ["foundry", "foundry-5273"]);
});

Deno.test("servers are recognised by their answers, whatever their port", async () => {
  const endpoint = { name: "x", baseUrl: "http://127.0.0.1:8000/v1" };
  const kindOf = (owner: string | null, answers: Record<string, unknown> = {}) => {
    const fetch: Fetch = (input) => {
      const body = answers[new URL(String(input)).pathname];
      return Promise.resolve(body === undefined ? new Response("", { status: 404 }) : Response.json(body));
    };
    return recognizeServer(endpoint, [owner], { fetch, timeoutMs: 500 });
  };
  assert.equal(await kindOf("library"), "Ollama");
  assert.equal(await kindOf("vllm"), "vLLM");
  assert.equal(await kindOf("llamacpp"), "llama.cpp's server");
  assert.equal(await kindOf("organization_owner"), "LM Studio");
  assert.equal(await kindOf(null, { "/api/version": { version: "0.12.3" } }), "Ollama");
  assert.equal(await kindOf("me", { "/props": { default_generation_settings: {} } }), "llama.cpp's server");
  assert.equal(await kindOf("me", { "/version": { version: "0.9.1" } }), "vLLM");
  assert.equal(await kindOf("me"), null);
});

Deno.test("a program is ended when its time is up; one that is missing is null", async () => {
  const loop = [Deno.execPath(), "eval", "console.log('here'); setInterval(() => {}, 1000)"];
  const end = await runProgram(loop, { timeoutMs: 200 });
  assert.equal(end?.code, null);
  assert.equal(await runProgram(["no-such-program-anywhere"]), null);
  const lines: string[] = [];
  await runProgram([Deno.execPath(), "eval", "console.log('a\\nb'); console.error('c')"], {
    onLine: (line) => lines.push(line),
  });
  assert.deepEqual(lines.toSorted(), ["a", "b", "c"]);
});
