/** A server that sends each connection prepared bytes, whatever it is asked. */
import { timedRequest } from "../../lib/endpoint/timed_request.ts";
import { timedClient } from "../../lib/endpoint/timed_client.ts";
import type { Trace } from "../../lib/endpoint/trace.ts";
import { clock, hello } from "./helpers.ts";

export const HEADS = {
  chunked: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
  close: "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
};

/** What one connection is sent, in which pieces, and whether it is closed afterwards. */
export interface Attack {
  readonly pieces: readonly Uint8Array[];
  readonly closes: boolean;
}

/** Answers each connection with the next attack, whatever it asks. */
async function under<T>(attacks: readonly Attack[], use: (baseUrl: string) => Promise<T>): Promise<T> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  let next = 0;
  const serve = async (connection: Deno.TcpConn, attack: Attack | undefined) => {
    try {
      await connection.read(new Uint8Array(16 * 1024));
      for (const piece of attack?.pieces ?? []) {
        for (let at = 0; at < piece.length;) at += await connection.write(piece.subarray(at));
        if (attack !== undefined && attack.pieces.length > 1) await new Promise((r) => setTimeout(r, 0));
      }
      if (attack?.closes === false) await connection.read(new Uint8Array(1));
    } catch {
      // The client went: it may.
    } finally {
      open.delete(connection);
      connection.close();
    }
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      open.add(connection);
      serving.push(serve(connection, attacks[next++ % attacks.length]));
    }
  })();
  try {
    return await use(`http://127.0.0.1:${listener.addr.port}/v1`);
  } finally {
    listener.close();
    await accepting;
    for (const connection of open) {
      try {
        connection.closeWrite();
      } catch {
        // already closed from the other side
      }
    }
    await Promise.all(serving);
  }
}

/** One request to each attack, ten at a time. */
export async function traces(attacks: readonly Attack[], timeoutMs: number): Promise<Trace[]> {
  return await under(attacks, async (baseUrl) => {
    const found: Trace[] = [];
    const transport = timedClient({ clock, fetch });
    const options = { clock, timeoutMs, post: transport.post };
    let left = attacks.length;
    const client = async () => {
      while (left-- > 0) found.push(await timedRequest({ name: "hostile", baseUrl }, hello, options));
    };
    try {
      await Promise.all(Array.from({ length: 10 }, client));
    } finally {
      transport.close();
    }
    return found;
  });
}
