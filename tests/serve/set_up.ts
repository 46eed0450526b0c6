/** A whole gateway over fake endpoints, in this process, with short times. */
import { startFake } from "../fake_endpoint.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { planFromDecision } from "../../lib/select/route/router_plan.ts";
import { makeRouter, type RouterState } from "../../lib/select/route/router.ts";
import { accessFor, type AccessRules } from "../../lib/openai/access.ts";
import { type Backend, upstream } from "../../lib/serve/backends.ts";
import { Deadlines } from "../../lib/serve/deadlines.ts";
import { Desks } from "../../lib/serve/desks.ts";
import { gateway, type GatewayOptions, type RequestRecord } from "../../lib/serve/gateway.ts";
import { serveHttp, type ServerLimits } from "../../lib/openai/http_server.ts";
import { Metrics } from "../../lib/serve/metrics.ts";
import { RetryBudget } from "../../lib/serve/retry_budget.ts";
import { Routing } from "../../lib/serve/routing.ts";
import { seededRandom } from "../../lib/stats/random.ts";

type FakeModel = Parameters<typeof startFake>[0];

export interface SetUp {
  /** One fake endpoint for each model. */
  readonly models?: Record<string, FakeModel>;
  /** Further backends, or instead of them. */
  readonly backends?: readonly Backend[];
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
export function setUp(given: SetUp) {
  const fakes = Object.entries(given.models ?? {}).map(([id, model]) => ({ id, fake: startFake(model) }));
  const transport = timedClient({ clock, fetch });
  const made = fakes.map(({ id, fake }) =>
    upstream({
      id,
      names: [`${id}-too`],
      candidate: `${id}@fake`,
      capabilities: id.includes("code") ? ["code"] : [],
      endpoint: { name: "fake", baseUrl: fake.baseUrl, apiKey: "upstream-secret" },
      modelId: `${id}-there`,
      slots: given.slots ?? 64,
    })
  );
  const backends = [...made, ...given.backends ?? []];
  const records: RequestRecord[] = [];
  const faults: unknown[] = [];
  const desks = new Desks({
    breaker: { failuresToOpen: given.failuresToOpen ?? 3, openMs: 60_000 },
    waiting: given.waiting ?? 500,
    clock,
  });
  desks.serve(backends);
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
  routing.serve(backends.map(({ candidate, capabilities }) => ({ id: candidate, capabilities })));
  const metrics = new Metrics();
  let ids = 0;
  const handler = gateway({
    desks,
    routing,
    access: accessFor({ host: "127.0.0.1", apiKey: null, cors: [], ...given.access }),
    metrics,
    retries: new RetryBudget(0.2, 10),
    attempts: given.attempts ?? 3,
    timeoutMs: given.timeoutMs ?? 10_000,
    patience: { firstByteMs: given.firstByteMs ?? 5000, gapMs: given.gapMs ?? 5000 },
    post: transport.post,
    clock,
    deadlines: new Deadlines(clock, 10),
    slo: given.slo ?? { ttft_s: null, e2e_s: null },
    lookAgain: () => Promise.resolve(),
    onRequest: (record) => records.push(record),
    randomId: () => `id${++ids}`,
    startedAt: 1_700_000_000,
    gauges: () => [],
  });
  const server = serveHttp(handler, {
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
    desks,
    upstreamPost: transport.post,
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
      transport.close();
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
