/** Runs a task as people do: in a process of its own, with the permissions of its task. */
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };

const root = fileURLToPath(new URL("../..", import.meta.url));

type Task =
  | "bench"
  | "chat"
  | "doctor"
  | "kit"
  | "quality"
  | "race"
  | "workshop:benchmark_oss_models"
  | "report";

/** The words of the task after `deno`, e.g. `run --allow-read … scripts/bench.ts`. */
const wordsOf = (task: Task) =>
  config.tasks[task].command.split(" ").slice(1).filter((word) => word !== "-q");

/** What would change the run from outside. */
const unset = [
  "BENCH_MODELS",
  "BENCH_ROUNDS",
  "BENCH_PROMPT",
  "BENCH_PROMPTS",
  "FOUNDRY_LOCAL_ENDPOINT",
  "BASE_URL",
];

/** The task, not yet started, with its output piped. */
export function taskCommand(
  task: Task,
  args: readonly string[],
  env: Record<string, string> = {},
): Deno.Command {
  const clean = Object.fromEntries(unset.map((name) => [name, ""]));
  const kept = Object.entries(Deno.env.toObject()).filter(([name]) => !(name in clean));
  const [run = "run", ...flags] = wordsOf(task);
  return new Deno.Command(Deno.execPath(), {
    args: [run, "-q", ...flags, ...args],
    cwd: root,
    env: { ...Object.fromEntries(kept), NO_COLOR: "1", ...env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a task to its end. */
export async function runTask(
  task: Task,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  return ended(await taskCommand(task, args, env).output());
}

/** Runs `bench` to its end. */
export function bench(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return runTask("bench", args, env);
}

/**
 * Runs it until `when` is true (asked every 20 ms), then sends the signal. A Ctrl-C comes twice, as it does from
 * a terminal below `deno task`, which passes on what its child has received already.
 */
export async function benchUntil(
  when: () => boolean | Promise<boolean>,
  signal: Deno.Signal,
  args: readonly string[],
): Promise<Ended> {
  const child = taskCommand("bench", args).spawn();
  const output = child.output();
  let over = false;
  void child.status.then(() => over = true);
  while (!over && !await when()) await new Promise((resolve) => setTimeout(resolve, 20));
  if (!over) child.kill(signal);
  await new Promise((resolve) => setTimeout(resolve, 20));
  if (!over && signal === "SIGINT") child.kill(signal);
  return await ended(await output);
}

function ended({ code, stdout, stderr }: Deno.CommandOutput): Ended {
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}
