/** Sockets that stay open between requests. */

/** Where a connection leads. */
export interface Target {
  readonly hostname: string;
  readonly port: number;
  /** The value of the `host` header, which is also the key of the pool. */
  readonly host: string;
}

/**
 * The target of a plain http URL.
 *
 * ```ts
 * const { hostname, port, host } = targetOf(new URL("http://[::1]:5273/v1"));
 * if (hostname !== "::1" || port !== 5273 || host !== "[::1]:5273") throw new Error(host);
 * ```
 */
export function targetOf(url: URL): Target {
  return { hostname: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 80), host: url.host };
}

/** A message that is written directly into the sent buffer. */
export interface Message {
  readonly length: number;
  /** Writes the message into a buffer of `length` bytes. */
  fill(buffer: Uint8Array): void;
}

/** A socket that keeps reading while it is idle, so that it notices when the server closes it. */
export class Connection {
  /** Something came while the socket was idle (its end, an error, bytes): it must not be reused. */
  disturbed = false;
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

  /** Hands the message to the socket before this returns; resolves when the socket has taken all of it. */
  write(message: Message): Promise<void> {
    const buffer = this.#writer.buffer(message.length);
    message.fill(buffer);
    return this.#writer.send(buffer);
  }

  /**
   * The number of bytes that arrive next, null at the end; `taken` returns the bytes. There are two steps so
   * that the caller can read the clock before anything else is done.
   */
  arrival(): Promise<number | null> {
    const reading = this.#reading ?? this.socket.read(this.#buffer);
    this.#reading = null;
    return reading;
  }

  /** The bytes that arrived: valid until the next `arrival`, or until the connection is idle. */
  taken(n: number): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, n);
  }

  /** Keeps reading without keeping the process alive. */
  idle(): void {
    this.disturbed = false;
    const reading = this.socket.read(this.#buffer);
    this.#reading = reading;
    const disturb = () => {
      if (this.#reading === reading) this.disturbed = true;
    };
    reading.then(disturb, disturb);
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

  /** An idle connection; it does not keep the process alive until `wake` is called. */
  take(host: string): Connection | undefined {
    const kept = this.#idle.get(host);
    for (let connection = kept?.pop(); connection !== undefined; connection = kept?.pop()) {
      if (!connection.disturbed) return connection;
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

const BUFFER_BYTES = 4 * 1024;

/**
 * Sends each message in one call. Small messages share one buffer, since allocating is the slowest part of
 * sending a message in a process that was idle.
 *
 * ```ts
 * const sent: string[] = [];
 * const write = (bytes: Uint8Array) => Promise.resolve(sent.push(new TextDecoder().decode(bytes)) && bytes.length);
 * const writer = new SocketWriter({ write });
 * const buffer = writer.buffer(2);
 * buffer.set([72, 105]);
 * await writer.send(buffer);
 * if (sent.join() !== "Hi") throw new Error(sent.join());
 * ```
 */
export class SocketWriter {
  readonly #shared = new Uint8Array(BUFFER_BYTES);
  /** The socket has not taken the shared buffer yet. */
  #busy = false;

  constructor(private readonly socket: { write(bytes: Uint8Array): Promise<number> }) {}

  /** A buffer for a message of `bytes` bytes, to be filled and sent at once. */
  buffer(bytes: number): Uint8Array {
    return bytes > BUFFER_BYTES || this.#busy ? new Uint8Array(bytes) : this.#shared.subarray(0, bytes);
  }

  /** Hands the bytes to the socket before this returns; resolves when the socket has taken all of them. */
  async send(bytes: Uint8Array): Promise<void> {
    const isShared = bytes.buffer === this.#shared.buffer;
    if (isShared) this.#busy = true;
    for (let at = 0; at < bytes.length;) at += await this.socket.write(at === 0 ? bytes : bytes.subarray(at));
    if (isShared) this.#busy = false;
  }
}
