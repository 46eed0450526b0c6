/** This machine's state as a device: its key, and its credentials for each fleet. */
import { dirname, join } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { defaultStore } from "../../lib/catalog/store.ts";
import { deviceKey, type SigningKey } from "../../lib/fleet/keys.ts";
import { collect, pathValue } from "../cli.ts";

export const stateOption = () =>
  new Option(
    "--state <folder>",
    "folder of this device's key and credentials (default: podium/fleet in your cache folder)",
  )
    .env("PODIUM_FLEET").argParser(pathValue);

/** A word of up to 40 letters, digits, `_`, `-` or `.`. */
export function wordValue(text: string): string {
  if (/^[\w.-]{1,40}$/.test(text)) return text;
  throw new InvalidArgumentError("Give a word of up to 40 letters, digits, _, - or .");
}

export const nameOption = () =>
  new Option("--name <word>", "name of this device, for people").argParser(wordValue);
export const tagOption = () =>
  new Option("--tag <word>", "word that plans can be sent to; can be repeated").argParser(collect(wordValue));

export const stateFolder = (given: string | undefined): string =>
  given ?? join(dirname(defaultStore(Deno.env, Deno.build.os)), "fleet");

/** This device's key; created when it is first needed. */
export async function keyOf(state: string): Promise<SigningKey> {
  await Deno.mkdir(state, { recursive: true });
  return await deviceKey(join(state, "key.json"));
}
