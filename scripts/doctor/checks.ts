/**
 * The workshop's prerequisites and its validation checklist, row by row: what was found, what is missing,
 * and the command that fixes it. The check changes nothing: no download, no setting.
 */
import type { SessionResources } from "../../lib/bench/session.ts";
import { listStored } from "../../lib/catalog/cache.ts";
import { describeMachine, type Machine } from "../../lib/catalog/machine.ts";
import { freeBytes } from "../../lib/catalog/files.ts";
import type { FoundService, ListedModel } from "../../lib/services/discovery.ts";
import { cliCommand, type FoundryCli, probeFoundryCli } from "../../lib/services/foundry_cli.ts";
import { SEARCH_TIMEOUT_MS } from "../session_resources.ts";
import { installFoundry, setVariable, type Shell } from "./shell.ts";

/**
 * One row. `ok`: as it should be; `note`: works without, or does not matter here; `missing`: a part of the
 * workshop can't be done; `failed`: something that was requested does not work.
 */
export interface Check {
  /** Stable name for programs. */
  readonly id: string;
  /** The line of the checklist, in the workshop's words. */
  readonly row: string;
  readonly status: "ok" | "note" | "missing" | "failed";
  readonly found: string;
  /** The command to type next; null where there is nothing to do. */
  readonly next: string | null;
}

/** What all checks read. */
export interface CheckResources
  extends Pick<SessionResources, "env" | "run" | "store" | "registry" | "signal"> {
  readonly os: string;
  readonly shell: Shell;
}

/** The workshop's requirement: "at least 15GB free disk for multiple model caches". */
const WORKSHOP_DISK_GB = 15;
/** What the session downloads. */
const WORKSHOP_TARGETS = ["mistral-7b", "gemma-2-2b", "qwen2.5-0.5b"] as const;

/** Disk, RAM, acceleration, Python: the session's prerequisites. */
export async function prerequisites(
  checkResources: CheckResources,
  cli: FoundryCli | null,
): Promise<Check[]> {
  return await Promise.all([
    disk(checkResources),
    ram(),
    acceleration(checkResources, cli),
    python(checkResources),
  ]);
}

async function disk({ store }: CheckResources): Promise<Check> {
  const free = await freeBytes(store.dir) / 1e9;
  const row = `disk: ${WORKSHOP_DISK_GB} GB for several models`;
  if (free >= WORKSHOP_DISK_GB) {
    return { id: "disk", row, status: "ok", found: `${free.toFixed(0)} GB free`, next: null };
  }
  return {
    id: "disk",
    row,
    status: "missing",
    found: `${free.toFixed(1)} GB free where models are kept: enough for small ones`,
    next: "deno task models fit",
  };
}

function ram(): Promise<Check> {
  const { total, available } = Deno.systemMemoryInfo();
  const found = `${(available / 2 ** 30).toFixed(1)} of ${(total / 2 ** 30).toFixed(1)} GB free`;
  const status = available < 1.5 * 2 ** 30 ? "missing" : "ok";
  return Promise.resolve({
    id: "ram",
    row: "RAM for a model",
    status,
    found,
    next: status === "ok" ? null : "deno task models fit",
  });
}

/** GPUs as the system reports them, WebGPU as this runtime sees it, providers from Foundry Local's settings. */
async function acceleration({ run, signal }: CheckResources, cli: FoundryCli | null): Promise<Check> {
  const [machine, webGpu, settings] = await Promise.all([
    within<Machine | null>(describeMachine(), null),
    within(webGpuAdapter(), null),
    cli === null ? null : run(["foundry", "config", "list"], { timeoutMs: SEARCH_TIMEOUT_MS, signal }),
  ]);
  const told = [...settings?.stdout.matchAll(/\b(\w+ExecutionProvider)\b/g) ?? []].map(([, name]) => name);
  const parts = [
    machine === null ? "the system was too slow to name its GPU" : machine.gpu.join(", ") || "no GPU seen",
    webGpu === null ? "no WebGPU" : `WebGPU: ${webGpu}`,
    ...(told.length === 0 ? [] : [`Foundry Local: ${[...new Set(told)].join(", ")}`]),
  ];
  const some = (machine?.gpu.length ?? 0) > 0 || webGpu !== null;
  return {
    id: "acceleration",
    row: "GPU or WebGPU acceleration (optional)",
    status: some ? "ok" : "note",
    found: some ? parts.join("; ") : `${parts.join("; ")}: this machine has one device, the CPU`,
    next: null,
  };
}

