/** Keeps models warm that were used: services unload what nobody asks for, and caches grow cold. */
import { timedBody, type TimedInit } from "../endpoint/timed_body.ts";
import type { Desk, Desks } from "./desks.ts";
import type { Metrics } from "./metrics.ts";
import type { RelayTools } from "./relay.ts";

export interface KeepWarmTools extends Pick<RelayTools, "fetch" | "clock" | "deadlines"> {
  readonly desks: Desks;
  readonly metrics: Metrics;
}

const LONGEST_MS = 120_000;

/**
 * Asks every model that has been used for one token after `idleMs` without a request. Never one that is busy,
 * asleep or failing; neither the router nor the breaker hears of it. Returns the function that ends it.
 *
 * ```ts ignore
 * const stop = keepWarm(240_000, { desks, metrics, fetch, clock, deadlines });
 * stop();
 * ```
 */
export function keepWarm(idleMs: number, tools: KeepWarmTools): () => void {
  const busy = new Set<string>();
  const look = () => {
    for (const desk of tools.desks.all()) {
      const { candidate } = desk.backend;
      if (busy.has(candidate) || !isIdle(desk, idleMs, tools.clock())) continue;
      busy.add(candidate);
      void ask(desk, tools).finally(() => busy.delete(candidate));
    }
  };
  const timer = setInterval(look, Math.min(idleMs / 4, 10_000));
  return () => clearInterval(timer);
}

function isIdle({ backend, breaker, line, usedMs }: Desk, idleMs: number, nowMs: number): boolean {
  return usedMs !== null && nowMs - usedMs >= idleMs && line.busy === 0 && breaker.state() === "closed" &&
    backend.standing().kind === "up";
}

async function ask(desk: Desk, { fetch, clock, deadlines, metrics }: KeepWarmTools): Promise<void> {
  const stop = new AbortController();
  const deadline = deadlines.add({ atMs: clock() + LONGEST_MS, passed: () => stop.abort() });
  desk.usedMs = clock();
  let outcome = "failed";
  let release = () => {};
  try {
    const held = await desk.backend.hold(stop.signal);
    release = held.release;
    const { baseUrl, apiKey, modelId } = held.place;
    const init: TimedInit = {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ model: modelId, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 }),
      signal: stop.signal,
      timedOnly: true,
    };
    const response = await fetch(`${baseUrl}/chat/completions`, init);
    const body = timedBody(response, clock);
    while (await body.next() !== null);
    if (response.status === 200) outcome = "answered";
  } catch {
    // Whether it can answer shows in the next request of a client's: that one is judged.
  } finally {
    release();
    deadlines.drop(deadline);
  }
  metrics.count("podium_keep_warm_total", { model: desk.backend.id, outcome });
}
