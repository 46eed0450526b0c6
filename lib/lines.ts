/**
 * Splits text into its lines, without their ends.
 *
 * ```ts
 * const lines = ReadableStream.from(["a\nb", "c\r\n", "d"]).pipeThrough(new TextLineStream());
 * if ((await Array.fromAsync(lines)).join("|") !== "a|bc|d") throw new Error("three lines");
 * ```
 */
export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(text, controller) {
        const lines = (rest + text).split(/\r?\n/);
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}
