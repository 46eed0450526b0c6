/** What the fake endpoint takes from the wire: requests with a content length, one after the other. */
import { concat } from "../endpoint/bytes.ts";

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  /** When its last byte was read. */
  readonly readMs: number;
}

const decoder = new TextDecoder();

export class RequestReader {
  #bytes: Uint8Array = new Uint8Array();
  #buffer = new Uint8Array(16 * 1024);
  #readMs = 0;

  constructor(readonly connection: Deno.TcpConn) {}

  async next(): Promise<HttpRequest | null> {
    let end = -1;
    while ((end = headEnd(this.#bytes)) < 0) {
      if (!await this.#more()) return null;
    }
    const [line = "", ...lines] = decoder.decode(this.#bytes.subarray(0, end)).split("\r\n");
    const headers = Object.fromEntries(lines.map((text) => {
      const colon = text.indexOf(":");
      return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()];
    }));
    const start = end + 4;
    const length = Number(headers["content-length"] ?? 0);
    while (this.#bytes.length < start + length) {
      if (!await this.#more()) return null;
    }
    const body = decoder.decode(this.#bytes.subarray(start, start + length));
    this.#bytes = this.#bytes.slice(start + length);
    const [method = "", path = ""] = line.split(" ");
    return { method, path, headers, body, readMs: this.#readMs };
  }

  async #more(): Promise<boolean> {
    const n = await this.connection.read(this.#buffer);
    this.#readMs = performance.now();
    if (n === null) return false;
    this.#bytes = concat([this.#bytes, this.#buffer.subarray(0, n)]);
    return true;
  }
}

function headEnd(bytes: Uint8Array): number {
  for (let i = 0; i + 3 < bytes.length; i++) {
    if (bytes[i] === 13 && bytes[i + 1] === 10 && bytes[i + 2] === 13 && bytes[i + 3] === 10) return i;
  }
  return -1;
}
