/** Builds the gateway, listens, and stops everything together. */
import process from "node:process";
import { EMBEDDED } from "../../lib/bench/candidate_name.ts";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { socketTargets } from "../../lib/endpoint/loopback.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { parseEndpoint } from "../../lib/services/discovery.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { Access, isLoopbackHost } from "../../lib/openai/access.ts";
import { RetryBudget, type ServedRequest } from "../../lib/serve/fallback.ts";
import { gateway, type GatewayOptions } from "../../lib/serve/gateway.ts";
import { DEFAULT_LIMITS, type HttpServer, serveHttp, type ServerLimits } from "../../lib/openai/server.ts";
import { GatewayMetrics } from "../../lib/serve/gateway_metrics.ts";
import { GatewayModels } from "../../lib/serve/served_models.ts";
import { interrupted, interruptSignal, printJson, realClock } from "../cli.ts";
import { sessionResources } from "../session_resources.ts";
import type { ServeSettings } from "./settings.ts";
import type { Engines } from "./engines.ts";
import { jsonLog, type Log, loggedRequest, NO_LOG } from "./log.ts";
import { type OpenRouting, openRouting } from "./routing.ts";
import { endpointsOf, ServedServices } from "./services.ts";

/** Serves until Ctrl-C; returns the exit code. */
export async function serve(names: readonly string[], settings: ServeSettings): Promise<number> {
  checkSettings(settings);
  const note = (text: string) => console.error(text);
  await using opened = new AsyncDisposableStack();
  const log = settings.log === "json" ? jsonLog(Deno.stderr) : NO_LOG;
  opened.defer(log.flush);
  const client = timedClient({
    clock: realClock,
    accepts: socketTargets(Deno.env),
    fetch: (input, init) => fetch(input, { ...init, redirect: "manual" }),
  });
  opened.defer(client.close);
  const services = new ServedServices(endpointsOf(settings.endpoint ?? [], Deno.env), {
    registry: await loadRegistry(settings.registry),
    fetch,
    slots: settings.slots,
  });
  const metrics = new GatewayMetrics();
  const routing = await openRouting(settings, note);
  opened.defer(routing.close);
  const engines = await enginesFor(names, settings, { choice: routing.choice, metrics });
  opened.defer(engines.stop);
  const models = new GatewayModels({
    breaker: { failuresToOpen: settings.failures, openMs: settings.openFor * 1000 },
    waiting: settings.queue,
    clock: realClock,
  });
  const refresh = await serveModels(models, routing, { engines, services, note });
  const tools = { post: client.post, clock: realClock, models, metrics };
  const server = await listen(
    { ...tools, refresh, ...gatewaySettings(settings, routing, log) },
    settings,
    log,
  );
  opened.defer(() => server.close());
  if (settings.keepWarm !== undefined) {
    const { keepWarm } = await import("../../lib/serve/keep_warm.ts");
    opened.defer(keepWarm(settings.keepWarm * 1000, { ...tools, fetch }));
  }
  announce(server.port, models, settings);
  await interrupted();
  return 130;
}

/** The code of engines is not loaded where only services are served. */
async function enginesFor(
  names: readonly string[],
  settings: ServeSettings,
  { choice, metrics }: { readonly choice: string | null; readonly metrics: GatewayMetrics },
): Promise<Engines> {
  const wanted = names.length > 0 ? names : namesFromDecision(choice, settings);
  if (wanted.length === 0 && (settings.endpoint ?? []).length > 0) {
    return { models: [], stop: () => Promise.resolve() };
  }
  const { openEngines } = await import("./engines.ts");
  return await openEngines(wanted, settings, { resources: await sessionResources(settings), metrics });
}

/**
 * Serves the models that engines and services have now; the function returned reads the services' lists again.
 *
 * @throws {UserError} where there is none
 */
async function serveModels(
  models: GatewayModels,
  { routing }: OpenRouting,
  { engines, services, note }: {
    readonly engines: Engines;
    readonly services: ServedServices;
    readonly note: (text: string) => void;
  },
): Promise<() => Promise<void>> {
  const signal = interruptSignal();
  const serveThem = () => {
    const served = [...engines.models, ...services.models()];
    models.serve(served);
    routing.serve(served.map(({ candidate, capabilities }) => ({ id: candidate, capabilities })));
  };
  const problems = await services.refresh(signal);
  serveThem();
  if (problems.length > 0 && models.all().length === 0) {
    throw new UserError(`nothing to serve: ${problems.join("; ")}`, 1);
  }
  for (const problem of problems) note(`${problem}. Its models are served as soon as it answers`);
  return atMostEvery(5000, async () => {
    for (const change of await services.refresh(signal)) note(change);
    serveThem();
  });
}

