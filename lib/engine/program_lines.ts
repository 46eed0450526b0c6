/** The lines of JSON between a program that calls llama.cpp and the process that started it. */

/** Resolves with the first line of standard input; the end of the input, and so of the parent, ends the process. */
export function readOrder(): Promise<string> {
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

/** Writes one line to standard output: at once, since the parent must get the reason before this process ends. */
export function writeReport(report: unknown): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(report)}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}
