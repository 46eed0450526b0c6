/** The hub: admits devices, receives their progress, and merges what they send into the fleet's folder. */
import {
  AckPolicy,
  DiscardPolicy,
  jetstream,
  type JetStreamManager,
  jetstreamManager,
  type JsMsg,
  RetentionPolicy,
} from "@nats-io/jetstream";
import type { Msg, NatsConnection } from "@nats-io/nats-core";
import { join } from "node:path";
import { replaceFile } from "../bench/folder.ts";
import { reasonOf } from "../errors.ts";
import { type DeviceState, type DeviceStatement, documentText, FLEET_SCHEMA } from "./device.ts";
import type { HubKeys } from "./hub_keys.ts";
import type { JoinCodes } from "./join_codes.ts";
import { idOfKey, isSigned } from "./keys.ts";
import { Merger, type MergerOptions, type RunPiece } from "./merge.ts";
import {
  endRequest,
  isFileToken,
  joinRequest,
  OFFSET,
  PLANS,
  RECORDS,
  RECORDS_CONSUMER,
  stateRequest,
  subjects,
} from "./wire.ts";

/** What a hub needs. */
export interface HubOptions {
  /** The fleet's folder. */
  readonly folder: string;
  readonly name: string;
  readonly connection: NatsConnection;
  readonly keys: Pick<HubKeys, "deviceJwt">;
  readonly codes: JoinCodes;
  readonly now: () => Date;
  readonly onEvent: (event: HubEvent) => void;
  /** For tests: how pieces are appended to files. */
  readonly append?: MergerOptions["append"];
  /** Most bytes that wait in the server for a hub that is away. @default 1 GB */
  readonly waitingBytes?: number;
}

/** An event at a hub. */
export type HubEvent =
  | { readonly kind: "joined"; readonly statement: DeviceStatement }
  | { readonly kind: "not joined"; readonly reason: string }
  | { readonly kind: "state"; readonly device: string; readonly state: DeviceState }
  | { readonly kind: "records"; readonly device: string; readonly run: string; readonly plan: string }
  | {
    readonly kind: "ended";
    readonly device: string;
    readonly plan: string;
    readonly status: string;
    readonly reasons: readonly string[];
  }
  | { readonly kind: "refused"; readonly device: string; readonly reason: string }
  /** The hub can't write what arrives; the server and the devices keep it until it can. */
  | { readonly kind: "can't write"; readonly reason: string };

const NANO = 1e6;
/** Time without a message from its device after which a plan is delivered again. */
const ACK_WAIT_MS = 30_000;
/** Time after which a piece that can't be stored yet is delivered again. */
const AGAIN_MS = 500;
const WAITING_BYTES = 2 ** 30;
/** How often a piece that came too early is delivered again; its device sends what is missing at the end. */
const MOST_DELIVERIES = 20;

/**
 * Creates a fleet's streams that don't exist yet.
 *
 * @param waitingBytes the most that the server keeps for a hub that is away; then devices wait
 */
async function prepareStreams(manager: JetStreamManager, waitingBytes = WAITING_BYTES): Promise<void> {
  const wanted = [
    { name: PLANS, subjects: ["fleet.plan.*"], retention: RetentionPolicy.Limits },
    {
      name: RECORDS,
      subjects: ["fleet.record.>"],
      retention: RetentionPolicy.Workqueue,
      max_bytes: waitingBytes,
      discard: DiscardPolicy.New,
      duplicate_window: 120_000 * NANO,
    },
  ];
  for (const stream of wanted) {
    const isThere = await manager.streams.info(stream.name).then(() => true, () => false);
    if (isThere) await manager.streams.update(stream.name, stream);
    else await manager.streams.add(stream);
  }
  await manager.consumers.add(RECORDS, {
    durable_name: RECORDS_CONSUMER,
    ack_policy: AckPolicy.Explicit,
    ack_wait: ACK_WAIT_MS * NANO,
    max_ack_pending: 1000,
  });
}

/** A running hub. */
export interface Hub {
  /** Stops it; what has arrived is written first. */
  stop(): Promise<void>;
}

/** Starts a hub over a connection to its server. */
export async function startHub(options: HubOptions): Promise<Hub> {
  const hub = new RunningHub(options);
  await hub.start();
  return hub;
}

class RunningHub implements Hub {
  readonly #options: HubOptions;
  readonly #merger: Merger;
  readonly #clockOffS = new Map<string, number>();
  #manager: JetStreamManager | null = null;
  #taking: Promise<void> = Promise.resolve();
  #isStopped = false;
  #stopTaking: () => void = () => {};

