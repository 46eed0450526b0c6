/** WHY: a chat needs the same ways to a model as a measurement, and remembers what was said. */
import { type Choice, chooseCandidates, runsInEngine, type Service } from "../../lib/bench/choose.ts";
import { embeddedCandidate, endpointCandidate, type World } from "../../lib/bench/live.ts";
import { loadRegistry } from "../../lib/catalog/registry.ts";
import { defaultStore, openStore } from "../../lib/catalog/store.ts";
import { describeService, findServices, parseEndpoint } from "../../lib/services/discovery.ts";
import type { ChatMessage, Trace } from "../../lib/endpoint/trace.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import { prepareEngine } from "../../lib/engine/supervisor.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { runProgram } from "../../lib/program.ts";
import { interruptSignal, realClock } from "../cli.ts";
import { pullShown } from "../pull_progress.ts";

export interface ConversationSettings {
  readonly system?: string;
  readonly endpoint?: readonly string[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly timeout: number;
  readonly gpu: "auto" | "off" | "vulkan" | "cuda" | "metal";
  readonly registry: string;
  readonly store?: string;
}

export interface Conversation {
  /** What answers, where and on what, in a line. */
  readonly about: string;
  /** Asks; the answer is remembered, a failed one is not. */
  ask(question: string, onText?: (text: string) => void): Promise<Trace>;
  asJson(trace: Trace): Record<string, unknown>;
  close(): Promise<void>;
}

const LOOK_TIMEOUT_MS = 1900;

/**
 * Loads a model, wherever it is found first: in a service, else in the embedded engine, which downloads it.
 *
 * @throws {UserError} where nothing bears the name, or the model can't be loaded
 */
export async function openConversation(name: string, settings: ConversationSettings): Promise<Conversation> {
  const signal = interruptSignal();
  const transport = timedClient({ clock: realClock, fetch });
  const registry = await loadRegistry(settings.registry);
  const services = await servicesOf(settings, signal);
  const [choice] = chooseCandidates([name], { registry, services, engine: { gpu: settings.gpu } });
  if (choice === undefined) throw new UserError(`nothing bears the name ${name}`);
  const world: World = {
    clock: realClock,
    fetch,
    post: transport.post,
    denoPath: Deno.execPath(),
    timeoutMs: settings.timeout * 1000,
    stream: true,
    run: runProgram,
  };
  const candidate = await candidateOf(choice, world, settings);
  const open = await candidate.open(signal).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error instanceof UserError
      ? error
      : new UserError(`${choice.info.id}: ${reasonOf(error)}`, 1, { cause: error });
  });
  const { info } = choice;
  const said: ChatMessage[] = settings.system === undefined
    ? []
    : [{ role: "system", content: settings.system }];
  const loaded = open.loadMs === null ? "" : `, loaded in ${(open.loadMs / 1000).toFixed(2)} s`;
  return {
    about: `${info.id} (${info.model_id}) on ${
      open.device ?? "a device that the service does not name"
    }${loaded}`,
    async ask(question, onText) {
      const messages = [...said, { role: "user" as const, content: question }];
      const trace = await open.request({
        model: info.model_id,
        messages,
        maxTokens: settings.maxTokens,
        temperature: settings.temperature,
      }, { timeoutMs: world.timeoutMs, signal, ...(onText === undefined ? {} : { onText }) });
      if (trace.status === "ok") {
        said.splice(0, said.length, ...messages, { role: "assistant", content: trace.content });
      }
      return trace;
    },
    asJson: (trace) => ({
      model: info.id,
      model_id: info.model_id,
      device: open.device,
      load_s: open.loadMs === null ? null : open.loadMs / 1000,
      status: trace.status,
      reason: trace.reason,
      content: trace.content,
      finish_reason: trace.finishReason,
      ttft_s: trace.chunks[0] === undefined ? null : (trace.chunks[0].atMs - trace.dueMs) / 1000,
      latency_s: (trace.endMs - trace.dueMs) / 1000,
      usage: trace.usage,
    }),
    async close() {
      await open.close();
      transport.close();
    },
  };
}

async function servicesOf(
  { endpoint }: ConversationSettings,
  signal: AbortSignal,
): Promise<Service[]> {
  const look = { fetch, timeoutMs: LOOK_TIMEOUT_MS, signal };
  const found = endpoint === undefined
    ? await findServices({ ...look, env: Deno.env, run: runProgram })
    : await Promise.all(
      endpoint.map((text) =>
        describeService(parseEndpoint(text, Deno.env.get("API_KEY")), "--endpoint", look)
      ),
    );
  const broken = found.find(({ problem }) => problem !== null);
  if (broken !== undefined) throw new UserError(`${broken.source}: ${broken.problem}`, 1);
  return [...found];
}

async function candidateOf(choice: Choice, world: World, settings: ConversationSettings) {
  if (choice.kind === "endpoint") return endpointCandidate(choice, world);
  const store = await openStore(settings.store ?? defaultStore(Deno.env, Deno.build.os));
  const path = await pullShown(store, choice.entry, choice.variant, { signal: interruptSignal() });
  if (runsInEngine(choice)) await prepareEngine({ denoPath: world.denoPath });
  return embeddedCandidate(choice, path, world);
}
