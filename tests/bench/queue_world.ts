/** A server with a queue, in virtual time: what a load does to it is known. */
import type { Load, LoadLimits } from "../../lib/bench/load_level.ts";
import { measureLevel } from "../../lib/bench/load_level.ts";
import type { RequestRecord } from "../../lib/bench/records.ts";
import { requestRecord } from "./fakes.ts";
import { seededRandom } from "../../lib/stats/random.ts";

/** Events in the order of their time; everything that waits is woken by `run`. */
export class EventTime {
  #nowMs = 0;
  #events: { readonly atMs: number; readonly wake: () => void }[] = [];
  readonly clock = () => this.#nowMs;
  readonly sleep = (ms: number) =>
    new Promise<void>((wake) => {
      const event = { atMs: this.#nowMs + ms, wake };
      const at = this.#events.findLastIndex(({ atMs }) => atMs <= event.atMs);
      this.#events.splice(at + 1, 0, event);
    });

  /** Lets time pass until the work is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    void work.then(() => done = true, () => done = true);
    while (!done) {
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
      const next = this.#events.shift();
      if (next === undefined) continue;
      this.#nowMs = next.atMs;
      next.wake();
    }
    return await work;
  }
}

export interface QueueWorld {
  /** Service time of a request, in seconds, and how many are served at once. */
  readonly serviceS: (random: () => number) => number;
  readonly slots: number;
  readonly fails?: (nth: number) => boolean;
}

/** A level of load on the world; the same seed gives the same service times. */
export async function levelIn(
  world: QueueWorld,
  load: Load,
  limits: LoadLimits,
  { thinkS = 0, seed = 1, aloneS = null }: { thinkS?: number; seed?: number; aloneS?: number | null } = {},
) {
  const time = new EventTime();
  const random = seededRandom(`service ${seed} ${JSON.stringify(load)}`);
  const free = Array.from({ length: world.slots }, () => 0);
  let nth = 0;
  const send = async (dueMs = time.clock()): Promise<RequestRecord> => {
    const failed = world.fails?.(nth++) ?? false;
    const slot = free.indexOf(Math.min(...free));
    const startMs = Math.max(time.clock(), free[slot] ?? 0);
    const endMs = startMs + 1000 * world.serviceS(random);
    free[slot] = endMs;
    await time.sleep(endMs - time.clock());
    return record(dueMs, startMs, endMs, failed);
  };
  const { clock, sleep } = time;
  const signal = new AbortController().signal;
  return await time.run(
    measureLevel(load, limits, { send, clock, sleep, signal, seed, thinkS, aloneS }),
  );
}

function record(dueMs: number, startMs: number, endMs: number, failed: boolean): RequestRecord {
  return requestRecord({
    status: failed ? "failed" : "ok",
    due_ms: dueMs,
    sent_ms: dueMs,
    end_ms: endMs,
    // The first token comes after a tenth of the service time.
    chunk_ms: failed ? [] : [startMs - dueMs + (endMs - startMs) / 10, endMs - dueMs],
  });
}
