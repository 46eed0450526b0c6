/**
 * A browser without a window, driven over the DevTools protocol: as much of it as looking at a notebook
 * takes, in the place of a library with a browser of its own.
 */
import { join } from "node:path";
import { z } from "zod";

/** Chromium or Chrome, by its command; null where there is none. CHROME_PATH names another one. */
export async function findBrowser(): Promise<string | null> {
  const named = Deno.env.get("CHROME_PATH");
  const candidates = [
    ...(named === undefined ? [] : [named]),
    "chromium",
    "chromium-browser",
    "google-chrome",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
  ];
  for (const command of candidates) {
    try {
      const { success } = await new Deno.Command(command, {
        args: ["--version"],
        stdout: "null",
        stderr: "null",
      })
        .output();
      if (success) return command;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}

const message = z.object({
  id: z.number().optional(),
  result: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
});
const evaluated = z.object({
  result: z.object({ value: z.unknown().optional() }),
  exceptionDetails: z.object({
    text: z.string(),
    exception: z.object({ description: z.string().optional() }).optional(),
  }).optional(),
});

/** One page of a browser that ends with it. */
export class Page {
  readonly #socket: WebSocket;
  readonly #child: Deno.ChildProcess;
  readonly #session: string;
  readonly #waiting: Map<number, (reply: z.infer<typeof message>) => void>;
  #last = 100;

  private constructor(
    parts: {
      socket: WebSocket;
      child: Deno.ChildProcess;
      session: string;
      waiting: Map<number, (reply: z.infer<typeof message>) => void>;
    },
  ) {
    this.#socket = parts.socket;
    this.#child = parts.child;
    this.#session = parts.session;
    this.#waiting = parts.waiting;
  }

  /** Starts a browser with a profile of its own below `folder` and opens an empty page. */
  static async open(browser: string, folder: string): Promise<Page> {
    const child = new Deno.Command(browser, {
      args: [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        `--user-data-dir=${join(folder, "browser")}`,
        "--window-size=1100,900",
        "about:blank",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const socket = new WebSocket(await debuggerAddress(child));
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = () => reject(new Error("The browser does not answer on its debugging port"));
    });
    const waiting = new Map<number, (reply: z.infer<typeof message>) => void>();
    socket.onmessage = ({ data }) => {
      const reply = message.parse(JSON.parse(String(data)));
      if (reply.id === undefined) return;
      waiting.get(reply.id)?.(reply);
      waiting.delete(reply.id);
    };
    const ask = (id: number, method: string, params: object) =>
      new Promise<z.infer<typeof message>>((resolve) => {
        waiting.set(id, resolve);
        socket.send(JSON.stringify({ id, method, params }));
      });
    const { result: made } = await ask(1, "Target.createTarget", { url: "about:blank" });
    const { targetId } = z.object({ targetId: z.string() }).parse(made);
    const { result: attached } = await ask(2, "Target.attachToTarget", { targetId, flatten: true });
    const { sessionId } = z.object({ sessionId: z.string() }).parse(attached);
    return new Page({ socket, child, session: sessionId, waiting });
  }

  /** One command of the protocol. */
  async send(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#last;
    const reply = await new Promise<z.infer<typeof message>>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    });
    if (reply.error !== undefined) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result;
  }

  /** The value of an expression in the page; a promise is awaited. */
  async evaluate(expression: string): Promise<unknown> {
    const reply = evaluated.parse(
      await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }),
    );
    const { exceptionDetails: thrown } = reply;
    if (thrown !== undefined) throw new Error(thrown.exception?.description ?? thrown.text);
    return reply.result.value;
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string, what: string, timeoutMs = 60_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (performance.now() < end) {
      if (await this.evaluate(`Boolean(${expression})`) === true) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
  }

  /** What the window shows, as a PNG. */
  async screenshot(): Promise<Uint8Array> {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { data } = z.object({ data: z.string() }).parse(
      await this.send("Page.captureScreenshot", { format: "png" }),
    );
    return Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  }

  async close(): Promise<void> {
    this.#socket.close();
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has already ended.
    }
    await this.#child.status;
  }
}

/** Chromium says on its standard error where it listens; the rest of that is read and dropped. */
async function debuggerAddress(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The browser ended at once: ${said.trim().split("\n").at(-1) ?? ""}`);
    said += value;
    const address = /DevTools listening on (ws:\S+)/.exec(said)?.[1];
    if (address === undefined) continue;
    (async () => {
      while (!(await reader.read()).done);
    })();
    return address;
  }
}
