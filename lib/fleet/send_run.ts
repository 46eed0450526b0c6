/**
 * A device sends its run while it is made, or a document once it is whole. What is sent
 * is read from its own folder.
 */
import { headers, type NatsConnection } from "@nats-io/nats-core";
import { jetstream } from "@nats-io/jetstream";
import { basename, join } from "node:path";
import { answerRecord, sampleRecord } from "../bench/records.ts";
import type { Sleep } from "../clock.ts";
import { reasonOf } from "../errors.ts";
import { sumOf } from "../stats/mean.ts";
import { filesOf } from "./bundle.ts";
import type { FleetPlan } from "./device.ts";
import {
  type EndReply,
  endReply,
  type EndRequest,
  FILE_TOKENS,
  type FileToken,
  OFFSET,
  subjects,
  tokensOf,
} from "./wire.ts";

/** Largest piece of a file in one message. */
const PIECE_BYTES = 256 * 1024;
/** Time between two readings of the folder. */
const EVERY_MS = 500;
/** Wait after a failure of the hub or the network. */
const RETRY_MS = 1000;
/** What the hub lacks is sent again when it has not grown over this many questions. */
const PATIENCE = 10;

/** How much of a run was sent: the bytes of each file that the server has. */
export type Sent = Record<"samples" | "answers", number>;

export interface RunSenderOptions {
  readonly connection: NatsConnection;
  readonly device: string;
  readonly plan: Pick<FleetPlan, "id" | "kind">;
  /** The run's folder. */
  readonly folder: string;
  readonly sent: Sent;
  /** Stores how much was sent, for the next process. Losing it costs only time. */
  readonly onSent: (sent: Sent) => Promise<void>;
  readonly sleep: Sleep;
  readonly signal: AbortSignal;
}

/** Sends one run. */
export class RunSender {
  readonly #options: RunSenderOptions;
  readonly #sent: Sent;
  /** Requests whose sample was read: their answers are final. */
  readonly #requests = new Set<string>();
  /** Whether the ids of what an earlier process sent were read. */
  #isCaughtUp = false;
  /** Numbers what is sent again, since the server would drop it as a duplicate. */
  #again = 0;

  constructor(options: RunSenderOptions) {
    this.#options = options;
    this.#sent = { ...options.sent };
  }

  /** Sends what is new until `over` is aborted; failures are tried again. */
  async follow(over: AbortSignal): Promise<void> {
    const { sleep } = this.#options;
    let hasInfo = false;
    while (!over.aborted) {
      try {
        if (!hasInfo) await this.#whole("run");
        hasInfo = true;
        await this.#news();
        await sleep(EVERY_MS, over).catch(() => {});
      } catch {
        await sleep(RETRY_MS, over).catch(() => {});
      }
    }
  }

  /**
   * Sends the rest of a run that is over, and repeats until the hub has all of it.
   *
   * @returns the hub's verdict
   * @throws the signal's reason when that is aborted
   */
  async finish(problem: EndRequest["problem"]): Promise<NonNullable<EndReply["verdict"]>> {
    const { connection, device, plan, folder, sleep, signal } = this.#options;
    const tokens = tokensOf(plan.kind);
    const files = await filesOf(folder, tokens.map((token) => FILE_TOKENS[token]));
    const request: EndRequest = { plan: plan.id, run: basename(folder), problem, files };
    let [isSent, before, patience] = [false, -1, PATIENCE];
    for (;;) {
      signal.throwIfAborted();
      try {
        if (!isSent) {
          await this.#news();
          for (const token of tokens) {
            if (token === "samples" || token === "answers") continue;
            if (files.some(({ name }) => name === FILE_TOKENS[token])) await this.#whole(token);
          }
          isSent = true;
        }
        const answer = await connection.request(subjects.end(device), JSON.stringify(request), {
          timeout: 15_000,
        });
        const { have, verdict } = endReply.parse(answer.json());
        if (verdict !== null) return verdict;
        const total = sumOf(Object.values(have));
        patience = total > before ? PATIENCE : patience - 1;
        before = Math.max(total, 0);
        if (patience <= 0) {
          this.#sent.samples = Math.min(have[FILE_TOKENS.samples] ?? 0, this.#sent.samples);
          this.#sent.answers = Math.min(have[FILE_TOKENS.answers] ?? 0, this.#sent.answers);
          this.#again++;
          [isSent, before, patience] = [false, -1, PATIENCE];
        }
        await sleep(100 + 40 * (PATIENCE - patience), signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof RangeError) throw error;
        await sleep(RETRY_MS, signal);
      }
    }
  }

