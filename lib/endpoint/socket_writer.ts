/** Writing to a socket, out of memory that is used again and again. */

const ROOM_BYTES = 4 * 1024;

/**
 * What belongs together goes out in one call. Small messages are put together in one place, always the same: in
 * a process that has been idle, allocating is the dearest part of sending them.
 *
 * ```ts
 * const sent: string[] = [];
 * const write = (bytes: Uint8Array) => Promise.resolve(sent.push(new TextDecoder().decode(bytes)) && bytes.length);
 * const writer = new SocketWriter({ write });
 * const room = writer.room(2);
 * room.set([72, 105]);
 * await writer.send(room);
 * if (sent.join() !== "Hi") throw new Error(sent.join());
 * ```
 */
export class SocketWriter {
  readonly #own = new Uint8Array(ROOM_BYTES);
  /** The socket has not taken yet what is in our own room. */
  #busy = false;

  constructor(private readonly socket: { write(bytes: Uint8Array): Promise<number> }) {}

  /** Room for a message of so many bytes, to be filled and sent at once. */
  room(bytes: number): Uint8Array {
    return bytes > ROOM_BYTES || this.#busy ? new Uint8Array(bytes) : this.#own.subarray(0, bytes);
  }

  /** The socket is handed the bytes before this returns; the promise is for what it could not take at once. */
  async send(bytes: Uint8Array): Promise<void> {
    const owns = bytes.buffer === this.#own.buffer;
    if (owns) this.#busy = true;
    for (let at = 0; at < bytes.length;) at += await this.socket.write(at === 0 ? bytes : bytes.subarray(at));
    if (owns) this.#busy = false;
  }
}
