/** One answer on its way out, with the delays that were really made. */
import { setImmediate } from "node:timers";
import { concat } from "../endpoint/bytes.ts";
import { takenAt } from "../endpoint/exchange.ts";
import { answerOf, type Asked, type Behaviour, type FakeLogEntry } from "./fake_behaviour.ts";
import { ending, eventFrame, type Frame, framesOf, jsonResponse, streamHead } from "./fake_bytes_out.ts";
import type { Paced, Pacer } from "./fake_pacer.ts";

type Fault = NonNullable<Behaviour["fault"]>;

export interface Answering {
  readonly connection: Deno.TcpConn;
  readonly b: Behaviour;
  /** When the request's last byte was read. */
  readonly readMs: number;
  readonly entry: FakeLogEntry;
  readonly pacer: Pacer;
}

/** Answers as the behaviour says; false when the connection must not be used again. */
export async function answer(to: Answering, asked: Asked, stream: boolean): Promise<boolean> {
  const { b, connection, entry } = to;
  if (b.fault?.kind === "refuse" || b.fault?.kind === "raw") {
    if (b.fault.kind === "raw") {
      await writeAll(connection, Uint8Array.from(atob(b.fault.base64), (c) => c.charCodeAt(0)));
    }
    entry.outcome = "fault";
    return false;
  }
  const frames = stream ? framesOf(b, asked) : [wholeFrame(b, asked)];
  const fault = await new Outgoing(to, stream ? streamHead(b) : null, frames).sent;
  if (fault !== null) {
    entry.outcome = "fault";
    await breakOff(connection, b, fault);
    return false;
  }
  entry.outcome = "completed";
  return !(stream && b.framing === "close") && !b.closeAfter;
}

function wholeFrame(b: Behaviour, asked: Asked): Frame {
  const { whole, lastDueMs } = answerOf(b, asked);
  return { dueMs: lastDueMs, bytes: jsonResponse(200, whole), carriesTokens: true };
}

/** Frames that go out when they are due: all of a moment in one write, stamped as the socket takes them. */
class Outgoing implements Paced {
  dueMs: number;
  /** Everything was sent, up to a fault if there is one. */
  readonly sent: Promise<Fault | null>;
  readonly #settle: PromiseWithResolvers<Fault | null>;
  /** What the socket has not taken yet; null nearly always. */
  #writing: Promise<void> | null = null;
  #bytesOut: Uint8Array = new Uint8Array();
  #next = 0;
  #tokens = 0;

  constructor(readonly to: Answering, private head: Uint8Array | null, readonly frames: readonly Frame[]) {
    this.#settle = Promise.withResolvers();
    this.sent = this.#settle.promise;
    this.dueMs = to.readMs;
    to.pacer.add(this);
  }

  step(): void {
    const { b, readMs } = this.to;
    const elapsedMs = performance.now() - readMs;
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
    const callMs = performance.now();
    this.#write(bytes);
    const takenMs = takenAt(callMs, performance.now());
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

  /** Nearly always the socket takes all at once; what comes before it has waits for its turn. */
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
    const error = { error: { message: fault.message, type: "server_error", code: 500 } };
    const event = eventFrame(b, `data: ${JSON.stringify(error)}${b.newline.repeat(2)}`);
    await writeAll(connection, concat([event, ending(b)]));
  }
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
