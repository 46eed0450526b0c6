/** Standard input of a child process: one line of options; its end tells that the parent has ended. */

/** Resolves with the first line of the input, and ends the process when the input ends. */
export function readOrders(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const watch = async () => {
    const pieces: string[] = [];
    const decoder = new TextDecoder();
    let isRead = false;
    for await (const bytes of Deno.stdin.readable) {
      if (isRead) continue;
      const piece = decoder.decode(bytes, { stream: true });
      const end = piece.indexOf("\n");
      pieces.push(end < 0 ? piece : piece.slice(0, end));
      isRead = end >= 0;
      if (isRead) resolve(pieces.join(""));
    }
    Deno.exit(0);
  };
  void watch();
  return promise;
}
