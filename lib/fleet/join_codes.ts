/** One-time codes that let devices join a hub. Only their hashes are kept. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";

const codesShape = z.array(z.object({
  sha256: z.string(),
  /** Devices that it may still let in. */
  left: z.number().int().nonnegative(),
  until: z.string(),
  /** Those that it let in: the same device may ask again, if its answer was lost. */
  devices: z.array(z.string()),
}));

/** No letters and digits that look alike. */
const ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
const CODE_LENGTH = 10;
const VALID_MS = 12 * 3_600_000;

const hashOf = (code: string) =>
  createHash("sha256").update(code.toUpperCase().replaceAll(/[^0-9A-Z]/g, "")).digest("hex");

/** A fresh code: 50 random bits, in two groups. */
function newCode(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(CODE_LENGTH));
  const text = Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
  return `${text.slice(0, 5)}-${text.slice(5)}`;
}

/** The codes of a hub. */
export class JoinCodes {
  readonly #path: string;
  readonly #now: () => Date;
  #codes: z.infer<typeof codesShape> = [];

  private constructor(path: string, now: () => Date) {
    this.#path = path;
    this.#now = now;
  }

  /** @param folder `hub/` in the fleet's folder */
  static async open(folder: string, now: () => Date): Promise<JoinCodes> {
    const codes = new JoinCodes(join(folder, "codes.json"), now);
    const text = await Deno.readTextFile(codes.#path).catch(() => "[]");
    codes.#codes = codesShape.parse(JSON.parse(text));
    return codes;
  }

  /** A code that admits a number of devices within twelve hours. */
  add(devices: number): string {
    const code = newCode();
    const nowMs = this.#now().getTime();
    const until = new Date(nowMs + VALID_MS).toISOString();
    this.#codes = this.#codes.filter((one) => Date.parse(one.until) > nowMs);
    this.#codes.push({ sha256: hashOf(code), left: devices, until, devices: [] });
    this.#save();
    return code;
  }

  /** Uses a code up for a device; says why not, or null. */
  use(code: string, device: string): string | null {
    const known = this.#codes.find(({ sha256 }) => sha256 === hashOf(code));
    if (known === undefined) return "this code is not known here: use the line that the hub shows now";
    if (known.devices.includes(device)) return null;
    if (Date.parse(known.until) <= this.#now().getTime()) {
      return "this code is more than twelve hours old: use the line that the hub shows now";
    }
    if (known.left === 0) return "this code was used: use the line that the hub shows now";
    known.left--;
    known.devices.push(device);
    this.#save();
    return null;
  }

  /** Without waiting for the disk: a room joins at once, and what a power failure loses here is a code's use. */
  #save(): void {
    Deno.writeTextFileSync(`${this.#path}.new`, `${JSON.stringify(this.#codes, null, 2)}\n`, { mode: 0o600 });
    Deno.renameSync(`${this.#path}.new`, this.#path);
  }
}
