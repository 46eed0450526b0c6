/** What every task hands to a session: this machine's clock, network, environment and models. */
import type { SessionResources } from "../lib/bench/session.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../lib/catalog/store.ts";
import { runProgram } from "../lib/program.ts";
import {
  describeService,
  findServices,
  type FoundService,
  parseEndpoint,
} from "../lib/services/discovery.ts";
import { interruptSignal, realClock, realSleep } from "./cli.ts";
import { type Shared } from "./options.ts";
import { pullShown } from "./pull_progress.ts";
import { note } from "./terminal.ts";

/** Downloads are shown and notes are printed on stderr; the first Ctrl-C aborts what is under way. */
export async function sessionResources(
  options: Shared<"registry" | "store">,
): Promise<SessionResources> {
  const store = await openStore(options.store ?? defaultStore(Deno.env, Deno.build.os));
  const signal = interruptSignal();
  return {
    clock: realClock,
    sleep: realSleep,
    fetch,
    run: runProgram,
    env: Deno.env,
    denoPath: Deno.execPath(),
    registry: await loadRegistry(options.registry),
    store,
    signal,
    download: (model, variant) => pullShown(store, model, variant, { signal }),
    note,
  };
}

/** Longest wait for a service, or a program, that may not be there. */
export const SEARCH_TIMEOUT_MS = 1900;

/** The services that `--endpoint` names; without any, those that answer on this machine. */
export async function servicesAt(endpoints: readonly string[] | undefined): Promise<FoundService[]> {
  const search = { fetch, timeoutMs: SEARCH_TIMEOUT_MS, signal: interruptSignal() };
  if (endpoints === undefined) return await findServices({ ...search, env: Deno.env, run: runProgram });
  const key = Deno.env.get("API_KEY");
  return await Promise.all(
    endpoints.map((text) => describeService(parseEndpoint(text, key), "--endpoint", search)),
  );
}

/** `--gpu` and PODIUM_GPU; where neither is given models.json decides. */
export const engineOf = ({ gpu }: Shared<"gpu">) => gpu === undefined ? {} : { gpu };
