/**
 * Everybody opens, derives and tests the notebooks with the same JupyterLab, on any machine that has Deno and uv
 * or Python.
 *
 *   deno task notebook                     opens JupyterLab on your copies of the notebooks: notebooks/mine/ of a clone,
 *                                          or notebooks/ in a folder that `podium init` made
 *   deno task notebook --no-browser        prints its address instead
 *   deno task notebook reset 03            replaces your copy of notebook 03 with the shipped one
 *   deno task notebooks:sync               writes each .ipynb anew from its .ts form
 *   deno task test:notebooks               runs every notebook with the real kernel and checks what it shows
 *   deno task test:notebooks 03 --full     one notebook, in full length
 *   deno task notebook export              runs the notebooks in full length and keeps text, tables and figures as
 *                                          Markdown in docs/lessons/
 *   deno task notebook export --check      whether these agree with the notebooks of today
 */
import { join, resolve } from "node:path";
import { bareCommand, interruptSignal, ROOT, runTask } from "./cli.ts";
import { option, wholeNumber } from "./options.ts";
import type { Jupyter } from "./notebook/jupyter.ts";

const notebooks = join(ROOT, "notebooks");
const lessons = join(ROOT, "docs", "lessons");
/** What `podium init` makes in a person's own folder. */
const own = "notebooks";

interface OpenOptions {
  readonly browser: boolean;
  readonly port?: number;
}

interface TestOptions {
  readonly full?: boolean;
  readonly timeout: number;
}

const NAMES = "the starts of notebooks' names; without any, all notebooks";
const timeout = (seconds: number) =>
  option("--timeout <seconds>", "time limit per cell", wholeNumber(1), seconds);

const program = bareCommand("notebook")
  .addOptions([
    option("--no-browser", "print the address and open no browser"),
    option("--port <n>", "port on 127.0.0.1 (default: 8888 or the next free one)", wholeNumber(1, 65535)),
  ])
  .does(open);
program.command("reset").description("replace your copies with the notebooks as shipped")
  .argument("[names...]", NAMES)
  .does(reset);
program.command("sync").description("write each .ipynb from its .ts source")
  .does(sync);
program.command("test").description("run notebooks with the real kernel and check what they show")
  .argument("[names...]", NAMES)
  .addOptions([
    option("--full", "run them in full length instead of the short setting"),
    timeout(300),
  ])
  .does(test);
program.command("export")
  .description("run notebooks in full length and write what they show to docs/lessons")
  .argument("[names...]", NAMES)
  .addOptions([
    option("--check", "run nothing; exit with 1 if docs/lessons is not what the notebooks say today"),
    timeout(600),
  ])
  .does(async (names: string[], options: TestOptions & { readonly check?: boolean }) =>
    options.check ? await checkLessons() : await exportLessons(names, options)
  );

await runTask(program);

async function open(options: OpenOptions): Promise<number> {
  const { prepareJupyter } = await import("./notebook/jupyter.ts");
  const { makeCopies } = await import("./notebook/copies.ts");
  const copies = await copiesFolder();
  const jupyter = await prepareJupyter(ROOT, console.error);
  for (const name of await makeCopies(notebooks, copies)) {
    console.error(
      `${name} is newer than your copy, which keeps your changes: deno task notebook reset ${name}`,
    );
  }
  return await runUntilDone(jupyter, [
    "-m",
    "jupyterlab",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.local_hostnames=127.0.0.1",
    `--ServerApp.root_dir=${copies}`,
    "--LabApp.default_url=/lab/tree/START.md",
    // In a container one is root, and only this machine can reach the server.
    ...(Deno.build.os !== "windows" && Deno.uid() === 0 ? ["--allow-root"] : []),
    ...(options.port === undefined ? [] : [`--ServerApp.port=${options.port}`]),
    ...(options.browser ? [] : ["--no-browser"]),
  ]);
}

async function copiesFolder(): Promise<string> {
  const { holdsCopies } = await import("./notebook/copies.ts");
  return await holdsCopies(own) ? resolve(own) : join(notebooks, "mine");
}

async function reset(starts: readonly string[]): Promise<number> {
  const { writeCopy } = await import("./notebook/copies.ts");
  const { findNotebooks } = await import("./notebook/files.ts");
  const names = await findNotebooks(notebooks, starts);
  const copies = await copiesFolder();
  for (const name of names) await writeCopy(notebooks, copies, name);
  console.error(`Reset: ${names.join(", ")}`);
  return 0;
}

async function sync(): Promise<number> {
  const { writeNotebooks } = await import("./notebook/files.ts");
  const changed = await writeNotebooks(notebooks);
  console.error(
    changed.length === 0 ? "Every .ipynb agrees with its .ts." : `Written: ${changed.join(", ")}`,
  );
  return 0;
}

async function test(starts: readonly string[], options: TestOptions): Promise<number> {
  const { findNotebooks } = await import("./notebook/files.ts");
  const { FaultReport } = await import("./notebook/judge.ts");
  const { prepareJupyter } = await import("./notebook/jupyter.ts");
  const names = await findNotebooks(notebooks, starts);
  const jupyter = await prepareJupyter(ROOT, console.error);
  const report = new FaultReport();
  if (starts.length === 0) {
    await report.test("the test itself", () => checkTheTest(jupyter, options));
    await report.test("the kernel's protocol, as an editor speaks it", () => speakProtocol(jupyter));
  }
  for (const name of names) {
    if (interruptSignal().aborted) break;
    await report.test(name, () => execute(jupyter, notebooks, name, options));
  }
  return report.finish();
}

