/** A chat reaches a model in the same ways as a measurement does, and remembers what was said. */
import { openModel } from "../../lib/bench/session.ts";
import type { ChatMessage, Trace } from "../../lib/endpoint/trace.ts";
import { interruptSignal } from "../cli.ts";
import { type Shared } from "../options.ts";
import { engineOf, sessionResources } from "../session_resources.ts";

export interface ConversationSettings
  extends Shared<"endpoint" | "maxTokens" | "temperature" | "timeout" | "gpu" | "registry" | "store"> {
  readonly system?: string;
}

/** A model, and what was said to it so far. */
export class Conversation {
  readonly #said: ChatMessage[];

  private constructor(private readonly model: OpenedModel, private readonly settings: ConversationSettings) {
    this.#said = settings.system === undefined ? [] : [{ role: "system", content: settings.system }];
  }

  /**
   * Loads a model in a service that has it, else in the embedded engine, which downloads it.
   *
   * @throws {UserError} where the name is unknown, or the model can't be loaded
   */
  static async open(name: string, settings: ConversationSettings): Promise<Conversation> {
    const { timeout: timeoutS, maxTokens, temperature } = settings;
    const model = await openModel({
      names: [name],
      endpoints: settings.endpoint,
      engine: engineOf(settings),
      plan: { timeoutS, maxTokens, temperature },
    }, await sessionResources(settings));
    return new Conversation(model, settings);
  }

  /** The model, its address and its device, in one line, and notes on it. */
  get about(): string {
    const { info, open } = this.model;
    const loaded = open.loadMs === null ? "" : `, loaded in ${(open.loadMs / 1000).toFixed(2)} s`;
    return [
      `${info.id} (${info.model_id}) on ${open.device ?? "a device that the service does not name"}${loaded}`,
      ...(open.notes ?? []),
    ].join("\n");
  }

  /** Sends a question; the conversation keeps the answer unless the request failed. */
  async ask(question: string, onText?: (text: string) => void): Promise<Trace> {
    const { info, open } = this.model;
    const { maxTokens, temperature, timeout } = this.settings;
    const messages = [...this.#said, { role: "user" as const, content: question }];
    const trace = await open.request({ model: info.model_id, messages, maxTokens, temperature }, {
      timeoutMs: timeout * 1000,
      signal: interruptSignal(),
      ...(onText === undefined ? {} : { onText }),
    });
    if (trace.status === "ok") {
      this.#said.splice(0, Infinity, ...messages, { role: "assistant", content: trace.content });
    }
    return trace;
  }

  /** What `--json` prints of an answer. */
  asJson(trace: Trace): Record<string, unknown> {
    const { info, open } = this.model;
    return {
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
    };
  }

  close(): Promise<void> {
    return this.model.close();
  }
}

type OpenedModel = Awaited<ReturnType<typeof openModel>>;
