/** Sockets that are kept open between requests. */
import { SocketWriter } from "./socket_writer.ts";

/** Where a connection leads. */
export interface Target {
  readonly hostname: string;
  readonly port: number;
  /** As the header `host` names it; connections are kept by it. */
  readonly host: string;
}

/**
 * Where a URL of plain http leads.
 *
 * ```ts
 * const { hostname, port, host } = targetOf(new URL("http://[::1]:5273/v1"));
 * if (hostname !== "::1" || port !== 5273 || host !== "[::1]:5273") throw new Error(host);
 * ```
 */
export function targetOf(url: URL): Target {
  return { hostname: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 80), host: url.host };
}

/** A message that is written once it has a place to be written to. */
export interface Message {
  readonly length: number;
  fill(room: Uint8Array): void;
}

/** A socket that always has one read under way while it idles, so that a server's goodbye is noticed. */
export class Connection {
  /** The idle socket said something: end of file, an error, or bytes nobody asked for. */
  stirred = false;
  #buffer = new Uint8Array(16 * 1024);
  #reading: Promise<number | null> | null = null;
  #closed = false;
  #writer: SocketWriter;

  private constructor(private readonly socket: Deno.TcpConn) {
    this.#writer = new SocketWriter(socket);
  }

  static async open({ hostname, port }: Target, signal: AbortSignal): Promise<Connection> {
    const socket = await Deno.connect({ hostname, port, signal });
    socket.setNoDelay(true);
    return new Connection(socket);
  }

  /** The socket is handed the message before this returns; the promise is for what it could not take at once. */
  write(message: Message): Promise<void> {
    const room = this.#writer.room(message.length);
    message.fill(room);
    return this.#writer.send(room);
  }

  /**
   * The number of bytes that come next, null at the end; `taken` gives them. In two steps, so that nothing
   * stands between their arrival and whoever reads the clock.
   */
  arrival(): Promise<number | null> {
    const reading = this.#reading ?? this.socket.read(this.#buffer);
    this.#reading = null;
    return reading;
  }

  /** Valid until the next `arrival` is asked for, or the connection idles. */
  taken(n: number): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, n);
  }

  /** Keeps listening without keeping the process alive. */
  idle(): void {
    this.stirred = false;
    const reading = this.socket.read(this.#buffer);
    this.#reading = reading;
    const stir = () => {
      if (this.#reading === reading) this.stirred = true;
    };
    reading.then(stir, stir);
    this.socket.unref();
  }

  wake(): void {
    this.socket.ref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.socket.close();
  }
}

/** Idle connections by host. */
export class Pool {
  #idle = new Map<string, Connection[]>();
  #closed = false;

  /** One that still keeps nobody's process alive: `wake` it as soon as the request is out. */
  take(host: string): Connection | undefined {
    const kept = this.#idle.get(host);
    for (let connection = kept?.pop(); connection !== undefined; connection = kept?.pop()) {
      if (!connection.stirred) return connection;
      connection.close();
    }
    return undefined;
  }

  give(host: string, connection: Connection): void {
    if (this.#closed) return connection.close();
    const kept = this.#idle.get(host);
    if (kept === undefined) this.#idle.set(host, [connection]);
    else kept.push(connection);
    connection.idle();
  }

  close(): void {
    this.#closed = true;
    for (const kept of this.#idle.values()) {
      for (const connection of kept) connection.close();
    }
    this.#idle.clear();
  }
}
