/** A notebook in JupyterLab as a person sees it: opened, run, stopped, looked at. */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Page } from "./devtools.ts";
import type { Jupyter } from "./jupyter.ts";

/** What stands on the screen after a run. */
export interface Seen {
  readonly errors: readonly string[];
  readonly notRun: number;
  readonly silent: number;
  /** Figures with their size in pixels, and the colours of their text and of the page below. */
  readonly figures: readonly { title: string; width: number; height: number; text: string; ground: string }[];
}

const seen = z.object({
  errors: z.array(z.string()),
  notRun: z.number(),
  silent: z.number(),
  figures: z.array(z.object({
    title: z.string(),
    width: z.number(),
    height: z.number(),
    text: z.string(),
    ground: z.string(),
  })),
});

export interface Lab {
  readonly address: string;
  close(): Promise<void>;
}

/** A JupyterLab on a free port, whose settings lie in `folder`: it saves nothing by itself. */
export async function startLab(jupyter: Jupyter, notebooks: string, folder: string): Promise<Lab> {
  const settings = join(folder, "settings");
  const plugin = join(settings, "@jupyterlab", "docmanager-extension", "plugin.jupyterlab-settings");
  await Deno.mkdir(dirname(plugin), { recursive: true });
  await Deno.writeTextFile(plugin, '{ "autosave": false }');
  const port = freePort();
  const token = crypto.randomUUID();
  const child = new Deno.Command(jupyter.python, {
    args: [
      "-m",
      "jupyterlab",
      "--no-browser",
      "--LabApp.expose_app_in_browser=True",
      "--ServerApp.ip=127.0.0.1",
      `--ServerApp.port=${port}`,
      "--ServerApp.port_retries=0",
      `--ServerApp.root_dir=${notebooks}`,
      `--IdentityProvider.token=${token}`,
      ...(Deno.build.os !== "windows" && Deno.uid() === 0 ? ["--allow-root"] : []),
    ],
    env: {
      ...jupyter.env,
      JUPYTERLAB_SETTINGS_DIR: settings,
      JUPYTERLAB_WORKSPACES_DIR: join(folder, "workspaces"),
    },
    cwd: notebooks,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const base = `http://127.0.0.1:${port}`;
  const close = async () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has already ended.
    }
    await child.status;
  };
  try {
    await untilAnswering(`${base}/api?token=${token}`);
  } catch (error) {
    await close();
    throw error;
  }
  return { address: `${base}/lab/workspaces/looking/tree/NAME?reset&token=${token}`, close };
}

async function untilAnswering(url: string): Promise<void> {
  const end = performance.now() + 60_000;
  while (performance.now() < end) {
    try {
      const response = await fetch(url);
      await response.body?.cancel();
      if (response.ok) return;
    } catch {
      // It does not listen yet.
    }
    await pause(200);
  }
  throw new Error("JupyterLab does not answer within 60 s");
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The open notebook's panel, in the page. */
const panel = `[...(window.jupyterapp?.shell.widgets("main") ?? [])].find((each) => each.context)`;
const idle = `${panel}?.sessionContext?.session?.kernel?.status === "idle"`;

/** Opens a notebook and waits until its kernel is idle, and stays so. */
export async function openNotebook(
  page: Page,
  lab: Lab,
  name: string,
  theme: "light" | "dark",
): Promise<void> {
  await page.send("Emulation.setEmulatedMedia", {
    features: [{ name: "prefers-color-scheme", value: theme }],
  });
  await page.send("Emulation.setDeviceMetricsOverride", {
    width: 1100,
    height: 900,
    deviceScaleFactor: 1,
    mobile: false,
  });
  await page.send("Page.navigate", { url: lab.address.replace("NAME", `${name}.ipynb`) });
  await page.until(idle, `the kernel of ${name} gets ready`);
  // The kernel says idle once before it can be asked anything.
  await pause(2000);
  await page.until(idle, `the kernel of ${name} gets ready`);
}

/** Run → Run All Cells, without waiting for the end. */
export async function runAll(page: Page): Promise<void> {
  await page.evaluate(`void window.jupyterapp.commands.execute("notebook:run-all-cells")`);
  await page.until(`!(${idle})`, "the kernel starts to work", 10_000);
}

/** Waits until every cell has run and the kernel rests. */
export async function untilDone(page: Page, timeoutMs: number): Promise<void> {
  const cells = `[...${panel}.content.model.cells].filter((cell) => cell.type === "code")`;
  await page.until(
    `${idle} && ${cells}.every((cell) => cell.executionCount !== null)`,
    "the notebook comes to its end",
    timeoutMs,
  );
  await pause(500);
}

/** The Stop button (■), pressed with the mouse. */
export async function pressStop(page: Page): Promise<void> {
  const { x, y } = z.object({ x: z.number(), y: z.number() }).parse(
    await page.evaluate(`(() => {
      const box = document.querySelector('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]').getBoundingClientRect();
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    })()`),
  );
  for (const type of ["mouseMoved", "mousePressed", "mouseReleased"]) {
    await page.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
  }
}

/** What is on the screen. A cell that may be silent says so in its metadata. */
export async function look(page: Page): Promise<Seen> {
  return seen.parse(
    await page.evaluate(`(() => {
      const cells = [...${panel}.content.model.cells].filter((cell) => cell.type === "code");
      const outputs = (cell) => Array.from({ length: cell.outputs.length }, (_, at) => cell.outputs.get(at));
      const ground = (node) => {
        for (let each = node; each; each = each.parentElement) {
          const color = getComputedStyle(each).backgroundColor;
          if (!/^rgba\\(.*, 0\\)$|^transparent$/.test(color)) return color;
        }
        return "rgb(255, 255, 255)";
      };
      return {
        errors: cells.flatMap((cell) => outputs(cell).filter((one) => one.type === "error")
          .map((one) => one.toJSON().ename + ": " + one.toJSON().evalue)),
        notRun: cells.filter((cell) => cell.executionCount === null).length,
        silent: cells.filter((cell) => !cell.getMetadata("quiet") && cell.outputs.length === 0).length,
        figures: [...document.querySelectorAll(".jp-OutputArea figure")].map((figure) => {
          const { width, height } = figure.querySelector("svg").getBoundingClientRect();
          const label = figure.querySelector("svg text") ?? figure;
          return {
            title: figure.querySelector("title").textContent,
            width, height, text: getComputedStyle(label).fill, ground: ground(figure),
          };
        }),
      };
    })()`),
  );
}

/** One picture a figure, as it stands in the window, the side bar folded. */
export async function pictures(page: Page): Promise<Uint8Array[]> {
  await page.evaluate(`window.jupyterapp.shell.collapseLeft()`);
  const count = z.number().parse(
    await page.evaluate(`document.querySelectorAll(".jp-OutputArea figure").length`),
  );
  const taken: Uint8Array[] = [];
  for (let at = 0; at < count; at++) {
    await page.evaluate(
      `document.querySelectorAll(".jp-OutputArea figure")[${at}].scrollIntoView({ block: "end", behavior: "instant" })`,
    );
    taken.push(await page.screenshot());
  }
  return taken;
}
