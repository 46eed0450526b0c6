/** Sends the answers of the fake endpoint when they are due, and logs the delays that were really made. */
import { setImmediate } from "node:timers";
import type { Clock } from "../clock.ts";
import { concat } from "../endpoint/bytes.ts";
import { takenAt } from "../endpoint/exchange.ts";
import {
  ending,
  eventFrame,
  type FakeRequest,
  type Frame,
  framesOf,
  jsonResponse,
  streamHead,
  wholeAnswer,
} from "./fake_answer.ts";
import type { Behaviour, FakeLogEntry } from "./fake_behaviour.ts";

type Fault = NonNullable<Behaviour["fault"]>;

/** The connection that an answer goes to, and what is known of its request. */
interface AnswerTarget {
  readonly connection: Deno.TcpConn;
  readonly b: Behaviour;
  /** When the request's last byte was read. */
  readonly readMs: number;
  readonly entry: FakeLogEntry;
  readonly pacer: Pacer;
  readonly clock: Clock;
}

/** Answers as the behaviour says; false where the connection must not be reused. */
export async function sendAnswer(to: AnswerTarget, request: FakeRequest, stream: boolean): Promise<boolean> {
  const { b, connection, entry } = to;
  if (b.fault?.kind === "refuse" || b.fault?.kind === "raw") {
    if (b.fault.kind === "raw") {
      await writeAll(connection, Uint8Array.from(atob(b.fault.base64), (c) => c.charCodeAt(0)));
    }
    entry.outcome = "fault";
    return false;
  }
  const frames = stream ? framesOf(b, request) : [wholeFrame(b, request)];
  const fault = await new Outgoing(to, stream ? streamHead(b) : null, frames).sent;
  if (fault !== null) {
    entry.outcome = "fault";
    await breakOff(connection, b, fault);
    return false;
  }
  entry.outcome = "completed";
  return !(stream && b.framing === "close") && !b.closeAfter;
}

function wholeFrame(b: Behaviour, request: FakeRequest): Frame {
  const { json, dueMs } = wholeAnswer(b, request);
  return { dueMs, bytes: jsonResponse(200, json), carriesTokens: true };
}

/** Sends frames when they are due: those due together in one write, stamped when the socket takes it. */
class Outgoing implements Paced {
  dueMs: number;
  /** Settles when all is sent, or everything before the fault. */
  readonly sent: Promise<Fault | null>;
  readonly #settle: PromiseWithResolvers<Fault | null>;
  /** A write that the socket has not taken yet; usually null. */
  #writing: Promise<void> | null = null;
  #bytesOut: Uint8Array = new Uint8Array();
  #next = 0;
  #tokens = 0;

  constructor(readonly to: AnswerTarget, private head: Uint8Array | null, readonly frames: readonly Frame[]) {
    this.#settle = Promise.withResolvers();
    this.sent = this.#settle.promise;
    this.dueMs = to.readMs;
    to.pacer.add(this);
  }

  step(): void {
    const { b, readMs } = this.to;
    const elapsedMs = this.to.clock() - readMs;
    const from = this.#next;
    let tokens = 0;
    for (let frame = this.frames[from]; frame !== undefined; frame = this.frames[this.#next]) {
      if (frame.dueMs > elapsedMs || this.#fault(tokens) !== null) break;
      if (frame.carriesTokens) tokens++;
      this.#next++;
    }
    this.#send(from, tokens);
    const next = this.frames[this.#next];
    if (next === undefined) this.#end(null);
    else if (next.dueMs <= elapsedMs) this.#end(b.fault);
    else this.dueMs = readMs + next.dueMs;
  }

  interrupt(): void {
    this.#settle.reject(new Deno.errors.Interrupted("the fake endpoint is stopping"));
  }

  #fault(tokens: number): Fault | null {
    const { fault } = this.to.b;
    return fault !== null && "afterChunks" in fault && fault.afterChunks === this.#tokens + tokens
      ? fault
      : null;
  }

  #send(from: number, tokens: number): void {
    const { readMs, entry } = this.to;
    const bytes = this.#bytes(from);
    if (bytes.length === 0) return;
    const callMs = this.to.clock();
    this.#write(bytes);
    const takenMs = takenAt(callMs, this.to.clock());
    for (let i = 0; i < tokens; i++) entry.chunkMs.push(takenMs - readMs);
    this.#tokens += tokens;
  }

  #bytes(from: number): Uint8Array {
    const first = this.frames[from];
    if (this.head === null && this.#next === from + 1 && first !== undefined) return first.bytes;
    const parts = this.frames.slice(from, this.#next).map(({ bytes }) => bytes);
    const bytes = concat(this.head === null ? parts : [this.head, ...parts]);
    this.head = null;
    return bytes;
  }

  /** Usually the socket takes everything at once; otherwise later writes wait for earlier ones. */
  #write(bytes: Uint8Array): void {
    const { connection, b } = this.to;
    if (this.#writing === null && b.splitBytes === null) {
      this.#bytesOut = bytes;
      this.#writing = connection.write(bytes).then(this.#took, this.#broke);
    } else {
      const step = b.splitBytes ?? bytes.length;
      const before = this.#writing ?? Promise.resolve();
      this.#writing = before.then(() => writeInSteps(connection, bytes, step)).catch(this.#broke);
    }
  }

  #took = (n: number): Promise<void> | void => {
    const bytes = this.#bytesOut;
    if (n < bytes.length) return writeAll(this.to.connection, bytes.subarray(n)).catch(this.#broke);
    this.#writing = null;
  };

  #broke = (error: unknown): void => {
    this.dueMs = Infinity;
    this.to.pacer.drop(this);
    this.#settle.reject(error);
  };