  constructor(options: HubOptions) {
    this.#options = options;
    const { folder, now, append } = options;
    this.#merger = new Merger({
      folder,
      now,
      clockOffS: (device) => this.#clockOffS.get(device) ?? 0,
      ...(append === undefined ? {} : { append }),
    });
  }

  async start(): Promise<void> {
    const { connection, folder, name, waitingBytes } = this.#options;
    await Deno.mkdir(join(folder, "devices"), { recursive: true });
    await Deno.mkdir(join(folder, "plans"), { recursive: true });
    const file = { schema_version: FLEET_SCHEMA, name };
    await replaceFile(join(folder, "fleet.json"), documentText(file));
    this.#manager = await jetstreamManager(connection);
    await prepareStreams(this.#manager, waitingBytes);
    this.#answer("fleet.join", (message) => this.#join(message));
    this.#answer("fleet.state.*", (message) => this.#takeState(message));
    this.#answer("fleet.end.*", (message) => this.#end(message));
    const consumer = await jetstream(connection).consumers.get(RECORDS, RECORDS_CONSUMER);
    const messages = await consumer.consume({ max_messages: 256 });
    this.#stopTaking = () => messages.stop();
    this.#taking = (async () => {
      for await (const message of messages) this.#take(message);
    })();
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#stopTaking();
    await this.#taking;
    await this.#options.connection.drain().catch(() => {});
  }

  /** A request that can't be read gets no answer: its device sends it again, or doesn't belong to this fleet. */
  #answer(subject: string, work: (message: Msg) => Promise<unknown>): void {
    this.#options.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return;
        work(message).then(
          (reply) => message.respond(JSON.stringify(reply)),
          (fault) =>
            this.#options.onEvent({
              kind: "refused",
              device: message.subject.split(".")[2] ?? "a client",
              reason: `${subject}: ${reasonOf(fault).slice(0, 300)}`,
            }),
        );
      },
    });
  }

  async #join(message: Msg): Promise<unknown> {
    const { codes, keys, name, onEvent } = this.#options;
    const { code, key, nats_key, signature, statement } = joinRequest.parse(message.json());
    const refuse = (reason: string) => {
      onEvent({ kind: "not joined", reason });
      return { error: reason };
    };
    if (!await isSigned(`${code} ${nats_key}`, signature, key)) {
      return refuse("the request is not signed by its key");
    }
    const device = await idOfKey(key);
    if (statement.id !== device) return refuse(`${statement.id} is not the id of the key that asks`);
    const problem = codes.use(code, device);
    if (problem !== null) return refuse(problem);
    await this.#manager?.consumers.add(PLANS, {
      durable_name: device,
      filter_subject: subjects.plan(device),
      ack_policy: AckPolicy.Explicit,
      ack_wait: ACK_WAIT_MS * NANO,
      max_ack_pending: 1,
    });
    await this.#writeStatement(statement);
    onEvent({ kind: "joined", statement });
    return { jwt: await keys.deviceJwt(device, nats_key), fleet: name };
  }

  async #writeStatement(statement: DeviceStatement): Promise<void> {
    const home = join(this.#options.folder, "devices", statement.id);
    await Deno.mkdir(home, { recursive: true });
    swapFile(join(home, "device.json"), statement);
  }

  /** The server checks who may publish to a device's subject, so the subject identifies the device. */
  async #takeState(message: Msg): Promise<unknown> {
    const { folder, now, onEvent } = this.#options;
    const device = message.subject.split(".")[2] ?? "";
    const { state, now_ms, statement } = stateRequest.parse(message.json());
    if (statement?.id === device) await this.#writeStatement(statement);
    const heard = now();
    const off = Math.round((now_ms - heard.getTime()) / 100) / 10;
    this.#clockOffS.set(device, off);
    const known: DeviceState = { ...state, heard_at: heard.toISOString(), clock_off_s: off };
    swapFile(join(folder, "devices", device, "state.json"), known);
    onEvent({ kind: "state", device, state: known });
    return { stop: state.plan !== null && await isStopped(folder, state.plan) };
  }

  async #end(message: Msg): Promise<unknown> {
    const device = message.subject.split(".")[2] ?? "";
    const request = endRequest.parse(message.json());
    const reply = await this.#merger.end(device, request);
    if (reply.verdict !== null) {
      this.#options.onEvent({ kind: "ended", device, plan: request.plan, ...reply.verdict });
    }
    return reply;
  }

  #take(message: JsMsg): void {
    const { onEvent } = this.#options;
    const [, , device = "", plan = "", run = "", token = ""] = message.subject.split(".");
    const file = isFileToken(token) ? token : null;
    const offset = Number(message.headers?.get(OFFSET) ?? "0");
    if (file === null || !Number.isSafeInteger(offset) || offset < 0) {
      onEvent({ kind: "refused", device, reason: `a record for ${token.slice(0, 40)} at ${offset}` });
      message.ack();
      return;
    }
    const piece: RunPiece = { device, plan, run, file, offset, bytes: message.data };
    try {
      const taken = this.#merger.take(piece);
      if (taken === "early" && message.info.deliveryCount < MOST_DELIVERIES) return message.nak(AGAIN_MS);
      if (typeof taken === "object") onEvent({ kind: "refused", device, reason: taken.refused });
      if (taken === "added") onEvent({ kind: "records", device, run, plan });
      message.ack();
    } catch (error) {
      onEvent({ kind: "can't write", reason: reasonOf(error) });
      message.nak(4 * AGAIN_MS);
    }
  }
}

/** Replaces a document that its device will send again: unlike `replaceFile`, it doesn't wait for the disk. */
function swapFile(path: string, value: unknown): void {
  Deno.writeTextFileSync(`${path}.new`, documentText(value));
  Deno.renameSync(`${path}.new`, path);
}

/** Marks a plan as stopped: its devices learn of it with their next report. */
export async function markStopped(folder: string, plan: string): Promise<void> {
  await Deno.writeTextFile(join(folder, "plans", `${plan}.stopped`), "");
}

const isStopped = (folder: string, plan: string): Promise<boolean> =>
  Deno.stat(join(folder, "plans", `${plan}.stopped`)).then(() => true, () => false);
