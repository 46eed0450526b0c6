/** What a service is, by what it says of itself and not by the port it listens on. */
import { z } from "zod";
import type { Fetch } from "../clock.ts";
import { getFromService } from "../endpoint/untimed_request.ts";
import type { Endpoint } from "../endpoint/trace.ts";
import { UserError } from "../errors.ts";

/** What servers call the owner of their models in `GET /models`. */
const OWNERS: Readonly<Record<string, string>> = {
  library: "Ollama",
  organization_owner: "LM Studio",
  llamacpp: "llama.cpp's server",
  vllm: "vLLM",
};

const ollama = z.looseObject({ version: z.string() });
const lmStudio = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
const llamaCpp = z.looseObject({ default_generation_settings: z.unknown() });

/** Calls that only one kind of server answers in this way, in the order of belief. */
const SIGNS: readonly { path: string; kind: string; shape: z.ZodType }[] = [
  { path: "/api/version", kind: "Ollama", shape: ollama },
  { path: "/api/v0/models", kind: "LM Studio", shape: lmStudio },
  { path: "/props", kind: "llama.cpp's server", shape: llamaCpp },
  { path: "/version", kind: "vLLM", shape: ollama },
];

/**
 * The kind of a server that is not Foundry Local: by the owner of its models, else by a call that only its kind
 * answers; null where nothing tells.
 *
 * ```ts
 * const fetch = () => Promise.reject(new TypeError("not needed"));
 * const endpoint = { name: "x", baseUrl: "http://127.0.0.1:8000/v1" };
 * const kind = await recognizeServer(endpoint, ["vllm"], { fetch, timeoutMs: 500 });
 * if (kind !== "vLLM") throw new Error("vLLM says so itself");
 * ```
 */
export async function recognizeServer(
  endpoint: Endpoint,
  owners: readonly (string | null)[],
  options: { readonly fetch: Fetch; readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<string | null> {
  const told = owners.map((owner) => OWNERS[owner ?? ""]).find((kind) => kind !== undefined);
  if (told !== undefined) return told;
  const signs = await Promise.all(SIGNS.map(async ({ path, kind, shape }) => {
    try {
      const { status, json } = await getFromService(endpoint, path, options);
      return status === 200 && shape.safeParse(json).success ? kind : null;
    } catch (error) {
      if (error instanceof UserError) return null;
      throw error;
    }
  }));
  return signs.find((kind) => kind !== null) ?? null;
}
