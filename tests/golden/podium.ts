/** Podium as people run it: a process with the permissions that deno.json ships, in surroundings that are known. */
import type { FakeInput } from "../../lib/selfcheck/fake_server.ts";
import assert from "node:assert/strict";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { startFake } from "../fake_endpoint.ts";
import { copyRecords } from "./recorded.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
export const RECORDED = "2026-11-21T07-30-18-gzss";
const TIMEOUT_MS = 60_000;

/** What Deno needs to start. All else stays out: a variable of whoever tests would change what comes out. */
const KEPT = [
  "PATH",
  "HOME",
  "DENO_DIR",
  "XDG_CACHE_HOME",
  "TMPDIR",
  "USERPROFILE",
  "LOCALAPPDATA",
  "SystemRoot",
];

export type Task = keyof typeof config.tasks;
/** Tasks that are one program: the others chain tasks, or belong to Deno itself. */
export const programs = (Object.keys(config.tasks) as Task[]).filter((task) =>
  / (scripts|benchmarks)\/\S+\.ts$/.test(config.tasks[task].command)
);

export interface Workspace extends AsyncDisposable {
  readonly folder: string;
  /** The base URL of the fake endpoint. */
  readonly endpoint: string;
  /** Runs a task to its end; ends the test where the exit code is another than `code`. */
  run(task: Task, args: readonly string[], code?: number): Promise<string>;
  json(task: Task, args: readonly string[], code?: number): Promise<unknown>;
  start(task: Task, args: readonly string[]): Deno.ChildProcess;
  /** What a terminal of 60 columns shows; needs the program `script`. */
  terminal(task: Task, args: readonly string[]): Promise<string[]>;
  /** A copy of the committed run: what derives again from it writes into its folder. */
  recordedRun(): Promise<string>;
  /** A file of the workspace, without what differs between two workspaces. */
  read(...path: string[]): Promise<string>;
}

/** A folder and a fake endpoint, gone afterwards; `more` adds models to the endpoint. */
export async function workspace(more: FakeInput["models"] = {}): Promise<Workspace> {
  const folder = await Deno.makeTempDir({ prefix: "podium-golden-" });
  // Gaps between all tokens: without one there would be no time per token, by the whim of the socket.
  const quick = { ttftMs: 1, itlMs: 1, words: ["It", " is", " blue", "."] };
  const error = '{"error":{"message":"out of memory"}}';
  const fake = startFake({
    strict: true,
    models: {
      quick,
      slow: { ttftMs: 40, itlMs: 1, tokens: 8, usage: "never" },
      broken: { fault: { kind: "http", status: 500, body: error } },
      // Names of the workshop's samples.
      "phi-4-mini": { ttftMs: 5, itlMs: 1, tokens: 10 },
      "qwen2.5-0.5b": { ttftMs: 5, itlMs: 1, tokens: 10, usage: "never" },
      "qwen2.5-7b": { fault: { kind: "http", status: 500, body: error } },
      ...more,
    },
  });
  const env = {
    ...Object.fromEntries(
      KEPT.flatMap((name) => Deno.env.has(name) ? [[name, Deno.env.get(name) ?? ""]] : []),
    ),
    NO_COLOR: "1",
    PODIUM_STORE: join(folder, "models"),
    FOUNDRY_LOCAL_ENDPOINT: fake.baseUrl,
  };
  const wordsOf = (task: Task, args: readonly string[]) => {
    const [, run = "run", ...flags] = config.tasks[task].command.split(" ");
    return [run, "-q", "--no-prompt", ...flags.filter((flag) => flag !== "-q"), ...args];
  };
  const started = (program: string, args: string[]) =>
    new Deno.Command(program, {
      args,
      cwd: root,
      env,
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  const command = (task: Task, args: readonly string[]) => started(Deno.execPath(), wordsOf(task, args));
  const { host, port } = new URL(fake.baseUrl);
  const known = (text: string) =>
    text.replaceAll(folder, "<folder>").replaceAll(root, "<project>/").replaceAll(host, "<host>")
      .replaceAll(`local-${port}`, "local-<port>")
      // Ids of runs and times of day, but not those of the committed run.
      .replaceAll(/(?!2026-11-21T07.30.18)\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-[a-z0-9]{4}/g, "<run>")
      .replaceAll(/(?!2026-11-21T07.30.18)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>");
  const run = async (task: Task, args: readonly string[], code = 0) => {
    const ended = await command(task, args).output();
    const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(ended.code, code, `${task} ${args.join(" ")}: ${decode(ended.stderr)}`);
    return known(decode(ended.stdout));
  };
  return {
    folder,
    endpoint: fake.baseUrl,
    run,
    json: async (task, args, code) => JSON.parse(await run(task, args, code)),
    start: (task, args) => command(task, args).spawn(),
    terminal: async (task, args) => {
      const quoted = [Deno.execPath(), ...wordsOf(task, args)].map((word) => `'${word}'`).join(" ");
      const shown = await started("script", ["-qec", `stty cols 60; ${quoted}`, "/dev/null"]).output();
      // A line that is written over again counts as it was last.
      return new TextDecoder().decode(shown.stdout).replaceAll("\r\n", "\n").split("\n")
        .map((line) => stripVTControlCharacters(line).split("\r").at(-1) ?? "");
    },
    read: async (...path) => known(await Deno.readTextFile(join(folder, ...path))),
    recordedRun: async () => {
      const copy = join(folder, RECORDED);
      await copyRecords(join(root, "reports", RECORDED), copy);
      return copy;
    },
    [Symbol.asyncDispose]: async () => {
      await fake.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** The one document that a program prints at its start, and does not end after. */
export async function firstJson(stdout: ReadableStream<Uint8Array>): Promise<{ url: string }> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.endsWith("}\n")) return JSON.parse(text);
  }
  throw new Error(`no document in: ${text}`);
}

/** The one run in a folder of runs. */
export function onlyRun(out: string): string {
  const [run, ...others] = [...Deno.readDirSync(out)];
  assert.ok(run !== undefined && others.length === 0, `${out} holds another number of runs than one`);
  return join(out, run.name);
}
