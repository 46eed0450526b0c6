/** The Ed25519 key of a device: it signs bundles, and says who joins a fleet. It never leaves its machine. */
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { UserError } from "../errors.ts";

/** A private key that can sign, and its public key in base64url. */
export interface SigningKey {
  readonly publicKey: string;
  readonly privateKey: CryptoKey;
}

const keyFile = z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), d: z.string() });

/** A new key, as a file or a hub's folder keeps it. */
export async function newKey(): Promise<z.infer<typeof keyFile>> {
  const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"]);
  if (!("privateKey" in pair)) throw new TypeError("Ed25519 makes a pair of keys");
  return keyFile.parse(await crypto.subtle.exportKey("jwk", pair.privateKey));
}

/**
 * The key in a file; where there is none, a new one, readable by its owner alone.
 *
 * @throws {UserError} where the file holds something else
 *
 * ```ts ignore
 * const key = await deviceKey("podium/device-key.json");
 * ```
 */
export async function deviceKey(path: string): Promise<SigningKey> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    text = JSON.stringify(await newKey());
    await replaceFile(path, `${text}\n`, { mode: 0o600 });
  }
  const key = keyFile.safeParse(jsonOf(text));
  if (key.success) return await signingKey(key.data);
  throw new UserError(`${path} is not a device's key: remove the file, and a new key is made`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The key that a file's text holds. */
export async function signingKey(key: z.infer<typeof keyFile>): Promise<SigningKey> {
  const privateKey = await crypto.subtle.importKey("jwk", key, { name: "Ed25519" }, true, ["sign"]);
  return { publicKey: key.x, privateKey };
}

/**
 * A text's signature, in base64url.
 *
 * ```ts
 * const key = await signingKey(await newKey());
 * const signature = await signText(key, "hello");
 * if (!await isSigned("hello", signature, key.publicKey)) throw new Error("its own signature holds");
 * if (await isSigned("hallo", signature, key.publicKey)) throw new Error("another text has another one");
 * ```
 */
export async function signText({ privateKey }: SigningKey, text: string): Promise<string> {
  const signature = await crypto.subtle.sign("Ed25519", privateKey, new TextEncoder().encode(text));
  return new Uint8Array(signature).toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Whether this key signed this text. False for a key or a signature that is none. */
export async function isSigned(text: string, signature: string, publicKey: string): Promise<boolean> {
  try {
    const key = await crypto.subtle.importKey("raw", bytesOf(publicKey), { name: "Ed25519" }, false, [
      "verify",
    ]);
    return await crypto.subtle.verify(
      "Ed25519",
      key,
      bytesOf(signature),
      new TextEncoder().encode(text),
    );
  } catch {
    return false;
  }
}

/** The bytes of a base64url text. */
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.fromBase64(text, { alphabet: "base64url" });

/** The id of the device that has this public key: `d-` and ten hexadecimal digits of its SHA-256. */
export async function idOfKey(publicKey: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(publicKey)));
  return `d-${digest.toHex().slice(0, 10)}`;
}
