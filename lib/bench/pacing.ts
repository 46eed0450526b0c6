/** Sends requests: with one client, with many clients, or at a constant rate. */
import type { Clock, Sleep } from "../clock.ts";

/** Sends one planned request; `dueMs` only at a constant rate. */
export type SendPlanned<T> = (request: T, dueMs?: number) => Promise<void>;

/**
 * A closed loop: each client sends its next request when its last one is answered. The first failure of
 * `send` itself ends it, after the requests in flight.
 *
 * ```ts
 * const sent: number[] = [];
 * await closedLoop([1, 2, 3], 2, (request) => { sent.push(request); return Promise.resolve(); });
 * if (sent.length !== 3) throw new Error("every request is sent once");
 * ```
 */
export async function closedLoop<T>(
  requests: Iterable<T>,
  clients: number,
  send: SendPlanned<T>,
): Promise<void> {
  const queue = requests[Symbol.iterator]();
  let stopped = false;
  const client = async () => {
    for (let next = queue.next(); !next.done && !stopped; next = queue.next()) {
      try {
        await send(next.value);
      } catch (error) {
        stopped = true;
        throw error;
      }
    }
  };
  await settle(Array.from({ length: clients }, client));
}

/**
 * A constant rate: request n is due n/rate seconds after the start, whatever happened to earlier ones. Where
 * all `clients` are busy it waits its turn, and the wait counts: latency is taken from when it was due.
 *
 * @param rate requests per second
 */
export async function constantRate<T>(
  requests: Iterable<T>,
  options: { rate: number; clients: number; clock: Clock; sleep: Sleep; signal: AbortSignal },
  send: SendPlanned<T>,
): Promise<void> {
  const { rate, clients, clock, sleep, signal } = options;
  const start = clock();
  const inFlight = new Set<Promise<void>>();
  let fault: { error: unknown } | null = null;
  let count = 0;
  for (const request of requests) {
    const dueMs = start + (count++ * 1000) / rate;
    const earlyMs = dueMs - clock();
    if (earlyMs > 0) await sleep(earlyMs, signal);
    while (inFlight.size >= clients) await Promise.race(inFlight);
    if (fault !== null) break;
    const sent = send(request, dueMs).catch((error: unknown) => {
      fault ??= { error };
    }).finally(() => inFlight.delete(sent));
    inFlight.add(sent);
  }
  await Promise.all(inFlight);
  throwFault(fault);
}

function throwFault(fault: { error: unknown } | null): void {
  if (fault !== null) throw fault.error;
}

/** Waits for all, then throws the first failure: nothing keeps running unnoticed. */
async function settle(all: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(all)).find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}