/** Runs notebooks in full length; one with a fault leaves its recorded lesson unchanged. */
async function exportLessons(starts: readonly string[], options: TestOptions): Promise<number> {
  const { findNotebooks, parsePercent } = await import("./notebook/files.ts");
  const { FaultReport } = await import("./notebook/judge.ts");
  const { prepareJupyter } = await import("./notebook/jupyter.ts");
  const { lessonOf, writeLesson } = await import("./notebook/lessons.ts");
  const names = await findNotebooks(notebooks, starts);
  const jupyter = await prepareJupyter(ROOT, console.error);
  const report = new FaultReport();
  for (const name of names) {
    if (interruptSignal().aborted) break;
    await report.test(name, async () => {
      const cells = parsePercent(await Deno.readTextFile(join(notebooks, `${name}.ts`)), name);
      const faults = await execute(jupyter, notebooks, name, { ...options, full: true });
      if (faults.length > 0) return faults;
      const executed = await Deno.readTextFile(join(ROOT, ".venv", "executed", `${name}.ipynb`));
      await writeLesson(lessons, name, lessonOf(name, cells, JSON.parse(executed)));
      return [];
    });
  }
  return Math.max(report.finish(), await checkLessons());
}

async function checkLessons(): Promise<number> {
  const { lessonFaults } = await import("./notebook/lessons.ts");
  const faults = await lessonFaults(notebooks, lessons);
  for (const fault of faults) console.error(fault);
  if (faults.length === 0) console.error("docs/lessons agrees with the notebooks.");
  return faults.length === 0 ? 0 : 1;
}

/** Runs one notebook and returns its faults. The executed notebook stays in .venv/executed. */
async function execute(
  jupyter: Jupyter,
  folder: string,
  name: string,
  options: TestOptions,
): Promise<string[]> {
  const { checkSyntax, derive } = await import("./notebook/files.ts");
  const { judgeExecuted } = await import("./notebook/judge.ts");
  await checkSyntax(folder, name);
  const out = join(ROOT, ".venv", "executed");
  await Deno.mkdir(out, { recursive: true });
  const fresh = join(out, `${name}.fresh.ipynb`);
  const result = join(out, `${name}.ipynb`);
  await Deno.writeTextFile(fresh, await derive(folder, name));
  const env = options.full === true ? jupyter.env : { ...jupyter.env, PODIUM_SHORT: "1" };
  const program = join(ROOT, "scripts", "notebook", "execute.py");
  const args = [program, fresh, result, folder, `${options.timeout}`];
  const code = await runUntilDone({ ...jupyter, env }, args);
  if (code !== 0) return [`the kernel's client ended with exit code ${code}`];
  return judgeExecuted(JSON.parse(await Deno.readTextFile(result)));
}

/**
 * Starts the kernel by its connection file and drives it over ZeroMQ; returns the faults that an editor would meet.
 */
async function speakProtocol({ python, env }: Jupyter): Promise<string[]> {
  const program = join(ROOT, "tests", "notebooks", "protocol.py");
  const { code, stdout } = await new Deno.Command(python, { args: [program, notebooks], env, stdin: "null" })
    .output();
  const faults = new TextDecoder().decode(stdout).split("\n").map((line) => line.trim()).filter((line) =>
    line !== ""
  );
  return code === 0 || faults.length > 0 ? faults : [`the client ended with exit code ${code}`];
}

/** A test that can't fail proves nothing: it must notice each fault of a faulty notebook. */
async function checkTheTest(jupyter: Jupyter, options: TestOptions): Promise<string[]> {
  const expected = [
    /^cell 3 .*: 0 figures, 1 promised$/,
    /^cell 4 .*shows nothing$/,
    /^cell 5 .*came after the cell was done/,
    /^cell 6 .*: 1 figures, 0 promised$/,
    /^cell 7 .*SyntaxError: /,
    /^cell 8 .*was not run$/,
  ];
  const seen = await execute(jupyter, join(ROOT, "tests", "notebooks"), "90_faulty", options);
  return [
    ...expected.filter((fault) => !seen.some((line) => fault.test(line))).map((fault) =>
      `not seen: ${fault}`
    ),
    ...seen.filter((line) => !expected.some((fault) => fault.test(line))).map((line) =>
      `unexpected: ${line}`
    ),
  ];
}

/** Runs the venv's Python in the foreground; an interruption, or the end of this program, ends it. */
async function runUntilDone({ python, env }: Jupyter, args: string[]): Promise<number> {
  const child = new Deno.Command(python, { args, env, cwd: notebooks, stdin: "null" }).spawn();
  const stop = () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has already ended.
    }
  };
  const signal = interruptSignal();
  signal.addEventListener("abort", stop, { once: true });
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", stop);
  try {
    return (await child.status).code;
  } finally {
    signal.removeEventListener("abort", stop);
    if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGTERM", stop);
  }
}
