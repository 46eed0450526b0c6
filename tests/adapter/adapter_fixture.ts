/** Starts an adapter of the tests as the registry would, and asks it as a client would. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseRegistry } from "../../lib/catalog/registry.ts";
import { startModel } from "../../lib/bench/start_model.ts";

export const folder = dirname(fileURLToPath(import.meta.url));

/** The registry entry of an adapter in `folder`, as `parseRegistry` gives it. */
export function adapterOf(adapter: Record<string, unknown>, where = join(folder, "models.json")) {
  const text = JSON.stringify([{ alias: "custom", variants: [{ name: "code", adapter }] }]);
  const spec = parseRegistry(text, where).models[0]?.variants[0]?.adapter;
  if (spec === undefined || spec === null) throw new TypeError("the entry has no adapter");
  return spec;
}

export const start = (adapter: Record<string, unknown>, where?: string, signal?: AbortSignal) => {
  const spec = adapterOf(adapter, where);
  return startModel({ modelId: "custom:code", alias: "custom", path: spec.module, adapter: spec }, {
    denoPath: Deno.execPath(),
    env: Deno.env,
    clock: () => performance.now(),
    ...(signal && { signal }),
  });
};

/** A running adapter that is asked over HTTP, and stopped at the end of the block. */
export async function running(adapter: Record<string, unknown>) {
  const model = await start(adapter);
  const { baseUrl, apiKey = "" } = model.endpoint;
  const post = (prompt: string, more: Record<string, unknown> = {}, signal?: AbortSignal) =>
    fetch(`${baseUrl}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ model: "custom", messages: [{ role: "user", content: prompt }], ...more }),
      ...(signal && { signal }),
    });
  return {
    model,
    post,
    /** The text of an answer, or its error as `STATUS code: message`. */
    ask: async (prompt: string, more: Record<string, unknown> = {}): Promise<string> => {
      const response = await post(prompt, more);
      const body = await response.json();
      return response.ok
        ? body.choices[0].message.content
        : `${response.status} ${body.error.code}: ${body.error.message}`;
    },
    [Symbol.asyncDispose]: () => model.stop(),
  };
}
