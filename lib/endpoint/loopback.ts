/** Which requests stay on this machine or the local network, and so use no proxy. */

/** Whether a URL leads to this machine: no proxy belongs in between. */
export function isLoopback(url: URL): boolean {
  return url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d+){3}$/.test(url.hostname);
}

const PROXY_VARIABLES = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/**
 * Which plain-http targets a socket may reach: this machine always, other hosts unless the environment names
 * a proxy that the request may have to go through.
 *
 * ```ts
 * const remote = new URL("http://192.0.2.7:5273/v1");
 * const direct = socketTargets({ get: () => undefined });
 * const proxied = socketTargets({ get: (name) => name === "HTTP_PROXY" ? "http://proxy.example" : undefined });
 * if (!direct(remote) || proxied(remote)) throw new Error("a proxy is not bypassed");
 * ```
 */
export function socketTargets(env: { get(name: string): string | undefined }): (url: URL) => boolean {
  const proxied = PROXY_VARIABLES.some((name) => (env.get(name) ?? "") !== "");
  return (url) => !proxied || isLoopback(url);
}

/**
 * A value for `NO_PROXY` that keeps `fetch` from sending requests to this machine through a proxy; null where
 * no proxy is set, or the value says so already.
 *
 * ```ts
 * const env = new Map([["HTTP_PROXY", "http://proxy.example"], ["NO_PROXY", ".example"]]);
 * if (noProxyForLoopback(env) !== ".example,localhost,127.0.0.0/8,::1") throw new Error("loopback goes direct");
 * ```
 */
export function noProxyForLoopback(env: { get(name: string): string | undefined }): string | null {
  const all = [...PROXY_VARIABLES, "HTTPS_PROXY", "https_proxy"];
  if (all.every((name) => (env.get(name) ?? "") === "")) return null;
  const known = (env.get("NO_PROXY") ?? env.get("no_proxy") ?? "").split(",").filter((part) => part !== "");
  const missing = ["localhost", "127.0.0.0/8", "::1"].filter((host) => !known.includes(host));
  return missing.length === 0 ? null : [...known, ...missing].join(",");
}
