/** What every task hands to a session: this machine's clock, network, environment and models. */
import type { SessionResources } from "../lib/bench/session.ts";
import { loadRegistry } from "../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../lib/catalog/store.ts";
import { runProgram } from "../lib/program.ts";
import { interruptSignal, realClock, realSleep } from "./cli.ts";
import { pullShown } from "./pull_progress.ts";
import { fitTerminal } from "./terminal.ts";

/** Downloads are shown and notes are printed on stderr; the first Ctrl-C aborts what is under way. */
export async function sessionResources(
  options: { readonly registry: string; readonly store?: string | undefined },
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
    note: (line) => console.error(fitTerminal(line, Deno.stderr)),
  };
}

/** `--gpu` and PODIUM_GPU; where neither is given models.json decides. */
export const engineOf = (
  { gpu }: { readonly gpu?: "auto" | "off" | "vulkan" | "cuda" | "metal" | undefined },
) => gpu === undefined ? {} : { gpu };
