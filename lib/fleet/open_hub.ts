/** A hub with everything that it needs: its lock, its keys, and its server, which is restarted if it ends. */
import type { NatsConnection } from "@nats-io/nats-core";
import { join } from "node:path";
import { z } from "zod";
import type { Sleep } from "../clock.ts";
import { UserError } from "../errors.ts";
import { replaceFile } from "../bench/folder.ts";
import type { ServerNames } from "./certificate.ts";
import { type HubOptions, startHub } from "./hub.ts";
import { type HubKeys, hubKeys } from "./hub_keys.ts";
import { JoinCodes } from "./join_codes.ts";
import { type NatsServer, type ServerAddress, startServer, stopLeftServer } from "./nats_server.ts";
import { connectHub, joinLine } from "./wire.ts";

/** The server that a hub starts, or one that is there already. */
export type HubServer =
  | {
    readonly kind: "own";
    /** The path of `nats-server`. */
    readonly program: string;
    readonly address: ServerAddress;
    /** This machine's address in the join line. */
    readonly publicHost: string;
    /** What the certificate is for. */
    readonly names: ServerNames;
  }
  | { readonly kind: "given"; readonly url: string; readonly accountSeed: string };

export interface OpenHubOptions extends Pick<HubOptions, "append" | "waitingBytes" | "now" | "onEvent"> {
  /** The fleet's folder. */
  readonly folder: string;
  readonly name: string;
  readonly server: HubServer;
  readonly sleep: Sleep;
  readonly note: (line: string) => void;
}

export interface OpenHub {
  readonly url: string;
  /** What a server that is there already needs in its configuration. */
  readonly joinJwt: string;
  /** A new join line that admits a number of devices. */
  newJoinLine(devices: number): string;
  /** The server's process; null where the hub started none. */
  readonly serverPid: () => number | null;
  /** Stops hub and server; what has arrived is written first. */
  stop(): Promise<void>;
}

/** Longest wait for a server to answer. */
const START_MS = 15_000;
const AGAIN_MS = 300;

/**
 * Opens a hub on a fleet's folder.
 *
 * @throws {UserError} exit code 1 where another hub has the folder, or the server can't be started or reached
 */
export async function openHub(options: OpenHubOptions): Promise<OpenHub> {
  const { folder, server, now } = options;
  const home = join(folder, "hub");
  await Deno.mkdir(home, { recursive: true, mode: 0o700 });
  const lock = await lockOf(home);
  try {
    const keys = await hubKeys(home, server.kind === "given" ? server.accountSeed : undefined);
    const watched = server.kind === "own" ? await WatchedServer.start(home, server, keys, options) : null;
    try {
      const url = server.kind === "given"
        ? server.url
        : `${server.address.tls ? "wss" : "ws"}://${hostInUrl(server.publicHost)}:${server.address.port}`;
      const given = server.kind === "given" ? { account: server.accountSeed } : {};
      const authority = server.kind === "own" && server.address.tls ? keys.authority : null;
      await replaceFile(join(home, "address.json"), `${JSON.stringify({ url, authority, ...given })}\n`, {
        mode: 0o600,
      });
      const connection = await connectInTime({ url, authority, keys }, watched, options);
      const codes = await JoinCodes.open(home, now);
      const hub = await startHub({ ...options, connection, keys, codes });
      return {
        url,
        joinJwt: keys.joinJwt,
        newJoinLine: (devices) => joinLine({ url, authority, code: codes.add(devices) }),
        serverPid: () => watched?.pid ?? null,
        async stop() {
          await hub.stop();
          await watched?.stop();
          lock.close();
        },
      };
    } catch (error) {
      await watched?.stop();
      throw error;
    }
  } catch (error) {
    lock.close();
    throw error;
  }
}

const hostInUrl = (host: string) => host.includes(":") ? `[${host}]` : host;

async function lockOf(home: string): Promise<Deno.FsFile> {
  const lock = await Deno.open(join(home, "hub.lock"), { write: true, create: true });
  if (await lock.tryLock(true)) return lock;
  lock.close();
  throw new UserError(
    `another hub runs on ${home}: stop it first, or give the fleet another name with --fleet`,
    1,
  );
}

async function connectInTime(
  { url, authority, keys }: { url: string; authority: string | null; keys: HubKeys },
  watched: WatchedServer | null,
  { sleep }: OpenHubOptions,
): Promise<NatsConnection> {
  for (let waitedMs = 0;; waitedMs += AGAIN_MS) {
    try {
      return await connectHub({ url, authority, name: "hub", credentials: keys.hub });
    } catch (error) {
      const fault = watched?.fault ?? null;
      if (fault !== null) {
        const remedy = fault.includes("address already in use") ? "; give another port with --port" : "";
        throw new UserError(`the NATS server ended: ${fault}${remedy}`, 1);
      }
      if (watched === null || waitedMs > START_MS) throw error;
      await sleep(AGAIN_MS);
    }
  }
}

/** A server that is restarted when it ends by itself. */
class WatchedServer {
  /** Why it ended at once, where it never ran. */
  fault: string | null = null;
  #server: NatsServer;
  #isStopped = false;
  readonly #watching: Promise<void>;

  private constructor(
    server: NatsServer,
    again: () => Promise<NatsServer>,
    options: OpenHubOptions,
  ) {
    this.#server = server;
    this.#watching = this.#watch(again, options);
  }

  async #watch(again: () => Promise<NatsServer>, { sleep, note, now }: OpenHubOptions): Promise<void> {
    for (let quick = 0; !this.#isStopped;) {
      const bornMs = now().getTime();
      const reason = await this.#server.ended;
      if (this.#isStopped) return;
      quick = now().getTime() - bornMs < 2000 ? quick + 1 : 0;
      if (quick > 5) {
        this.fault = reason;
        return;
      }
      // A server that never ran prints the reason last.
      if (quick === 0) note(`The NATS server ended (${reason}); it is started again.`);
      await sleep(AGAIN_MS * (1 + quick));
      if (this.#isStopped) return;
      this.#server = await again();
      // The hub may have been stopped while this server started.
      if (this.#isStopped) await this.#server.stop();
    }
  }

  get pid(): number {
    return this.#server.pid;
  }

  static async start(
    home: string,
    { program, address, names }: Extract<HubServer, { kind: "own" }>,
    keys: HubKeys,
    options: OpenHubOptions,
  ): Promise<WatchedServer> {
    await stopLeftServer(home, options.sleep);
    if (address.tls) await keys.certify(names);
    const again = () => startServer(program, home, address, keys);
    return new WatchedServer(await again(), again, options);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#server.stop();
    await this.#watching;
  }
}

const addressFile = z.object({
  url: z.string(),
  authority: z.string().nullable(),
  account: z.string().optional(),
});

/**
 * Connects to the server of a fleet whose folder is here, with the hub's rights, to send plans.
 *
 * @throws {UserError} exit code 1 where no hub runs
 */
export async function connectFleet(folder: string): Promise<NatsConnection> {
  const home = join(folder, "hub");
  const text = await Deno.readTextFile(join(home, "address.json")).catch(() => null);
  if (text === null) {
    throw new UserError(`there is no hub in ${folder}: start one with deno task fleet hub`, 1);
  }
  const { url, authority, account } = addressFile.parse(JSON.parse(text));
  const keys = await hubKeys(home, account);
  return await connectHub({ url, authority, name: "hub", credentials: keys.hub });
}
