/** A whole gateway over fake endpoints, in this process, with short times. */
import { startFake } from "../fake_endpoint.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { planFromDecision, type RouterState } from "../../lib/select/route/router_plan.ts";
import { makeRouter } from "../../lib/select/route/router.ts";
import { Access, type AccessRules } from "../../lib/openai/access.ts";
import { RetryBudget, type ServedRequest } from "../../lib/serve/fallback.ts";
import { gateway, type GatewayOptions } from "../../lib/serve/gateway.ts";
import { type GatewayModel, GatewayModels, serviceModel } from "../../lib/serve/served_models.ts";
import { DEFAULT_LIMITS, serveHttp, type ServerLimits } from "../../lib/openai/server.ts";
import { GatewayMetrics } from "../../lib/serve/gateway_metrics.ts";
import { Routing } from "../../lib/serve/routing.ts";
import { seededRandom } from "../../lib/stats/random.ts";

type FakeModel = Parameters<typeof startFake>[0];

export interface SetUp {
  /** One fake endpoint for each model. */
  readonly models?: Record<string, FakeModel>;
  /** Further models, or instead of them. */
  readonly served?: readonly GatewayModel[];
  readonly access?: Partial<AccessRules>;
  readonly limits?: Partial<ServerLimits>;
  readonly timeoutMs?: number;
  readonly firstByteMs?: number;
  readonly gapMs?: number;
  readonly attempts?: number;
  readonly failuresToOpen?: number;
  readonly waiting?: number;
  readonly slots?: number;
  readonly slo?: GatewayOptions["slo"];
  readonly state?: RouterState | null;
  readonly mode?: "constant" | "adaptive" | "by-intent";
  readonly onLearned?: () => void;
}

export const clock = () => performance.now();

/** Everything ends when it is disposed of. */
export async function setUp(given: SetUp) {
  const fakes = Object.entries(given.models ?? {}).map(([id, model]) => ({ id, fake: startFake(model) }));
  const client = timedClient({
    clock,
    fetch: (input, init) => fetch(input, { ...init, redirect: "manual" }),
  });
  const made = fakes.map(({ id, fake }) =>
    serviceModel({
      id,
      names: [`${id}-too`],
      candidate: `${id}@fake`,
      capabilities: id.includes("code") ? ["code"] : [],
      endpoint: { name: "fake", baseUrl: fake.baseUrl, apiKey: "upstream-secret" },
      modelId: `${id}-there`,
      slots: given.slots ?? 64,
    })
  );
  const served = [...made, ...given.served ?? []];
  const records: ServedRequest[] = [];
  const faults: unknown[] = [];
  const models = new GatewayModels({
    breaker: { failuresToOpen: given.failuresToOpen ?? 3, openMs: 60_000 },
    waiting: given.waiting ?? 500,
    clock,
  });
  models.serve(served);
  const routing = new Routing({
    make: (arms, state) => {
      const ids = arms.map(({ id }) => id);
      const plan = planFromDecision(null, ids, { mode: given.mode ?? "constant" });
      return makeRouter({ ...plan, constant: ids[0] ?? null }, arms, state, seededRandom(1));
    },
    state: given.state ?? null,
    now: () => 1_700_000_000,
    onLearned: given.onLearned ?? (() => {}),
  });
  routing.serve(served.map(({ candidate, capabilities }) => ({ id: candidate, capabilities })));
  const metrics = new GatewayMetrics();
  let ids = 0;
  const handler = gateway({
    models,
    routing,
    access: new Access({ host: "127.0.0.1", apiKey: null, cors: [], ...given.access }),
    metrics,
    retries: new RetryBudget(0.2, 10),
    attempts: given.attempts ?? 3,
    timeoutMs: given.timeoutMs ?? 10_000,
    streamLimits: { firstByteMs: given.firstByteMs ?? 5000, gapMs: given.gapMs ?? 5000 },
    limits: { ...DEFAULT_LIMITS, ...given.limits },
    post: client.post,
    clock,
    slo: given.slo ?? { ttft_s: null, e2e_s: null },
    refresh: () => Promise.resolve(),
    onRequest: (record) => records.push(record),
    randomId: () => `id${++ids}`,
    startedAt: 1_700_000_000,
    gauges: () => [],
  });
  const server = await serveHttp(handler, {
    hostname: "127.0.0.1",
    port: 0,
    clock,
    onFault: (error) => faults.push(error),
    ...(given.limits === undefined ? {} : { limits: given.limits }),
  });
  const origin = `http://127.0.0.1:${server.port}`;
  return {
    origin,
    port: server.port,
    models,
    records,
    faults,
    server,
    fakes: Object.fromEntries(fakes.map(({ id, fake }) => [id, fake])),
    get: async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(origin + path, { headers });
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    post: (body: unknown, init: RequestInit & { path?: string } = {}) =>
      fetch(`${origin}${init.path ?? "/v1/chat/completions"}`, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init,
      }),
    async [Symbol.asyncDispose]() {
      await server.close();
      client.close();
      await Promise.all(fakes.map(({ fake }) => fake.stop()));
    },
  };
}

export async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** Sends bytes as they are and reads until the other side closes. */
export async function rawExchange(port: number, text: string): Promise<string> {
  using socket = await Deno.connect({ hostname: "127.0.0.1", port });
  await socket.write(new TextEncoder().encode(text));
  const parts: string[] = [];
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  for (let n = await socket.read(buffer); n !== null; n = await socket.read(buffer)) {
    parts.push(decoder.decode(buffer.subarray(0, n), { stream: true }));
  }
  return parts.join("");
}
