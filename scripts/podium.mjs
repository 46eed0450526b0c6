#!/usr/bin/env node
/**
 * WHY: `podium bench` is the same program wherever it was installed from: npm, `deno install -g`, a tarball or a clone.
 * This runs on Node 20 and on Deno. It finds Deno, unpacks the project into a folder of the user once (Deno runs no
 * TypeScript below node_modules, and only a project's own lock file leaves out llama.cpp's CUDA builds), and runs the
 * task with the permissions that deno.json gives it.
 */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
/** In a package the project lies beside this file; in a clone it is the folder above. */
const packed = join(here, "project");
const source = existsSync(packed) ? packed : dirname(here);
const project = JSON.parse(readFileSync(join(source, "deno.json"), "utf8"));
/** What only developers of Podium need is left to `deno task` in a clone. */
const tasks = Object.entries(project.tasks).filter(([name, { command }]) =>
  /^deno run .*\.ts$/.test(command) && !name.includes(":")
);
const workshop = Object.entries(project.tasks).filter(([name]) => name.startsWith("workshop:"));

const [name, ...args] = process.argv.slice(2);
if (name === undefined || ["--help", "-h", "help"].includes(name)) {
  console.log(help());
} else if (["--version", "-V"].includes(name)) {
  console.log(project.version);
} else {
  const task = [...tasks, ...workshop].find(([known]) => known === name);
  if (task === undefined) {
    console.error(`error: unknown command "${name}": use one of ${tasks.map(([known]) => known).join(", ")}`);
    process.exit(2);
  }
  run(task[1].command, args);
}

function help() {
  const width = Math.max(...tasks.map(([known]) => known.length));
  const line = ([known, { description }]) => `  ${known.padEnd(width)}  ${description}`;
  return [
    "Usage: podium <command> [options]",
    "",
    "Choose the local model for the job, on evidence.",
    "",
    ...tasks.map(line),
    "",
    `Each command has --help. The workshop's samples: ${workshop.map(([known]) => known).join(", ")}.`,
    ...(source === packed ? [] : ["In a clone, deno task <command> is the same as podium <command>."]),
    "New here? podium bench measures two small models; podium doctor says what this machine has.",
  ].join("\n");
}

function run(command, args) {
  const deno = findDeno();
  const root = unpacked();
  const words = command.split(" ").slice(1);
  const script = words.findLastIndex((word) => word.endsWith(".ts"));
  const flags = words.slice(0, script).map((flag) => withProjectPaths(flag, root));
  // A log is no place for a line per downloaded package; a terminal shows one bar.
  if (!process.stderr.isTTY && !flags.includes("-q")) flags.splice(1, 0, "-q");
  const child = spawn(deno, [...flags, join(root, words[script]), ...words.slice(script + 1), ...args], {
    stdio: "inherit",
    env: { ...process.env, DENO_NO_UPDATE_CHECK: "1", PODIUM_COMMAND: "podium" },
  });
  // A terminal sends Ctrl-C to both; the task ends in good order, and this program after it.
  process.on("SIGINT", () => {});
  if (process.platform !== "win32") process.on("SIGTERM", () => child.kill("SIGTERM"));
  child.on("error", (error) => {
    console.error(`error: can't start ${deno}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
}

/** Relative folders that a task may write are meant in the person's folder and in the project. */
function withProjectPaths(flag, root) {
  const [name, paths] = flag.split("=");
  if (!["-R", "-W"].includes(name) || paths === undefined) return flag;
  return `${name}=${paths.split(",").flatMap((path) => [path, join(root, path)]).join(",")}`;
}

/** The Deno that runs this, that came with the package, or that is on the PATH, in this order. */
function findDeno() {
  // A compiled launcher holds Deno's runtime, but not its commands.
  if (process.versions.deno !== undefined && !globalThis.Deno.build.standalone) return process.execPath;
  const require = createRequire(import.meta.url);
  try {
    return require(join(dirname(require.resolve("deno/package.json")), "install_api.cjs")).runInstall();
  } catch {
    // The package came without Deno, or Deno has no build for this system.
  }
  const version =
    spawnSync("deno", ["--version"], { encoding: "utf8" }).stdout?.match(/^deno (\d+)\.(\d+)/) ?? null;
  if (version !== null && (Number(version[1]) > 2 || Number(version[1]) === 2 && Number(version[2]) >= 9)) {
    return "deno";
  }
  console.error(
    `error: Podium runs on Deno 2.9 or later, and ${
      version === null ? "none" : `only ${version[0]}`
    } was found: ` +
      "install it with npm install -g deno, or as https://docs.deno.com/runtime/getting_started/installation says",
  );
  process.exit(1);
}

/** The folder from which tasks run: the clone itself, or what this version was unpacked into. */
function unpacked() {
  if (source !== packed) return source;
  const root = join(dataFolder(), "podium", project.version);
  if (existsSync(join(root, "deno.json"))) return root;
  console.error(
    `First run of Podium ${project.version}: unpacking into ${root}. Deno then fetches about 300 MB of packages, once.`,
  );
  const part = `${root}.${process.pid}.part`;
  mkdirSync(dirname(root), { recursive: true });
  cpSync(packed, part, { recursive: true });
  try {
    renameSync(part, root);
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    // Another process may have been first.
    if (!existsSync(join(root, "deno.json"))) throw error;
  }
  return root;
}

function dataFolder() {
  if (process.platform === "win32") return process.env.LOCALAPPDATA ?? join(homedir(), "AppData", "Local");
  if (process.platform === "darwin") return join(homedir(), "Library", "Application Support");
  return process.env.XDG_DATA_HOME || join(homedir(), ".local", "share");
}
