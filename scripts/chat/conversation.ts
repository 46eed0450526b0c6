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

export interface Conversation {
  /** The model, its address and its device, in one line. */
  readonly about: string;
  /** Sends a question; the conversation keeps the answer unless the request failed. */
  ask(question: string, onText?: (text: string) => void): Promise<Trace>;
  asJson(trace: Trace): Record<string, unknown>;
  close(): Promise<void>;
}

/**
 * Loads a model in a service that has it, else in the embedded engine, which downloads it.
 *
 * @throws {UserError} where the name is unknown, or the model can't be loaded
 */
export async function openConversation(name: string, settings: ConversationSettings): Promise<Conversation> {
  const signal = interruptSignal();
  const timeoutMs = settings.timeout * 1000;
  const { info, open, close } = await openModel({
    names: [name],
    endpoints: settings.endpoint,
    engine: engineOf(settings),
    plan: {
      timeoutS: settings.timeout,
      maxTokens: settings.maxTokens,
      temperature: settings.temperature,
    },
  }, await sessionResources(settings));
  const said: ChatMessage[] = settings.system === undefined
    ? []
    : [{ role: "system", content: settings.system }];
  const loaded = open.loadMs === null ? "" : `, loaded in ${(open.loadMs / 1000).toFixed(2)} s`;
  return {
    about: [
      `${info.id} (${info.model_id}) on ${open.device ?? "a device that the service does not name"}${loaded}`,
      ...(open.notes ?? []),
    ].join("\n"),
    async ask(question, onText) {
      const messages = [...said, { role: "user" as const, content: question }];
      const trace = await open.request({
        model: info.model_id,
        messages,
        maxTokens: settings.maxTokens,
        temperature: settings.temperature,
      }, { timeoutMs, signal, ...(onText === undefined ? {} : { onText }) });
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
    close,
  };
}