  #end(fault: Fault | null): void {
    this.dueMs = Infinity;
    if (this.#writing === null) this.#settle.resolve(fault);
    else this.#writing.then(() => this.#settle.resolve(fault));
  }
}

async function breakOff(connection: Deno.TcpConn, b: Behaviour, fault: Fault): Promise<void> {
  if (fault.kind === "hang") {
    // Ends when the client goes, or when `stop` closes the connection.
    await connection.read(new Uint8Array(1)).catch(() => {});
  } else if (fault.kind === "error") {
    const error = fault.json ?? { error: { message: fault.message, type: "server_error", code: 500 } };
    const done = fault.done ? `data: [DONE]${b.newline.repeat(2)}` : "";
    const event = eventFrame(b, `data: ${JSON.stringify(error)}${b.newline.repeat(2)}${done}`);
    await writeAll(connection, concat([event, ending(b)]));
  } else if (fault.kind === "stop") await writeAll(connection, ending(b));
}

export async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(at === 0 ? bytes : bytes.subarray(at));
}

/** With the event loop turned between pieces of `step` bytes. */
async function writeInSteps(connection: Deno.TcpConn, bytes: Uint8Array, step: number): Promise<void> {
  for (let at = 0; at < bytes.length; at += step) {
    await writeAll(connection, bytes.subarray(at, at + step));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Something whose next step is due at `dueMs`, on the endpoint's clock. */
interface Paced {
  /** `Infinity` where no step is left. */
  dueMs: number;
  /** Does what is due by now, and moves `dueMs` on. */
  step(): void;
  /** The endpoint stops: there will be no more steps. */
  interrupt(): void;
}

/** One timer for everything that is due: a timer per token of each stream would cost more than the token. */
export class Pacer {
  readonly #all = new Set<Paced>();
  /** What is due now; one array for all turns, since there are a thousand per second. */
  readonly #due: Paced[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #wakeMs = Infinity;
  #stopped = false;

  constructor(private readonly clock: Clock) {}

  /** Takes the first step at once where it is due, the others when they are. */
  add(paced: Paced): void {
    if (this.#stopped) return paced.interrupt();
    this.#all.add(paced);
    if (paced.dueMs <= this.clock()) this.#step(paced);
    this.#wake(paced.dueMs);
  }

  drop(paced: Paced): void {
    this.#all.delete(paced);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const paced of this.#all) paced.interrupt();
    this.#all.clear();
  }

  #step(paced: Paced): void {
    paced.step();
    if (paced.dueMs === Infinity) this.#all.delete(paced);
  }

  /** Timers have whole milliseconds: rounded up, so that none fires early and is set twice. */
  #wake(dueMs: number): void {
    if (dueMs >= this.#wakeMs || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#wakeMs = dueMs;
    this.#timer = setTimeout(this.#turn, Math.max(0, Math.ceil(dueMs - this.clock())));
  }

  /** Steps in the order in which they are due, so that no stream is always the last of its millisecond. */
  #turn = (): void => {
    this.#wakeMs = Infinity;
    const nowMs = this.clock();
    for (const paced of this.#all) if (paced.dueMs <= nowMs) this.#due.push(paced);
    this.#due.sort((a, b) => a.dueMs - b.dueMs);
    for (const paced of this.#due) this.#step(paced);
    this.#due.length = 0;
    let next = Infinity;
    for (const { dueMs } of this.#all) next = Math.min(next, dueMs);
    this.#wake(next);
  };
}
