/** What the public functions share: the process's own resources, its folders, its screen, and how it is stopped. */
import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { SessionResources } from "../bench/session.ts";
import type { Registry } from "../catalog/model.ts";
import { loadRegistry } from "../catalog/registry.ts";
import { defaultStore, openStore } from "../catalog/store.ts";
import { type Clock, type Sleep, sleepOn } from "../clock.ts";
import { noProxyForLoopback } from "../endpoint/loopback.ts";
import { type Environment, runProgram } from "../program.ts";
import type { Random } from "../stats/random.ts";
import type { Shipped } from "./run_options.ts";
import { type Broadcast, NotebookScreen, type Screen, SETTLE_MS, terminalScreen } from "./screen.ts";
import { pullShown, type Setup } from "./steps.ts";

/** What mod.ts hands in of its process. */
export interface HostProcess {
  /** Podium's own folder: its registry and the jobs that it ships. */
  readonly home: string;
  readonly env: Environment & { set(name: string, value: string): void };
  readonly clock: Clock;
  readonly random: Random;
  /** Writes to standard output, and a line to standard error. */
  readonly print: (text: string) => void;
  readonly note: (line: string) => void;
  /** The notebook's kernel; undefined in any other program. */
  readonly kernel: { readonly broadcast: Broadcast } | undefined;
}

export class Surroundings {
  readonly screen: Screen;
  readonly #host: HostProcess;
  readonly #sleep: Sleep;
  #stop = new AbortController();
  #isListening = false;

  constructor(host: HostProcess) {
    const { kernel, clock, print } = host;
    this.#host = host;
    const sleep = this.#sleep = sleepOn(clock);
    if (kernel === undefined) {
      const report = (text: string) => void Deno.stderr.writeSync(new TextEncoder().encode(text));
      this.screen = terminalScreen({ print, report, interactive: Deno.stderr.isTerminal() }, clock);
      return;
    }
    this.screen = new NotebookScreen((type, content) => kernel.broadcast(type, content), clock, sleep);
    // Without a listener, Stop would end the kernel, and everything measured with it.
    this.stopSignal();
    settleResults(sleep);
  }

  /** PODIUM_SHORT=1: as few and as short requests as still exercise everything, for the test of the notebooks. */
  get short(): boolean {
    return this.#host.env.get("PODIUM_SHORT") === "1";
  }

  /** The jobs that Podium ships. */
  get shipped(): Shipped {
    const { home, note } = this.#host;
    return { jobs: join(home, "prompts"), short: this.short, note };
  }

  /** @param path default: PODIUM_REGISTRY, else `models.json` of the person's own folder, else Podium's own */
  async registry(path?: string): Promise<Registry> {
    const { env, home } = this.#host;
    const named = path ?? (env.get("PODIUM_REGISTRY")?.trim() || undefined);
    return await loadRegistry(named ?? join(ownFolder() ?? home, "models.json"));
  }

  /** The real resources, and the folder that runs go to: by default `reports` of the person's own folder. */
  async setUp(reports?: string): Promise<Setup> {
    const { env, clock, random } = this.#host;
    const noProxy = noProxyForLoopback(env);
    if (noProxy !== null) env.set("NO_PROXY", noProxy);
    const shared = {
      clock,
      sleep: this.#sleep,
      fetch,
      run: runProgram,
      env,
      denoPath: Deno.execPath(),
      registry: await this.registry(),
      store: await openStore(env.get("PODIUM_STORE") ?? defaultStore(env, Deno.build.os)),
      signal: this.stopSignal(),
    };
    const resources: SessionResources = {
      ...shared,
      download: (model, variant) => pullShown(model, variant, shared, this.screen),
    };
    const out = reports ?? join(relative(Deno.cwd(), ownFolder() ?? Deno.cwd()), "reports");
    return { resources, screen: this.screen, out, now: new Date(), random };
  }

  /** A signal that Ctrl-C and a notebook's Stop button abort; a new one after each stop. */
  stopSignal(): AbortSignal {
    if (!this.#isListening) Deno.addSignalListener("SIGINT", () => this.#interrupt());
    this.#isListening = true;
    if (this.#stop.signal.aborted) this.#stop = new AbortController();
    return this.#stop.signal;
  }

  #interrupt(): void {
    // In a terminal a second Ctrl-C ends the program.
    if (this.#stop.signal.aborted && this.#host.kernel === undefined) Deno.exit(130);
    this.#stop.abort(new DOMException("stopped", "AbortError"));
  }
}

/**
 * The nearest folder, from the working directory upwards, that holds a registry: a clone of Podium, or a
 * folder that `podium init` made; null outside of both.
 */
function ownFolder(): string | null {
  for (let at = Deno.cwd();; at = dirname(at)) {
    if (existsSync(join(at, "models.json"))) return at;
    if (at === dirname(at)) return null;
  }
}

/**
 * The kernel may send a cell's last line only after it has said that the cell is done, and a browser drops it
 * then (about one output in fifty). A pause behind each result prevents that.
 */
function settleResults(sleep: Sleep): void {
  const internal: unknown = Reflect.get(Deno, Reflect.get(Deno, "internal"));
  const own: unknown = typeof internal === "object" && internal !== null
    ? Reflect.get(internal, "jupyter")
    : undefined;
  if (typeof own !== "object" || own === null) return;
  const send: unknown = Reflect.get(own, "broadcastResult");
  if (typeof send !== "function") return;
  Reflect.set(own, "broadcastResult", async (...result: unknown[]) => {
    await send(...result);
    await sleep(SETTLE_MS);
  });
}
