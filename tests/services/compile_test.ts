/** Compiling without compilers: the steps, what a second call repeats, and every way to fail. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { compareWithOriginal, compileModel, type CompileOptions } from "../../lib/services/compile.ts";
import { freeBytes } from "../../lib/catalog/files.ts";
import { UserError } from "../../lib/errors.ts";
import type { ProgramEnd, RunProgram } from "../../lib/program.ts";

const ok = (stdout = ""): ProgramEnd => ({ code: 0, stdout, stderr: "" });

/** Does what the programs do to the disk, and remembers what was run. */
function fakePrograms(fail: Partial<Record<"pip" | "builder", ProgramEnd>> = {}) {
  const ran: string[] = [];
  const run: RunProgram = async (command) => {
    const [program = "", ...args] = command;
    const line = args.join(" ");
    if (program === "uv") return null;
    if (line.includes("sys.version_info")) return program === "python3.12" ? ok("3.12\n") : null;
    if (line.startsWith("-m venv")) {
      const python = join(
        args.at(-1) ?? "",
        Deno.build.os === "windows" ? "Scripts/python.exe" : "bin/python",
      );
      await Deno.mkdir(dirname(python), { recursive: true });
      await Deno.writeTextFile(python, "");
      ran.push("venv");
      return ok();
    }
    if (line.startsWith("-m pip")) {
      ran.push("pip");
      return fail.pip ?? ok();
    }
    if (line.startsWith("-m onnxruntime_genai")) {
      ran.push("builder");
      const out = args[args.indexOf("-o") + 1] ?? "";
      await Deno.mkdir(out, { recursive: true });
      await Deno.writeTextFile(join(out, "genai_config.json"), '{"model":{"context_length":2048}}');
      return fail.builder ?? ok();
    }
    return ok();
  };
  return { run, ran };
}

async function inFolder(work: (options: (run: RunProgram) => CompileOptions, dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir({ prefix: "podium-compile-" });
  const source = join(dir, "model");
  const scriptsDir = join(dir, "scripts");
  await Deno.mkdir(source);
  await Deno.mkdir(scriptsDir);
  await Deno.writeTextFile(join(source, "config.json"), '{"model_type":"llama"}');
  await Deno.writeFile(join(source, "model.safetensors"), new Uint8Array(2000));
  for (const purpose of ["convert", "build"]) {
    await Deno.writeTextFile(join(scriptsDir, `${purpose}.txt`), purpose);
  }
  const options = (run: RunProgram): CompileOptions => ({
    source,
    precision: "int4-mixed",
    workDir: join(dir, "work"),
    scriptsDir,
    run,
    signal: new AbortController().signal,
    onStep: () => {},
    onLine: () => {},
  });
  try {
    await work(options, dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The build environment is 6.8 GB: a small disk refuses before anything is run, as it should. */
const enough = await freeBytes(Deno.cwd()) > 8e9 && Deno.systemMemoryInfo().available > 1.5e9;

Deno.test(
  { name: "a folder is compiled once; a second call finds it done", ignore: !enough },
  () =>
    inFolder(async (options) => {
      const { run, ran } = fakePrograms();
      const first = await compileModel(options(run));
      assert.equal(first.contextTokens, 2048);
      assert.deepEqual(ran, ["venv", "pip", "builder"]);
      assert.deepEqual(await compileModel(options(run)), first);
      assert.deepEqual(ran, ["venv", "pip", "builder"]);
    }),
);

Deno.test(
  {
    name: "a failure is reported by its last line; a second call continues where it stopped",
    ignore: !enough,
  },
  () =>
    inFolder(async (options, dir) => {
      const full = { code: 1, stdout: "", stderr: "OSError: [Errno 28] No space left on device" };
      await assert.rejects(
        compileModel(options(fakePrograms({ pip: full }).run)),
        /disk is full \(step "environment"\)/,
      );
      const killed = { code: 137, stdout: "Killed", stderr: "" };
      await assert.rejects(
        compileModel(options(fakePrograms({ builder: killed }).run)),
        /the system ended the step "onnx", probably because memory ran out/,
      );
      const names = Array.from(Deno.readDirSync(join(dir, "work")), ({ name }) => name);
      assert.ok(names.every((name) => !name.endsWith(".part")), "no half folder is left");
      const { run, ran } = fakePrograms();
      await compileModel(options(run));
      assert.deepEqual(ran, ["builder"], "the environment was kept");
    }),
);

Deno.test(
  { name: "a missing Python is reported with what was found", ignore: !enough },
  () =>
    inFolder(async (options) => {
      const old: RunProgram = ([program]) => Promise.resolve(program === "python3" ? ok("3.8\n") : null);
      await assert.rejects(compileModel(options(old)), /needs Python 3\.11, 3\.12, 3\.13: found 3\.8/);
    }),
);

Deno.test("what is not a model is refused before any program runs", () =>
  inFolder(async (options, dir) => {
    const never: RunProgram = () => assert.fail("nothing is to be run");
    const refused = async (source: string, pattern: RegExp) => {
      await assert.rejects(compileModel({ ...options(never), source }), (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, pattern);
        return true;
      });
    };
    await refused(join(dir, "none"), /there is no .*none/);
    await refused(join(dir, "scripts"), /not a Hugging Face model folder/);
    await refused(join(dir, "scripts", "build.txt"), /is not a GGUF file/);
  }));

Deno.test("the comparison is read from the last line, whatever libraries print before it", () =>
  inFolder(async (options, dir) => {
    const row = {
      prompt: "2 + 3?",
      original: "5",
      compiled: "5",
      agreement: 1,
      original_tokens_per_s: 10,
      compiled_tokens_per_s: 40,
    };
    const run: RunProgram = () => Promise.resolve(ok(`Loading…\n${JSON.stringify([row])}\n`));
    await Deno.mkdir(join(dir, "work"));
    const compiled = { originalDir: "a", compiledDir: "b", sizeMb: 1, contextTokens: 64 };
    assert.deepEqual(await compareWithOriginal(compiled, ["2 + 3?"], 8, options(run)), [row]);
  }));
