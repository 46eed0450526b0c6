/** Hugging Face or a mirror of it: its address, its token, and whether it can be reached. */
import type { Fetch, Sleep } from "../clock.ts";
import { UserError } from "../errors.ts";
import type { Environment } from "../program.ts";
import { SourceError } from "./transfer.ts";
import type { ModelSource } from "./model.ts";

type HubSource = ModelSource & { kind: "huggingface" };

/**
 * A file's address on the hub, and the token to ask with.
 *
 * @throws {SourceError} when HF_HUB_OFFLINE is set
 *
 * ```ts
 * const source = { kind: "huggingface", repo: "me/m", path: "a b.gguf", revision: "main", sha256: null } as const;
 * const { url } = hubUrl(source, new Map());
 * if (url !== "https://huggingface.co/me/m/resolve/main/a%20b.gguf") throw new Error(url);
 * ```
 */
export function hubUrl(source: HubSource, env: Environment): { url: string; token: string | undefined } {
  if (isOffline(env)) throw new SourceError("HF_HUB_OFFLINE is set");
  const path = source.path.split("/").map(encodeURIComponent).join("/");
  const revision = encodeURIComponent(source.revision);
  return {
    url: `${hubEndpoint(env)}/${source.repo}/resolve/${revision}/${path}`,
    token: env.get("HF_TOKEN")?.trim() || undefined,
  };
}

const isOffline = (env: Environment) => /^(1|true|yes|on)$/i.test(env.get("HF_HUB_OFFLINE") ?? "");

/**
 * The address of Hugging Face: HF_ENDPOINT, or the public one.
 *
 * @throws {UserError} when HF_ENDPOINT is not an http(s) URL
 *
 * ```ts
 * const env = new Map([["HF_ENDPOINT", "http://127.0.0.1:9000/"]]);
 * if (hubEndpoint(env) !== "http://127.0.0.1:9000") throw new Error("no slash at the end");
 * ```
 */
export function hubEndpoint(env: Environment): string {
  const value = env.get("HF_ENDPOINT")?.trim() || "https://huggingface.co";
  if (!/^https?:\/\/[^\s/]+/i.test(value) || !URL.canParse(value)) {
    throw new UserError(`HF_ENDPOINT is "${value}": give an http(s) URL such as https://huggingface.co`);
  }
  return value.replace(/\/+$/, "");
}

/**
 * Whether Hugging Face answers at all, within `timeoutMs`. Never throws because of the network.
 *
 * ```ts
 * const refuse = () => Promise.reject(new TypeError("refused"));
 * const sleep = () => new Promise<void>(() => {});
 * if (await hubReachable({ fetch: refuse, sleep, env: new Map() })) throw new Error("no answer came");
 * ```
 */
export async function hubReachable(
  { fetch, sleep, env, timeoutMs = 3_000 }: {
    fetch: Fetch;
    sleep: Sleep;
    env: Environment;
    timeoutMs?: number;
  },
): Promise<boolean> {
  if (isOffline(env)) return false;
  const controller = new AbortController();
  const done = new AbortController();
  sleep(timeoutMs, done.signal).then(() => controller.abort(), () => {/* answered in time */});
  try {
    const response = await fetch(hubEndpoint(env), {
      method: "HEAD",
      redirect: "manual",
      signal: controller.signal,
    });
    await response.body?.cancel();
    // A filter or proxy may answer too, but not with the hub's pages.
    return response.status < 500 && ![403, 407, 451].includes(response.status);
  } catch (error) {
    if (error instanceof UserError) throw error;
    return false;
  } finally {
    done.abort();
  }
}