  /** Samples first: an answer is sent once its sample is known, since the folder drops an answer without one. */
  async #news(): Promise<void> {
    const { folder } = this.#options;
    if (!this.#isCaughtUp) {
      for await (const line of linesOf(join(folder, FILE_TOKENS.samples), 0, this.#sent.samples)) {
        this.#noteRequest(line.text);
      }
      this.#isCaughtUp = true;
    }
    await this.#lines("samples", (text) => {
      this.#noteRequest(text);
      return true;
    });
    await this.#lines("answers", (text) => this.#requests.has(answerRecord.parse(JSON.parse(text)).id));
  }

  #noteRequest(text: string): void {
    const record = sampleRecord.parse(JSON.parse(text));
    if (record.kind === "request") this.#requests.add(record.id);
  }

  /** Sends the complete lines that were not sent yet and may be sent. */
  async #lines(token: "samples" | "answers", mayGo: (text: string) => boolean): Promise<void> {
    const path = join(this.#options.folder, FILE_TOKENS[token]);
    let pieces: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    const flush = async () => {
      if (bytes === 0) return;
      const data = new Uint8Array(await new Blob(pieces).arrayBuffer());
      await this.#publish(token, this.#sent[token], data);
      this.#sent[token] += bytes;
      [pieces, bytes] = [[], 0];
      await this.#options.onSent({ ...this.#sent });
    };
    for await (const { text, line } of linesOf(path, this.#sent[token], Infinity)) {
      if (!mayGo(text)) break;
      pieces.push(line);
      bytes += line.length;
      if (bytes >= PIECE_BYTES) await flush();
    }
    await flush();
  }

  async #whole(token: Exclude<FileToken, "samples" | "answers">): Promise<void> {
    const data = await Deno.readFile(join(this.#options.folder, FILE_TOKENS[token]));
    await this.#publish(token, 0, data, `.${await shortHash(data)}`);
  }

  async #publish(token: FileToken, offset: number, data: Uint8Array, version = ""): Promise<void> {
    const { connection, device, plan, folder } = this.#options;
    const most = connection.info?.max_payload ?? Infinity;
    if (data.length > most - 4096) {
      throw new RangeError(`${FILE_TOKENS[token]} has a part of ${data.length} bytes, the hub takes ${most}`);
    }
    const run = basename(folder);
    const head = headers();
    head.set(OFFSET, String(offset));
    try {
      await jetstream(connection, { timeout: 10_000 }).publish(
        `${subjects.records(device)}.${plan.id}.${run}.${token}`,
        data,
        { headers: head, msgID: `${run}.${token}.${offset}.${data.length}${version}.${this.#again}` },
      );
    } catch (error) {
      throw new Error(`the hub accepts nothing now: ${reasonOf(error)}`, { cause: error });
    }
  }
}

async function shortHash(data: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex().slice(0, 12);
}

/** The whole lines of a file between two offsets, with their newline; a missing file has none. */
async function* linesOf(
  path: string,
  from: number,
  until: number,
): AsyncGenerator<{ text: string; line: Uint8Array<ArrayBuffer> }> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  using open = file;
  await open.seek(from, Deno.SeekMode.Start);
  const block = new Uint8Array(65_536);
  let rest = new Uint8Array();
  for (let at = from; at < until;) {
    const read = await open.read(block.subarray(0, Math.min(block.length, until - at)));
    if (read === null) return;
    at += read;
    const joined = new Uint8Array(rest.length + read);
    joined.set(rest);
    joined.set(block.subarray(0, read), rest.length);
    let begin = 0;
    for (let end = joined.indexOf(10); end >= 0; end = joined.indexOf(10, begin)) {
      const line = joined.slice(begin, end + 1);
      yield { text: new TextDecoder().decode(line), line };
      begin = end + 1;
    }
    rest = joined.slice(begin);
  }
}
