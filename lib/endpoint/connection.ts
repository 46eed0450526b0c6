/** Sockets that are kept open between requests. */

/** A socket that always has one read under way, so that a server's goodbye is noticed while it idles. */
export class Connection {
  #buffer = new Uint8Array(16 * 1024);
  #reading: Promise<number | null> | null = null;
  #closed = false;
  /** The idle socket said something: end of file, an error, or bytes nobody asked for. */
  stirred = false;

  private constructor(private readonly socket: Deno.TcpConn) {}

  static async open(url: URL, signal: AbortSignal | undefined): Promise<Connection> {
    const hostname = url.hostname.replace(/^\[|\]$/g, "");
    const port = Number(url.port || 80);
    const socket = await Deno.connect({ hostname, port, ...(signal === undefined ? {} : { signal }) });
    socket.setNoDelay(true);
    return new Connection(socket);
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.socket.write(bytes.subarray(at));
  }

  /** The next bytes, valid until the next call; null at the end. */
  async read(): Promise<Uint8Array | null> {
    const reading = this.#reading ?? this.socket.read(this.#buffer);
    this.#reading = null;
    const n = await reading;
    return n === null ? null : this.#buffer.subarray(0, n);
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

  take(host: string): Connection | undefined {
    const kept = this.#idle.get(host);
    for (let connection = kept?.pop(); connection !== undefined; connection = kept?.pop()) {
      if (!connection.stirred) {
        connection.wake();
        return connection;
      }
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
