/** What misbehaving clients do to an honest one: its waits without them and with them, in turns. */
import { timedClient } from "../lib/endpoint/timed_client.ts";
import { quantile } from "../lib/stats/quantile.ts";
import { interruptSignal, realClock, realSleep } from "../scripts/cli.ts";
import { startFakeProcess } from "../lib/selfcheck/fake_process.ts";
import { startGateway } from "./gateway_proxies.ts";

export interface HostileBench {
  readonly kind: "hostile";
  readonly misbehaving: number;
  readonly requests: number;
  /** Waits of the honest client for whole short streams. */
  readonly alone_ms: { readonly p50: number; readonly p99: number };
  readonly among_ms: { readonly p50: number; readonly p99: number };
  readonly failed: number;
  readonly memory_mb: number | null;
}

export const percentiles = (values: readonly number[]) => ({
  p50: quantile(values, 0.5),
  p99: quantile(values, 0.99),
});

const TURNS = 6;
/** Attempts per client. */
const PAUSE_MS = 250;

const encoder = new TextEncoder();
const BODY = JSON.stringify({ model: "flood", stream: true, messages: [{ role: "user", content: "hello" }] });
const POST = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n";

/** What one misbehaving client sends before it waits, and then goes away without a word. */
const MISBEHAVIOURS: readonly string[] = [
  "GET /v1/mod",
  `${POST}Content-Length: 100000\r\n\r\n{"model":`,
  `${POST}Content-Length: ${BODY.length}\r\n\r\n${BODY}`,
  "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".repeat(64),
  `${POST}Content-Length: 20000\r\n\r\n${"[".repeat(20_000)}`,
  "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n",
  "hello\r\n\r\n",
  `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
];

/** The honest client asks for short streams one after the other; the others pause between two tries. */
export async function hostileServe(misbehaving: number, requests: number): Promise<HostileBench> {
  await using fake = await startFakeProcess({ models: { flood: { tokens: 16, ttftMs: 5, log: "nothing" } } });
  await using gateway = await startGateway(fake.baseUrl);
  const client = timedClient({ clock: realClock, fetch });
  const url = `${gateway.baseUrl}/chat/completions`;
  const honest = () => honestWaits(client, url, requests / TURNS);
  const waits = { alone: [] as number[], among: [] as number[] };
  let failed = (await honest()).failed;
  for (let turn = 0; turn < TURNS; turn++) {
    console.error(`turn ${turn + 1} of ${TURNS}`);
    const alone = await honest();
    const port = Number(new URL(gateway.baseUrl).port);
    const others = new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "--allow-all", import.meta.filename ?? "", String(port), String(misbehaving)],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await realSleep(1000);
    const among = await honest();
    others.kill("SIGKILL");
    await others.status;
    waits.alone.push(...alone.waitsMs);
    waits.among.push(...among.waitsMs);
    failed += alone.failed + among.failed;
  }
  const memory = await gateway.memoryMb();
  client.close();
  return {
    kind: "hostile",
    misbehaving,
    requests: waits.among.length,
    alone_ms: percentiles(waits.alone),
    among_ms: percentiles(waits.among),
    failed,
    memory_mb: memory,
  };
}

/** Short streams, one after the other. */
async function honestWaits(client: ReturnType<typeof timedClient>, url: string, count: number) {
  const waitsMs: number[] = [];
  let failed = 0;
  for (let i = 0; i < count; i++) {
    interruptSignal().throwIfAborted();
    const startMs = realClock();
    const response = client.post(url, undefined, BODY);
    try {
      const { status } = await response.head();
      while (await response.next() !== null);
      if (status === 200) waitsMs.push(realClock() - startMs);
      else failed++;
    } catch {
      failed++;
    }
  }
  return { waitsMs, failed };
}

async function misbehave(port: number, number: number, clients: number): Promise<never> {
  const bytes = encoder.encode(MISBEHAVIOURS[number % MISBEHAVIOURS.length]);
  // Clients that know nothing of each other don't try all at the same moment.
  await realSleep(number / clients * 2 * PAUSE_MS);
  while (true) {
    try {
      using socket = await Deno.connect({ hostname: "127.0.0.1", port });
      const writing = (async () => {
        for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
      })().catch(() => {});
      await Promise.race([writing, realSleep(PAUSE_MS)]);
      await realSleep(PAUSE_MS);
    } catch {
      await realSleep(PAUSE_MS);
    }
  }
}

// A process of its own: the honest client shares nothing with the others but the gateway and the machine.
if (import.meta.main) {
  const [port = 0, clients = 0] = Deno.args.map(Number);
  await Promise.all(Array.from({ length: clients }, (_, i) => misbehave(port, i, clients)));
}