/** What the flags, the routing and the log set in the gateway and its server. */
function gatewaySettings(settings: ServeSettings, { routing, slo }: OpenRouting, log: Log) {
  return {
    limits: {
      ...DEFAULT_LIMITS,
      bodyBytes: settings.maxBody * 1024 * 1024,
      connections: settings.connections,
    },
    routing,
    slo,
    access: new Access({ host: settings.host, apiKey: settings.apiKey ?? null, cors: settings.cors ?? [] }),
    retries: new RetryBudget(settings.retryBudget, Math.max(10, settings.retryBudget * 100)),
    attempts: settings.attempts,
    timeoutMs: settings.timeout * 1000,
    streamLimits: { firstByteMs: settings.firstByte * 1000, gapMs: settings.gap * 1000 },
    onRequest: settings.log === "off"
      ? () => {}
      : (record: ServedRequest) => log.write("request", loggedRequest(record, settings.logPrompts === true)),
    randomId: idMaker(),
    startedAt: Math.floor(Date.now() / 1000),
    gauges: processGauges,
  };
}

/**
 * The model that the decision chose, with its variant and engine options, where this machine runs it.
 *
 * @throws {UserError} where it is a service's, and that service is not given
 */
function namesFromDecision(
  choice: string | null,
  { endpoint = [], decision }: ServeSettings,
): readonly string[] {
  if (choice === null) return [];
  const at = choice.lastIndexOf("@");
  const service = choice.slice(at + 1);
  if (at < 0 || service === EMBEDDED) return [choice];
  if (endpoint.some((text) => parseEndpoint(text).name === service)) return [];
  throw new UserError(
    `--decision ${decision} chose ${choice}: give its service too, as in --endpoint ${service}=http://HOST:PORT/v1, ` +
      "or name the models to serve",
  );
}

/** @throws {UserError} for settings that would open this machine to strangers */
function checkSettings({ host, apiKey, logPrompts, log }: ServeSettings): void {
  if (apiKey !== undefined && apiKey.length < 8) {
    throw new UserError("--api-key is shorter than 8 characters: give a long random one");
  }
  if (!isLoopbackHost(host) && apiKey === undefined) {
    throw new UserError(
      `--host ${host} accepts requests from other machines: give --api-key (or PODIUM_API_KEY) that they must send, ` +
        "or leave --host at 127.0.0.1",
    );
  }
  if (logPrompts && log === "off") throw new UserError("--log-prompts needs --log json");
}

async function listen(
  options: GatewayOptions & { readonly limits: ServerLimits },
  { host, port }: ServeSettings,
  log: Log,
): Promise<HttpServer> {
  const onFault = (error: unknown) => {
    if (log === NO_LOG) return console.error(error);
    log.write("fault", { error: error instanceof Error ? error.stack ?? error.message : String(error) });
  };
  const { limits } = options;
  try {
    return await serveHttp(gateway(options), { hostname: host, port, clock: realClock, limits, onFault });
  } catch (error) {
    throw new UserError(
      `--host ${host} --port ${port} can't be listened on (${reasonOf(error)}): ` +
        "end the program that uses it, or give another port (0 takes any free one)",
    );
  }
}

/** Shares one run among all who wait for it, and starts none sooner than `ms` after the last. */
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

function announce(port: number, models: GatewayModels, { host, json }: ServeSettings): void {
  const name = host.includes(":") ? `[${host}]` : host;
  const url = `http://${name}:${port}/v1`;
  const served = models.all().map(({ model }) => model);
  if (json) {
    printJson({
      url,
      models: served.map(({ id, candidate, ownedBy, availability }) => ({
        id,
        candidate,
        endpoint: ownedBy,
        state: availability().kind,
      })),
    });
  } else {
    const count = `${served.length} model${served.length === 1 ? "" : "s"}`;
    console.error(`Serving ${count} and "auto" at ${url} (Ctrl-C ends it)`);
  }
}

/** Ids unique to this start of the gateway; a random one per request would cost more than the rest of its handling. */
function idMaker(): () => string {
  const start = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
  let made = 0;
  return () => `${start}${(++made).toString(36).padStart(6, "0")}`;
}
