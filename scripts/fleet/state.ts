/** This machine's state as a device: its key, and its credentials for each fleet. */
import { dirname, join } from "node:path";
import { InvalidArgumentError } from "commander";
import { defaultStore } from "../../lib/catalog/store.ts";
import { deviceKey, type SigningKey } from "../../lib/fleet/keys.ts";
import { collect, option, pathValue } from "../options.ts";

export const stateOption = () =>
  option(
    "--state <folder>",
    "folder of this device's key and credentials (default: podium/fleet in your cache folder)",
    pathValue,
  ).env("PODIUM_FLEET");

/** A word of up to 40 letters, digits, `_`, `-` or `.`. */
export function wordValue(text: string): string {
  if (/^[\w.-]{1,40}$/.test(text)) return text;
  throw new InvalidArgumentError("Give a word of up to 40 letters, digits, _, - or .");
}

export const nameOption = () => option("--name <word>", "name of this device, for people", wordValue);
export const tagOption = () =>
  option("--tag <word>", "word that plans can be sent to; can be repeated", collect(wordValue));

export const stateFolder = (given: string | undefined): string =>
  given ?? join(dirname(defaultStore(Deno.env, Deno.build.os)), "fleet");

/** This device's key; created when it is first needed. */
export async function keyOf(state: string): Promise<SigningKey> {
  await Deno.mkdir(state, { recursive: true });
  return await deviceKey(join(state, "key.json"));
}