/** A software adapter doesn't accelerate. */
async function webGpuAdapter(): Promise<string | null> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (adapter === null || adapter === undefined) return null;
  const { vendor, architecture, device, description } = adapter.info;
  const name = [vendor, architecture, device, description].filter((part) => part !== "" && part !== "0").join(
    " ",
  );
  return /llvmpipe|swiftshader|software|basic render|lavapipe/i.test(name) ? null : name || "an adapter";
}

async function within<T>(work: Promise<T>, otherwise: T): Promise<T> {
  const late = Promise.withResolvers<T>();
  const timer = setTimeout(() => late.resolve(otherwise), SEARCH_TIMEOUT_MS);
  try {
    return await Promise.race([work.catch(() => otherwise), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const PYTHONS = [["python3"], ["python"], ["py", "-3"]] as const;
const SDK_VERSION = "from importlib.metadata import version; print(version('foundry-local-sdk'))";

/** Only the workshop's own samples need it: everything here runs without Python. */
async function python({ run, os, signal }: CheckResources): Promise<Check> {
  const row = "Python with foundry-local-sdk";
  const ends = await Promise.all(
    PYTHONS.map((python) => run([...python, "-c", SDK_VERSION], { timeoutMs: SEARCH_TIMEOUT_MS, signal })),
  );
  const version = ends.find((end) => end?.code === 0)?.stdout.trim();
  if (version !== undefined) {
    return { id: "python", row, status: "ok", found: `version ${version}`, next: null };
  }
  const is = ends.some((end) => end !== null && end.code !== null);
  const program = os === "windows" ? "py" : "python3";
  return {
    id: "python",
    row,
    status: "note",
    found: `${is ? "Python without the package" : "no Python"}: only the workshop's own samples need it`,
    next: is ? `${program} -m pip install foundry-local-sdk openai numpy` : null,
  };
}

/** Foundry Local's command line; null where it doesn't answer in time. */
export function findCli({ run, signal }: CheckResources): Promise<FoundryCli | null> {
  return probeFoundryCli({ run, timeoutMs: SEARCH_TIMEOUT_MS, signal });
}

/** Is Foundry Local running, and what else answers: `curl http://localhost:5273/v1/models`. */
export function serviceChecks(
  services: readonly FoundService[],
  cli: FoundryCli | null,
  { shell, os, env }: CheckResources,
): Check[] {
  const foundry = services.filter((service) => service.foundry !== null);
  const version = cli?.version === null || cli === null ? "" : ` ${cli.version}`;
  const program: Check = {
    id: "foundry-cli",
    row: "Foundry Local is installed",
    status: cli === null ? "note" : "ok",
    found: cli !== null
      ? `foundry${version} (\`foundry ${cli.words}\`)`
      : foundry.length > 0
      ? "no foundry command, but a service answers"
      : "no foundry command: models run in the embedded engine",
    next: cli === null && foundry.length === 0 ? installFoundry(os) : null,
  };
  const listening = services.map((service): Check => {
    const { endpoint, kind, source, models, problem } = service;
    const ready = models.filter((model) => model.ready !== false).length;
    const rest = models.length - ready;
    return {
      id: `service-${endpoint.name}`,
      row: `GET ${endpoint.baseUrl}/models`,
      status: problem === null ? "ok" : "failed",
      found: problem ??
        `${kind} (${source}): ${ready} ready${rest > 0 ? `, ${rest} more in its catalogue` : ""}`,
      next: problem === null ? null : cliCommand(cli?.words ?? null, "start"),
    };
  });
  if (listening.length > 0) return [program, ...listening, ...fixedPort(foundry, shell, env)];
  return [program, {
    id: "service",
    row: "GET http://localhost:5273/v1/models",
    status: "note",
    found: "no service answers on the usual ports",
    next: cli === null ? null : cliCommand(cli.words, "start"),
  }];
}

/** The samples assume port 5273: they need its address when the service listens elsewhere. */
function fixedPort(foundry: readonly FoundService[], shell: Shell, env: CheckResources["env"]): Check[] {
  const [service] = foundry;
  if (service === undefined || new URL(service.endpoint.baseUrl).port === "5273") return [];
  if ((env.get("FOUNDRY_LOCAL_ENDPOINT") ?? "") !== "") return [];
  return [{
    id: "port",
    row: "the workshop's samples reach the service",
    status: "missing",
    found: `it listens on port ${new URL(service.endpoint.baseUrl).port}, the samples assume 5273`,
    next: setVariable(shell, "FOUNDRY_LOCAL_ENDPOINT", service.endpoint.baseUrl),
  }];
}

/** The downloaded models: `foundry cache list`, and Podium's own model folder. */
export async function cacheChecks(
  services: readonly FoundService[],
  cli: FoundryCli | null,
  { store, registry }: CheckResources,
): Promise<Check[]> {
  const own = (await listStored(store, registry)).filter(({ state }) => state === "ready");
  const named = own.map(({ named, path }) => named?.model.alias ?? path);
  const foundry = services.filter((service) => service.foundry !== null);
  return [
    ...foundry.map(({ endpoint, models }): Check => {
      const ready = models.filter((model) => model.ready !== false);
      return {
        id: `cache-${endpoint.name}`,
        row: cliCommand(cli?.words ?? null, "cached"),
        status: ready.length > 0 ? "ok" : "missing",
        found: ready.length > 0 ? ready.map(shown).join(", ") : "nothing is downloaded",
        next: ready.length > 0 ? null : cliCommand(cli?.words ?? null, "download", "qwen2.5-0.5b"),
      };
    }),
    {
      id: "cache-embedded",
      row: "models of the embedded engine",
      status: own.length > 0 ? "ok" : foundry.length > 0 ? "note" : "missing",
      found: own.length > 0 ? named.join(", ") : "nothing is downloaded",
      next: own.length > 0 ? null : "deno task models pull",
    },
  ];
}

const shown = ({ id, device }: ListedModel) => device === undefined ? id : `${id} (${device})`;

/** The session's three downloads: not needed here, but named by the checklist. */
export function workshopTargets(
  services: readonly FoundService[],
  cli: FoundryCli | null,
  { registry, shell }: CheckResources,
): Check {
  const names = (target: string) => {
    const model = registry.models.find(({ alias, foundryAlias }) =>
      alias === target || foundryAlias === target
    );
    return new Set([target, ...(model === undefined ? [] : [model.alias, ...model.otherNames])]);
  };
  const listed = services.flatMap(({ models }) => models.filter((model) => model.ready !== false));
  const has = (target: string) =>
    listed.some(({ id, alias }) => [...names(target)].some((name) => alias === name || id.startsWith(name)));
  const absent = WORKSHOP_TARGETS.filter((target) => !has(target));
  const row = `the workshop's models: ${WORKSHOP_TARGETS.join(", ")}`;
  if (absent.length === 0) return { id: "targets", row, status: "ok", found: "all are here", next: null };
  const separator = shell === "cmd" ? " & " : "; ";
  return {
    id: "targets",
    row,
    status: "note",
    found: absent.length === WORKSHOP_TARGETS.length
      ? "no service here has them; only the workshop's own samples need them"
      : `no service here has ${absent.join(" and ")}; only the workshop's own samples need them`,
    next: services.some(({ foundry }) => foundry !== null) || cli !== null
      ? absent.map((name) => cliCommand(cli?.words ?? null, "download", name)).join(separator)
      : "deno task models pull qwen2.5-0.5b",
  };
}
