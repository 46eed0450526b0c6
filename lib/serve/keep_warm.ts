/** Keeps used models warm: services unload a model that is idle, and caches expire. */
import type { Clock, Fetch } from "../clock.ts";
import type { GatewayMetrics } from "./gateway_metrics.ts";
import type { GatewayModels, QueuedModel } from "./served_models.ts";

export interface KeepWarmTools {
  readonly models: GatewayModels;
  readonly metrics: GatewayMetrics;
  readonly fetch: Fetch;
  readonly clock: Clock;
}

const LONGEST_MS = 120_000;

/**
 * Sends a request for one token to every model that was used and then had no request for `idleMs`. It leaves
 * out models that are busy, unloaded or failing, and reports neither to the router nor to the breaker.
 * Returns the function that ends it.
 *
 * ```ts ignore
 * const stop = keepWarm(240_000, { models, metrics, fetch, clock });
 * stop();
 * ```
 */
export function keepWarm(idleMs: number, tools: KeepWarmTools): () => void {
  const warming = new Set<string>();
  const check = () => {
    for (const queued of tools.models.all()) {
      const { candidate } = queued.model;
      if (warming.has(candidate) || !isIdle(queued, idleMs, tools.clock())) continue;
      warming.add(candidate);
      void warm(queued, tools).finally(() => warming.delete(candidate));
    }
  };
  const timer = setInterval(check, Math.min(idleMs / 4, 10_000));
  return () => clearInterval(timer);
}

function isIdle({ model, breaker, queue, usedMs }: QueuedModel, idleMs: number, nowMs: number): boolean {
  return usedMs !== null && nowMs - usedMs >= idleMs && queue.busy === 0 && breaker.state() === "closed" &&
    model.availability().kind === "up";
}

async function warm(queued: QueuedModel, { fetch, clock, metrics }: KeepWarmTools): Promise<void> {
  const signal = AbortSignal.timeout(LONGEST_MS);
  queued.usedMs = clock();
  let outcome = "failed";
  let release = () => {};
  try {
    const lease = await queued.model.lease(signal);
    release = lease.release;
    const { baseUrl, apiKey, modelId } = lease.endpoint;
    const response = await fetch(`${baseUrl}/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ model: modelId, messages: [{ role: "user", content: "Hi" }], max_tokens: 1 }),
      redirect: "manual",
      signal,
    });
    await response.arrayBuffer();
    if (response.status === 200) outcome = "answered";
  } catch {
    // The next request of a client shows whether the model can answer, and is counted.
  } finally {
    release();
  }
  metrics.count("podium_keep_warm_total", { model: queued.model.id, outcome });
}
