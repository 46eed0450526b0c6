/** An adapter that can count: a word is a token. */
import type { AdapterRequest } from "../../../lib/adapter/adapter.ts";

export const load = () => ({});

export async function* generate(_: unknown, { prompt }: AdapterRequest): AsyncGenerator<string> {
  yield `${prompt} ${prompt}`;
}

export const countTokens = (_: unknown, text: string) =>
  text.split(/\s+/).filter((word) => word !== "").length;
