/**
 * The hub's certificates. A join line has to be short, so it carries the authority's public key alone,
 * 32 bytes: both sides build the same certificate of the authority around that key. What a device trusts
 * of an authority is its name and its key; no program checks the signature that an authority gives
 * itself, so it is left empty here.
 *
 * DER by hand (X.690, RFC 5280, RFC 8410): the libraries that write certificates bring
 * 4 MB, for two fixed shapes.
 */
import { Buffer } from "node:buffer";
import { bytesOf, newKey, signingKey } from "./keys.ts";

/** The hub's addresses and names, for which its certificate is valid. */
export interface ServerNames {
  readonly addresses: readonly string[];
  readonly names: readonly string[];
}

/** A key pair as the hub's folder keeps it; both in PEM, ready for a TLS server. */
export interface CertifiedKey {
  readonly certificate: string;
  readonly key: string;
}

const AUTHORITY = "Podium fleet hub";
/** A device's clock may be wrong by years, and the key is pinned: a short validity would only lock devices out. */
const VALID_FROM = "000101000000Z";
const VALID_UNTIL = "491231235959Z";

/** A DER element: a tag, the length, then numbers and bytes. */
function der(tag: number, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  const body = Buffer.concat(parts.map((part) => Uint8Array.from(part)));
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return new Uint8Array([tag, ...size, ...body]);
}

const text = (tag: number, value: string) => der(tag, new TextEncoder().encode(value));
const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const ED25519 = sequence(der(0x06, [0x2b, 0x65, 0x70]));
const nameOf = (common: string) =>
  sequence(der(0x31, sequence(der(0x06, [0x55, 0x04, 0x03]), text(0x0c, common))));
const bits = (bytes: Uint8Array) => der(0x03, [0], bytes);
/** An extension id-ce-N. */
const extension = (id: number, critical: boolean, value: Uint8Array) =>
  sequence(
    der(0x06, [0x55, 0x1d, id]),
    ...(critical ? [der(0x01, [0xff])] : []),
    der(0x04, value),
  );

function toBeSigned(serial: number, subject: string, key: Uint8Array, extensions: readonly Uint8Array[]) {
  return sequence(
    der(0xa0, der(0x02, [2])),
    der(0x02, [serial]),
    ED25519,
    nameOf(AUTHORITY),
    sequence(text(0x17, VALID_FROM), text(0x17, VALID_UNTIL)),
    nameOf(subject),
    sequence(ED25519, bits(key)),
    der(0xa3, sequence(...extensions)),
  );
}

const pem = (label: string, bytes: Uint8Array) =>
  `-----BEGIN ${label}-----\n${
    bytes.toBase64().replaceAll(/.{64}/g, "$&\n").trimEnd()
  }\n-----END ${label}-----\n`;

/**
 * The certificate of the authority that has this Ed25519 public key (in base64url),
 * in PEM: what a device trusts.
 *
 * ```ts
 * const one = authorityCertificate("A".repeat(43));
 * if (!one.startsWith("-----BEGIN CERTIFICATE-----")) throw new Error(one);
 * ```
 */
export function authorityCertificate(publicKey: string): string {
  const isAuthority = extension(0x13, true, sequence(der(0x01, [0xff])));
  const signed = toBeSigned(1, AUTHORITY, bytesOf(publicKey), [isAuthority]);
  return pem("CERTIFICATE", sequence(signed, ED25519, bits(new Uint8Array(64))));
}

/**
 * A fresh key of the hub's server, certified by the authority for these names.
 *
 * @param authority the authority's private key
 *
 * ```ts
 * import { newKey, signingKey } from "./keys.ts";
 * const { privateKey } = await signingKey(await newKey());
 * const { certificate } = await serverCertificate(privateKey, { addresses: ["127.0.0.1"], names: ["localhost"] });
 * if (!certificate.includes("CERTIFICATE")) throw new Error(certificate);
 * ```
 */
export async function serverCertificate(
  authority: CryptoKey,
  { addresses, names }: ServerNames,
): Promise<CertifiedKey> {
  const { publicKey, privateKey } = await signingKey(await newKey());
  const alternatives = sequence(
    ...names.map((name) => text(0x82, name)),
    ...addresses.map((address) => der(0x87, addressBytes(address))),
  );
  const signed = toBeSigned(2, "hub", bytesOf(publicKey), [extension(0x11, false, alternatives)]);
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", authority, signed));
  return {
    certificate: pem("CERTIFICATE", sequence(signed, ED25519, bits(signature))),
    key: pem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey))),
  };
}

/** 4 bytes of an IPv4 address, 16 of an IPv6 address. */
function addressBytes(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number);
  // The URL parser writes every IPv6 address in one way, IPv4 tails as groups, without a zone.
  const host = new URL(`http://[${address.split("%")[0]}]/`).hostname.slice(1, -1);
  const [head = "", tail] = host.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":").map((group) => parseInt(group, 16));
  const [front, back] = [groups(head), groups(tail ?? "")];
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return all.flatMap((group) => [group >> 8, group & 255]);
}
