/** Loads the models one after the other, listens, and ends everything together. */
import { type Choice, chooseCandidates, EMBEDDED } from "../../lib/bench/choose.ts";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore, type Store } from "../../lib/catalog/store.ts";
import { listen, type Listening } from "../../lib/engine/listen.ts";
import { prepareEngine, type RunningEngine, startEngine } from "../../lib/engine/supervisor.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { gateway } from "../../lib/serve/gateway.ts";
import { type Backend, type BackendState, routesByName } from "../../lib/serve/routes.ts";
import { interruptSignal, printJson, realClock } from "../cli.ts";
import { pullShown } from "../pull_progress.ts";
import type { ServeSettings } from "../serve.ts";

type Embedded = Extract<Choice, { kind: "embedded" }>;

interface Loaded {
  readonly choice: Embedded;
  readonly engine: RunningEngine;
}

/** Serves until Ctrl-C; returns the exit code. */
export async function serve(names: readonly string[], settings: ServeSettings): Promise<number> {
  const signal = interruptSignal();
  const registry = await loadRegistry(settings.registry);
  const store = await openStore(settings.store ?? defaultStore(Deno.env, Deno.build.os));
  const asked = names.length > 0 ? names : defaults(registry.models);
  const choices = chooseCandidates(asked.map(embeddedName), {
    registry,
    services: [],
    engine: optionsOf(settings),
  });
  const loaded: Loaded[] = [];
  let server: Listening | undefined;
  try {
    await prepareEngine({ denoPath: Deno.execPath() });
    for (const choice of choices) {
      if (choice.kind === "embedded") loaded.push(await load(choice, store, signal));
    }
    server = await open(loaded, settings);
    announce(server.port, loaded, settings);
    await interrupted(signal);
    return 130;
  } finally {
    await server?.close();
    await Promise.all(loaded.map(({ engine }) => engine.stop()));
  }
}

const embeddedName = (name: string) => name.endsWith(`@${EMBEDDED}`) ? name : `${name}@${EMBEDDED}`;

function defaults(models: readonly { alias: string; default: unknown }[]): string[] {
  const aliases = models.filter((entry) => entry.default === "always").map(({ alias }) => alias);
  if (aliases.length > 0) return aliases;
  throw new UserError("no model of the registry is marked as default: name the models to serve");
}

function optionsOf({ threads, context, gpu }: ServeSettings) {
  return {
    gpu,
    ...(threads === undefined ? {} : { threads }),
    ...(context === undefined ? {} : { contextTokens: context }),
  };
}

async function load(choice: Embedded, store: Store, signal: AbortSignal): Promise<Loaded> {
  const { entry, variant, engine, info } = choice;
  const modelPath = await pullShown(store, entry, variant, { signal });
  const running = await startEngine({
    modelPath,
    modelId: info.id,
    gpu: engine.gpu ?? "auto",
    ...(engine.threads === undefined ? {} : { threads: engine.threads }),
    ...(engine.contextTokens === undefined ? {} : { contextTokens: engine.contextTokens }),
    ...(engine.flashAttention === undefined ? {} : { flashAttention: engine.flashAttention }),
    denoPath: Deno.execPath(),
    clock: realClock,
    signal,
  });
  const { device, deviceNote, chatTemplate, loadMs, threads, contextTokens } = running;
  const template = chatTemplate === "plain" ? ", no chat template of its own: a plain one" : "";
  console.error(
    `${info.id}: loaded in ${(loadMs.totalMs / 1000).toFixed(1)} s on ${device}` +
      `${
        deviceNote === null ? "" : ` (${deviceNote})`
      }, ${threads} threads, ${contextTokens} tokens${template}`,
  );
  return { choice, engine: running };
}

function backendOf({ choice, engine }: Loaded, all: readonly Loaded[]): Backend {
  const { info, entry } = choice;
  // The short names belong to a model's first variant here; the full one is always its own.
  const first = all.find((other) => other.choice.entry === entry)?.choice === choice;
  const short = [
    entry.alias,
    ...entry.otherNames,
    ...(entry.foundryAlias === null ? [] : [entry.foundryAlias]),
  ];
  let state: BackendState = { kind: "up" };
  void engine.exited.then(({ code, signal }) => {
    state = { kind: "down", reason: `its engine ended (${signal ?? `exit code ${code}`})` };
  });
  return {
    id: first ? entry.alias : info.id,
    names: first ? [info.id, ...short] : [info.id],
    endpoint: engine.endpoint,
    modelId: info.id,
    about: {
      variant: info.variant,
      device: engine.device,
      chat_template: engine.chatTemplate,
      context_length: engine.contextTokens,
      license: info.license,
    },
    state: () => state,
  };
}

async function open(loaded: readonly Loaded[], { host, port }: ServeSettings): Promise<Listening> {
  const routes = routesByName(loaded.map((one) => backendOf(one, loaded)));
  const handler = gateway(routes, {
    fetch,
    startedAt: Math.floor(Date.now() / 1000),
    localOnly: isLocal(host),
  });
  try {
    return await listen(handler, host, port);
  } catch (error) {
    throw new UserError(
      `--host ${host} --port ${port} can't be listened on (${reasonOf(error)}): ` +
        "end what uses it, or give another port (0 takes any that is free)",
    );
  }
}

const isLocal = (host: string) => ["127.0.0.1", "localhost", "::1"].includes(host);

function announce(port: number, loaded: readonly Loaded[], { host, json }: ServeSettings): void {
  const name = host.includes(":") ? `[${host}]` : host;
  const url = `http://${name}:${port}/v1`;
  if (!isLocal(host)) console.error(`Everybody who can reach ${host} may use these models: there is no key.`);
  if (json) {
    printJson({
      url,
      models: loaded.map(({ choice, engine }) => ({ id: choice.info.id, device: engine.device })),
    });
  } else {console.error(
      `Serving ${loaded.length} model${loaded.length === 1 ? "" : "s"} at ${url} (Ctrl-C ends it)`,
    );}
}

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
