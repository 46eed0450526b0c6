/** Keeps models warm that were used: services unload what nobody asks for, and caches grow cold. */
import { Stop } from "../openai/stop.ts";
import type { Desk, Desks } from "./desks.ts";
import type { Metrics } from "./metrics.ts";
import type { RelayTools } from "./relay.ts";

export interface KeepWarmTools extends Pick<RelayTools, "post" | "clock" | "deadlines"> {
  readonly desks: Desks;
  readonly metrics: Metrics;
}

const LONGEST_MS = 120_000;

/**
 * Asks every model that has been used for one token after `idleMs` without a request. Never one that is busy,
 * asleep or failing; neither the router nor the breaker hears of it. Returns the function that ends it.
 *
 * ```ts ignore
 * const stop = keepWarm(240_000, { desks, metrics, post, clock, deadlines });
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

async function ask(desk: Desk, { post, clock, deadlines, metrics }: KeepWarmTools): Promise<void> {
  const stop = new Stop();
  const deadline = deadlines.add({
    atMs: clock() + LONGEST_MS,
    passed: () => stop.now(new Error("too slow")),
  });
  desk.usedMs = clock();
  let outcome = "failed";
  let release = () => {};
  try {
    const held = await desk.backend.hold(stop);
    release = held.release;
    const { baseUrl, apiKey, modelId } = held.place;
    const body = { model: modelId, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 };
    const answer = post(`${baseUrl}/chat/completions`, apiKey, JSON.stringify(body));
    stop.onStop = (reason) => void answer.cancel(reason);
    const { status } = await answer.head();
    while (await answer.next() !== null);
    if (status === 200) outcome = "answered";
  } catch {
    // Whether it can answer shows in the next request of a client's: that one is judged.
  } finally {
    release();
    deadlines.drop(deadline);
  }
  metrics.count("podium_keep_warm_total", { model: desk.backend.id, outcome });
}
