/** An adapter that tries to reach what it was not given; each order of a prompt names one way. */
import type { AdapterRequest } from "../../../lib/adapter/adapter.ts";

export const load = () => null;

export async function* generate(_: null, { prompt }: AdapterRequest): AsyncGenerator<string> {
  const [order = "", argument = ""] = prompt.split(" ");
  if (order === "globals") {
    yield ["caches", "Worker"].filter((name) => name in globalThis).join(" ") || "none";
  }
  if (order === "import") {
    const { default: value } = await import(argument, { with: { type: "json" } });
    yield JSON.stringify(value).slice(0, 40);
  }
  if (order === "code") yield Object.keys(await import(argument)).join(" ");
  if (order === "line") {
    const piece = new TextEncoder().encode("x".repeat(1024 * 1024));
    for (let i = 0; i < Number(argument); i++) Deno.stdout.writeSync(piece);
    yield "written";
  }
  if (order === "answer") { for (let i = 0; i < Number(argument); i++) yield "x".repeat(1024 * 1024); }
}
