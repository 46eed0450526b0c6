/** Puts the gateway together, listens, and ends everything together. */
import process from "node:process";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { socketTargets } from "../../lib/endpoint/loopback.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { accessFor, isLoopbackHost } from "../../lib/openai/access.ts";
import type { Backend } from "../../lib/serve/backends.ts";
import { Deadlines } from "../../lib/serve/deadlines.ts";
import { Desks } from "../../lib/serve/desks.ts";
import { gateway, type GatewayOptions } from "../../lib/serve/gateway.ts";
import { type HttpServer, serveHttp } from "../../lib/openai/http_server.ts";
import { Metrics } from "../../lib/serve/metrics.ts";
import { RetryBudget } from "../../lib/serve/retry_budget.ts";
import { interruptSignal, printJson, realClock } from "../cli.ts";
import type { ServeSettings } from "../serve.ts";
import { jsonLog, type Log, loggedRequest, NO_LOG } from "./log.ts";
import { openRouting } from "./routing.ts";
import { endpointsOf, upstreams } from "./upstreams.ts";

/** Serves until Ctrl-C; returns the exit code. */
export async function serve(names: readonly string[], settings: ServeSettings): Promise<number> {
  const signal = interruptSignal();
  checkSettings(settings);
  const registry = await loadRegistry(settings.registry);
  const transport = timedClient({ clock: realClock, fetch, accepts: socketTargets(Deno.env) });
  const log = settings.log === "json" ? jsonLog(Deno.stderr) : NO_LOG;
  const note = (text: string) => console.error(text);
  const services = upstreams(endpointsOf(settings.endpoint ?? [], Deno.env), {
    registry,
    fetch,
    slots: settings.slots,
    note,
  });
  const metrics = new Metrics();
  const routing = await openRouting(settings, note);
  // Engines are loaded code too: it stays away where only services are served.
  const wantsEngines = names.length > 0 || (settings.endpoint ?? []).length === 0;
  const engines = wantsEngines
    ? await (await import("./engines.ts")).openEngines(names, settings, { registry, metrics, note, signal })
    : null;
  let server: HttpServer | undefined;
  let stopKeepingWarm = () => {};
  try {
    const desks = new Desks({
      breaker: { failuresToOpen: settings.failures, openMs: settings.openFor * 1000 },
      waiting: settings.queue,
      clock: realClock,
    });
    const take = () => {
      const backends: Backend[] = [...engines?.backends ?? [], ...services.backends()];
      desks.serve(backends);
      routing.routing.serve(backends.map(({ candidate, capabilities }) => ({ id: candidate, capabilities })));
    };
    await services.look(signal);
    take();
    const lookAgain = atMostEvery(5000, async () => {
      await services.look(signal);
      take();
    });
    const tools = { post: transport.post, clock: realClock, deadlines: new Deadlines(realClock) };
    const options: GatewayOptions = {
      ...tools,
      desks,
      routing: routing.routing,
      access: accessFor({ host: settings.host, apiKey: settings.apiKey ?? null, cors: settings.cors ?? [] }),
      metrics,
      retries: new RetryBudget(settings.retryBudget, Math.max(10, settings.retryBudget * 100)),
      attempts: settings.attempts,
      timeoutMs: settings.timeout * 1000,
      patience: { firstByteMs: settings.firstByte * 1000, gapMs: settings.gap * 1000 },
      slo: routing.slo,
      lookAgain,
      onRequest: settings.log === "off"
        ? () => {}
        : (record) => log.write("request", loggedRequest(record, settings.logPrompts === true)),
      randomId: idMaker(),
      startedAt: Math.floor(Date.now() / 1000),
      gauges: processGauges,
    };
    server = open(options, settings, log);
    if (settings.keepWarm !== undefined) {
      const { keepWarm } = await import("../../lib/serve/keep_warm.ts");
      stopKeepingWarm = keepWarm(settings.keepWarm * 1000, { ...tools, desks, metrics });
    }
    announce(server.port, desks, settings);
    await interrupted(signal);
    return 130;
  } finally {
    stopKeepingWarm();
    await server?.close();
    transport.close();
    await Promise.all([engines?.stop(), routing.close(), log.flush()]);
  }
}

/** @throws {UserError} for settings that would open this machine to strangers */
function checkSettings({ host, apiKey, logPrompts, log }: ServeSettings): void {
  if (apiKey !== undefined && apiKey.length < 8) {
    throw new UserError("--api-key is shorter than 8 characters: give a long random one");
  }
  if (!isLoopbackHost(host) && apiKey === undefined) {
    throw new UserError(
      `--host ${host} lets other machines in: give --api-key (or PODIUM_API_KEY) that they must send, ` +
        "or leave --host at 127.0.0.1",
    );
  }
  if (logPrompts && log === "off") throw new UserError("--log-prompts needs --log json");
}

function open(
  options: GatewayOptions,
  { host, port, maxBody, connections }: ServeSettings,
  log: Log,
): HttpServer {
  try {
    return serveHttp(gateway(options), {
      hostname: host,
      port,
      clock: realClock,
      limits: { bodyBytes: maxBody * 1024 * 1024, connections },
      onFault: (error) => {
        if (log === NO_LOG) console.error(error);
        else {log.write("fault", {
            error: error instanceof Error ? error.stack ?? error.message : String(error),
          });}
      },
    });
  } catch (error) {
    throw new UserError(
      `--host ${host} --port ${port} can't be listened on (${reasonOf(error)}): ` +
        "end what uses it, or give another port (0 takes any that is free)",
    );
  }
}

/** Many may ask at once: they share one look, and none is taken sooner than `ms` after the last. */
function atMostEvery(ms: number, work: () => Promise<void>): () => Promise<void> {
  let lastMs = realClock();
  let running: Promise<void> | null = null;
  return async () => {
    if (running === null && realClock() - lastMs < ms) return;
    running ??= work().finally(() => {
      lastMs = realClock();
      running = null;
    });
    await running;
  };
}

function processGauges() {
  const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
  const gauge = (name: string, help: string, value: number) => ({
    name,
    help,
    values: [{ labels: {}, value }],
  });
  return [
    gauge("process_resident_memory_bytes", "Resident memory of the gateway itself.", rss),
    gauge("process_heap_bytes", "JavaScript heap of the gateway.", heapTotal),
    gauge("process_heap_used_bytes", "Its part that is in use.", heapUsed),
    gauge("process_external_bytes", "Buffers outside of that heap.", external),
  ];
}

function announce(port: number, desks: Desks, { host, json }: ServeSettings): void {
  const name = host.includes(":") ? `[${host}]` : host;
  const url = `http://${name}:${port}/v1`;
  const backends = desks.all().map(({ backend }) => backend);
  if (json) {
    printJson({
      url,
      models: backends.map(({ id, candidate, ownedBy, standing }) => ({
        id,
        candidate,
        endpoint: ownedBy,
        state: standing().kind,
      })),
    });
  } else {
    const count = `${backends.length} model${backends.length === 1 ? "" : "s"}`;
    console.error(`Serving ${count} and "auto" at ${url} (Ctrl-C ends it)`);
  }
}

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Ids that no other start of a gateway makes again; drawing each one anew would cost more than the rest of it. */
function idMaker(): () => string {
  const start = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
  let made = 0;
  return () => `${start}${(++made).toString(36).padStart(6, "0")}`;
}
