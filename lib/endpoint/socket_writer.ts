/** Writes to a socket from a buffer that is reused. */

const BUFFER_BYTES = 4 * 1024;

/**
 * Sends each message in one call. Small messages share one buffer, since allocating is the slowest part of sending a
 * message in a process that was idle.
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
