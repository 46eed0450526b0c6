/** The fake endpoint in a process of its own, so that it doesn't disturb the process that measures. */
import { z } from "zod";
import { UserError } from "../errors.ts";

const started = z.object({ baseUrl: z.string() });

/**
 * Starts the fake endpoint in its own process; disposing ends it.
 *
 * @param options one behaviour, or `{ models }`, as `fake_endpoint.ts` takes them
 * @throws {UserError} where the process does not start
 *
 * ```ts ignore
 * await using fake = await startFakeProcess({ ttftMs: 50, itlMs: 10, tokens: 64 });
 * console.log(fake.baseUrl);
 * ```
 */
export async function startFakeProcess(
  options: unknown,
): Promise<{ readonly baseUrl: string } & AsyncDisposable> {
  const program = new URL("./fake_endpoint.ts", import.meta.url).href;
  // A small heap for new objects: garbage collection must not cause delays that the log does not show.
  const flags = ["--quiet", "--v8-flags=--max-semi-space-size=4", "--no-prompt", "--allow-net=127.0.0.1"];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...flags, program, JSON.stringify(options)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await output.read();
    if (done) throw new UserError("the fake endpoint did not start: its error is above", 1);
    text += value;
  }
  return {
    baseUrl: started.parse(JSON.parse(text)).baseUrl,
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await child.status;
      await output.cancel();
    },
  };
}
