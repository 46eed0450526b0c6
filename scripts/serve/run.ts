/** Builds the gateway, listens, and stops everything together. */
import process from "node:process";
import { EMBEDDED } from "../../lib/bench/candidate_name.ts";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { socketTargets } from "../../lib/endpoint/loopback.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { parseEndpoint } from "../../lib/services/discovery.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { accessFor, isLoopbackHost } from "../../lib/openai/access.ts";
import { RetryBudget } from "../../lib/serve/fallback.ts";
import { gateway, type GatewayOptions } from "../../lib/serve/gateway.ts";
import { DEFAULT_LIMITS, type HttpServer, serveHttp, type ServerLimits } from "../../lib/openai/server.ts";
import { GatewayMetrics } from "../../lib/serve/gateway_metrics.ts";
import { type GatewayModel, GatewayModels } from "../../lib/serve/served_models.ts";
import { interruptSignal, printJson, realClock } from "../cli.ts";
import { sessionResources } from "../session_resources.ts";
import type { ServeSettings } from "./settings.ts";
import { jsonLog, type Log, loggedRequest, NO_LOG } from "./log.ts";
import { openRouting } from "./routing.ts";
import { endpointsOf, serveServices } from "./services.ts";

/** Serves until Ctrl-C; returns the exit code. */
export async function serve(names: readonly string[], settings: ServeSettings): Promise<number> {
  const signal = interruptSignal();
  checkSettings(settings);
  const registry = await loadRegistry(settings.registry);
  const client = timedClient({
    clock: realClock,
    accepts: socketTargets(Deno.env),
    fetch: (input, init) => fetch(input, { ...init, redirect: "manual" }),
  });
  const log = settings.log === "json" ? jsonLog(Deno.stderr) : NO_LOG;
  const note = (text: string) => console.error(text);
  const services = serveServices(endpointsOf(settings.endpoint ?? [], Deno.env), {
    registry,
    fetch,
    slots: settings.slots,
  });
  const metrics = new GatewayMetrics();
  const routing = await openRouting(settings, note);
  // The code of engines is not loaded where only services are served.
  const wanted = names.length > 0 ? names : chosen(routing.choice, settings);
  const wantsEngines = wanted.length > 0 || (settings.endpoint ?? []).length === 0;
  const engines = wantsEngines
    ? await (await import("./engines.ts")).openEngines(wanted, settings, {
      resources: await sessionResources(settings),
      metrics,
    })
    : null;
  let server: HttpServer | undefined;
  let stopKeepingWarm = () => {};
  try {
    const models = new GatewayModels({
      breaker: { failuresToOpen: settings.failures, openMs: settings.openFor * 1000 },
      waiting: settings.queue,
      clock: realClock,
    });
    const take = () => {
      const served: GatewayModel[] = [...engines?.models ?? [], ...services.models()];
      models.serve(served);
      routing.routing.serve(served.map(({ candidate, capabilities }) => ({ id: candidate, capabilities })));
    };
    const problems = await services.refresh(signal);
    take();
    if (problems.length > 0 && models.all().length === 0) {
      throw new UserError(`nothing to serve: ${problems.join("; ")}`, 1);
    }
    for (const problem of problems) note(`${problem}. Its models are served as soon as it answers`);
    const refresh = atMostEvery(5000, async () => {
      for (const change of await services.refresh(signal)) note(change);
      take();
    });
    const tools = { post: client.post, clock: realClock, models };
    const limits = {
      ...DEFAULT_LIMITS,
      bodyBytes: settings.maxBody * 1024 * 1024,
      connections: settings.connections,
    };
    const options: GatewayOptions = {
      ...tools,
      limits,
      routing: routing.routing,
      access: accessFor({ host: settings.host, apiKey: settings.apiKey ?? null, cors: settings.cors ?? [] }),
      metrics,
      retries: new RetryBudget(settings.retryBudget, Math.max(10, settings.retryBudget * 100)),
      attempts: settings.attempts,
      timeoutMs: settings.timeout * 1000,
      streamLimits: { firstByteMs: settings.firstByte * 1000, gapMs: settings.gap * 1000 },
      slo: routing.slo,
      refresh,
      onRequest: settings.log === "off"
        ? () => {}
        : (record) => log.write("request", loggedRequest(record, settings.logPrompts === true)),
      randomId: idMaker(),
      startedAt: Math.floor(Date.now() / 1000),
      gauges: processGauges,
    };
    server = await open(options, settings, limits, log);
    if (settings.keepWarm !== undefined) {
      const { keepWarm } = await import("../../lib/serve/keep_warm.ts");
      stopKeepingWarm = keepWarm(settings.keepWarm * 1000, { ...tools, fetch, metrics });
    }
    announce(server.port, models, settings);
    await interrupted(signal);
    return 130;
  } finally {
    stopKeepingWarm();
    await server?.close();
    client.close();
    await Promise.all([engines?.stop(), routing.close(), log.flush()]);
  }
}

/**
 * The model that the decision chose, with its variant and engine options, where this machine runs it.
 *
 * @throws {UserError} where it is a service's, and that service is not given
 */
function chosen(choice: string | null, { endpoint = [], decision }: ServeSettings): readonly string[] {
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

async function open(
  options: GatewayOptions,
  { host, port }: ServeSettings,
  limits: ServerLimits,
  log: Log,
): Promise<HttpServer> {
  const onFault = (error: unknown) => {
    if (log === NO_LOG) return console.error(error);
    log.write("fault", { error: error instanceof Error ? error.stack ?? error.message : String(error) });
  };
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

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Ids unique to this start of the gateway; a random one per request would cost more than the rest of its handling. */
function idMaker(): () => string {
  const start = crypto.randomUUID().replaceAll("-", "").slice(0, 16);
  let made = 0;
  return () => `${start}${(++made).toString(36).padStart(6, "0")}`;
}
