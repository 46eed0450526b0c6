/**
 * The keys of a hub, and the credentials that it signs: NATS JWTs. A device gets the right to
 * read its own plans and to write its own results, and no other. A client without credentials may
 * ask to join, and nothing else.
 */
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fromSeed,
} from "@nats-io/jwt";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { parseDocument } from "../text_file.ts";
import { authorityCertificate, serverCertificate, type ServerNames } from "./certificate.ts";
import { newKey, signingKey } from "./keys.ts";
import { PLANS, subjects } from "./wire.ts";

const seed = z.string().startsWith("S");
const keysShape = z.object({
  schema_version: z.literal(1),
  operator: seed,
  account: seed,
  system: seed,
  hub: seed,
  join: seed,
  /** The private key, as a JSON Web Key, of the authority that devices trust. */
  authority: z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: z.string(), d: z.string() }),
});

/** The keys that the server starts with, and those that the hub connects with. */
export interface HubKeys {
  readonly operatorJwt: string;
  /** JWTs of the accounts, by their public keys. */
  readonly accounts: Readonly<Record<string, string>>;
  readonly systemAccount: string;
  /** For clients without credentials. */
  readonly joinJwt: string;
  readonly hub: Credentials;
  /** The authority's public key, for join lines. */
  readonly authority: string;
  /** The credentials of a device: its NATS key never leaves it. */
  deviceJwt(device: string, natsKey: string): Promise<string>;
  /** Writes server.pem and server-key.pem, with the authority's signature, for these names. */
  certify(names: ServerNames): Promise<void>;
}

/** A JWT and the seed of its key. */
export interface Credentials {
  readonly jwt: string;
  readonly seed: string;
}

const bytes = (text: string) => new TextEncoder().encode(text);

const UNLIMITED = -1;
/** What the server lets a fleet's account use. */
const LIMITS = {
  conn: UNLIMITED,
  leaf: 0,
  subs: UNLIMITED,
  data: UNLIMITED,
  payload: UNLIMITED,
  imports: 0,
  exports: 0,
  wildcards: true,
  mem_storage: UNLIMITED,
  disk_storage: UNLIMITED,
  streams: UNLIMITED,
  consumer: UNLIMITED,
};

/**
 * The keys in a hub's folder; new ones where there are none, readable by their owner alone.
 *
 * @param folder `hub/` in the fleet's folder
 * @param accountSeed of the account at a server that is there already; @default the hub's own
 */
export async function hubKeys(folder: string, accountSeed?: string): Promise<HubKeys> {
  const keys = await storedKeys(folder);
  const pairOf = (seed: string) => fromSeed(bytes(seed));
  const operator = pairOf(keys.operator);
  const account = pairOf(accountSeed ?? keys.account);
  const system = pairOf(keys.system);
  const userJwt = (name: string, seed: string, permissions: Parameters<typeof encodeUser>[3]) =>
    encodeUser(name, pairOf(seed), account, permissions);
  const authority = await signingKey(keys.authority);
  return {
    operatorJwt: await encodeOperator("podium", operator, { system_account: system.getPublicKey() }),
    accounts: {
      [account.getPublicKey()]: await encodeAccount("fleet", account, { limits: LIMITS }, {
        signer: operator,
      }),
      [system.getPublicKey()]: await encodeAccount("system", system, {}, { signer: operator }),
    },
    systemAccount: system.getPublicKey(),
    joinJwt: await userJwt("join", keys.join, {
      bearer_token: true,
      subs: 2,
      payload: 2 ** 18,
      pub: { allow: [subjects.join], deny: [] },
      sub: { allow: ["_INBOX_join.>"], deny: [] },
    }),
    hub: { jwt: await userJwt("hub", keys.hub, {}), seed: keys.hub },
    authority: authority.publicKey,
    deviceJwt: (device, natsKey) => encodeUser(device, natsKey, account, devicePermissions(device)),
    async certify(names) {
      const { certificate, key } = await serverCertificate(authority.privateKey, names);
      await replaceFile(join(folder, "authority.pem"), authorityCertificate(authority.publicKey));
      await replaceFile(join(folder, "server.pem"), certificate);
      await replaceFile(join(folder, "server-key.pem"), key, { mode: 0o600 });
    },
  };
}

async function storedKeys(folder: string): Promise<z.infer<typeof keysShape>> {
  const path = join(folder, "keys.json");
  const known = await Deno.readTextFile(path).catch(() => null);
  if (known !== null) return parseDocument(known, { schema: keysShape, newest: 1, name: path });
  const seedOf = (create: typeof createUser) => new TextDecoder().decode(create().getSeed());
  const keys = {
    schema_version: 1 as const,
    operator: seedOf(createOperator),
    account: seedOf(createAccount),
    system: seedOf(createAccount),
    hub: seedOf(createUser),
    join: seedOf(createUser),
    authority: await newKey(),
  };
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  await replaceFile(path, `${JSON.stringify(keys)}\n`, { mode: 0o600 });
  return keysShape.parse(keys);
}

function devicePermissions(device: string) {
  return {
    pub: {
      allow: [
        subjects.state(device),
        subjects.end(device),
        `${subjects.records(device)}.>`,
        `$JS.API.CONSUMER.INFO.${PLANS}.${device}`,
        `$JS.API.CONSUMER.MSG.NEXT.${PLANS}.${device}`,
        `$JS.ACK.${PLANS}.${device}.>`,
      ],
      deny: [],
    },
    sub: { allow: [`_INBOX_${device}.>`], deny: [] },
  };
}
