/**
 * A device joins a fleet: the hub lets it in once, with the code that it printed, and the
 * device keeps its credentials.
 */
import { createUser } from "@nats-io/jwt";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../bench/folder.ts";
import { reasonOf, UserError } from "../errors.ts";
import { type DeviceStatement, documentText } from "./device.ts";
import { type SigningKey, signText } from "./keys.ts";
import { connectHub, type JoinLine, joinReply, subjects } from "./wire.ts";

const credentialsShape = z.object({
  url: z.string(),
  authority: z.string().nullable(),
  fleet: z.string(),
  jwt: z.string(),
  seed: z.string(),
});
/** A device's credentials for a hub. */
export type HubCredentials = z.infer<typeof credentialsShape>;

const fileOf = (state: string, url: string) =>
  join(state, "hubs", `${url.replace(/^wss?:\/\//, "").replaceAll(/[^\w.-]/g, "_")}.json`);

/** A device that wants in. */
interface JoiningDevice {
  /** The folder of the device's key. */
  readonly state: string;
  readonly key: SigningKey;
  readonly statement: DeviceStatement;
}

/**
 * A device's credentials for a hub: the stored ones where the hub still accepts them, otherwise new ones for
 * the join line's code.
 *
 * @throws {UserError} exit code 1 where the hub can't be reached or doesn't let the device in
 */
export async function credentialsFor(line: JoinLine, joining: JoiningDevice): Promise<HubCredentials> {
  const { state, statement } = joining;
  const path = fileOf(state, line.url);
  const text = await Deno.readTextFile(path).catch(() => null);
  if (text !== null) {
    const known = credentialsShape.parse(JSON.parse(text));
    if (line.authority === known.authority && await isGood(known, statement.id)) return known;
  }
  const credentials = await joinHub(line, joining);
  await Deno.mkdir(join(state, "hubs"), { recursive: true });
  await replaceFile(path, documentText(credentials), { mode: 0o600 });
  return credentials;
}

async function joinHub(line: JoinLine, { key, statement }: JoiningDevice): Promise<HubCredentials> {
  const { url, authority, code } = line;
  if (code === null) {
    throw new UserError(`${url}: give the whole line that the hub printed, with its code`);
  }
  const user = createUser();
  const nats_key = user.getPublicKey();
  const signature = await signText(key, `${code} ${nats_key}`);
  const request = JSON.stringify({ code, key: key.publicKey, nats_key, signature, statement });
  const connection = await connectHub({ ...line, name: "join", credentials: null });
  try {
    const answer = await connection.request(subjects.join, request, { timeout: 30_000 }).catch((error) => {
      throw new UserError(`the hub at ${url} doesn't answer: ${reasonOf(error)}`, 1, { cause: error });
    });
    const reply = joinReply.parse(answer.json());
    if ("error" in reply) throw new UserError(`the hub doesn't let this device in: ${reply.error}`, 1);
    const seed = new TextDecoder().decode(user.getSeed());
    return { url, authority, fleet: reply.fleet, jwt: reply.jwt, seed };
  } finally {
    await connection.close();
  }
}

/** Whether a hub still accepts these credentials; true where the hub can't be reached. */
async function isGood({ url, authority, jwt, seed }: HubCredentials, device: string): Promise<boolean> {
  try {
    const connection = await connectHub({ url, authority, name: device, credentials: { jwt, seed } });
    await connection.close();
    return true;
  } catch (error) {
    return !/authorization/i.test(reasonOf(error));
  }
}
