/** A notebook in JupyterLab in a browser: opened, run, stopped, and read from the page. */
import { delimiter, dirname, join } from "node:path";
import { z } from "zod";
import type { Browser, Page } from "playwright-core";
import { freePort } from "../../lib/program.ts";
import { isFile } from "../../lib/text_file.ts";
import type { Jupyter } from "./jupyter.ts";

/** What the page shows after a run; figures with their size in pixels, and the colours of text and background. */
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

export type Seen = z.infer<typeof seen>;

/**
 * Starts Chromium or Chrome without a window: the one that CHROME_PATH names, else one on the PATH, else Chrome where
 * it is usually installed. Null where there is none.
 */
export async function launchBrowser(): Promise<Browser | null> {
  // Playwright looks for a file below /proc, for which Deno asks for every permission; this keeps it from looking.
  Deno.env.set("__IS_WSL_TEST__", "1");
  const { chromium } = await import("playwright-core");
  const named = Deno.env.get("CHROME_PATH") ??
    await findOnPath(["chromium", "chromium-browser", "google-chrome"]);
  // In a container the user is root, and Chromium's own sandbox does not start.
  const options = { chromiumSandbox: false, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  if (named !== null) return await chromium.launch({ executablePath: named, ...options });
  return await chromium.launch({ channel: "chrome", ...options }).catch(() => null);
}

async function findOnPath(programs: readonly string[]): Promise<string | null> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(delimiter)) {
    for (const program of programs) {
      const path = join(folder, program);
      if (await isFile(path)) return path;
    }
  }
  return null;
}

/** A running JupyterLab. */
export interface Lab {
  /** The address of a notebook; NAME stands for its name. */
  readonly address: string;
  close(): Promise<void>;
}

/** Starts JupyterLab on a free port, with settings in `folder` that keep it from saving by itself. */
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
  return { address: `${base}/lab/workspaces/test/tree/NAME?reset&token=${token}`, close };
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

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The open notebook's panel, in the page. */
const panel = `[...(window.jupyterapp?.shell.widgets("main") ?? [])].find((each) => each.context)`;
const cells = `[...${panel}.content.model.cells].filter((cell) => cell.type === "code")`;
const idle = `${panel}?.sessionContext?.session?.kernel?.status === "idle"`;

/** Waits until an expression is true in the page. */
export async function until(page: Page, expression: string, what: string, timeout: number): Promise<void> {
  await page.waitForFunction(expression, undefined, { timeout, polling: 100 }).catch((error: unknown) => {
    throw new Error(`${what}: not within ${timeout / 1000} s`, { cause: error });
  });
}

/** Opens a notebook and waits until its kernel is idle, and stays so. */
export async function openNotebook(page: Page, lab: Lab, name: string): Promise<void> {
  await page.emulateMedia({ colorScheme: "light" });
  await page.goto(lab.address.replace("NAME", `${name}.ipynb`));
  await until(page, idle, `the kernel of ${name} is ready`, 60_000);
  // The kernel says that it is idle once before it can answer.
  await pause(2000);
  await until(page, idle, `the kernel of ${name} is ready`, 60_000);
}

/** Run → Run All Cells, without waiting for the end. */
export async function runAll(page: Page): Promise<void> {
  await page.evaluate(`void window.jupyterapp.commands.execute("notebook:run-all-cells")`);
  await until(page, `!(${idle})`, "the kernel starts to work", 10_000);
}

/** Waits until every cell has run and the kernel is idle. */
export async function untilDone(page: Page, timeoutMs: number): Promise<void> {
  await until(
    page,
    `${idle} && ${cells}.every((cell) => cell.executionCount !== null)`,
    "the notebook comes to its end",
    timeoutMs,
  );
  await pause(500);
}

/** Presses the Stop button (■) with the mouse. */
export async function pressStop(page: Page): Promise<void> {
  await page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]').click();
}

/** Switches the page to a theme and waits until JupyterLab has followed. */
export async function switchTheme(page: Page, theme: "light" | "dark"): Promise<void> {
  await page.emulateMedia({ colorScheme: theme });
  const light = theme === "light";
  await until(page, `document.body.dataset.jpThemeLight === "${light}"`, `the ${theme} theme`, 10_000);
  // While the theme's style sheet loads, the page has no layout.
  const laidOut =
    `[...document.querySelectorAll(".jp-OutputArea figure svg")].every((svg) => svg.clientWidth > 0)`;
  await until(page, laidOut, `figures in the ${theme} theme`, 10_000);
}

/** Reads what the page shows. A cell that may be silent says so in its metadata. */
export async function readPage(page: Page): Promise<Seen> {
  return seen.parse(
    await page.evaluate(`(() => {
      const cells = ${cells};
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

/** Takes one picture per output of the notebook. */
export async function pictures(page: Page): Promise<Uint8Array[]> {
  await page.evaluate(`window.jupyterapp.shell.collapseLeft()`);
  const taken: Uint8Array[] = [];
  for (const output of await page.locator(".jp-OutputArea-output").all()) {
    if (await output.isVisible()) taken.push(await output.screenshot({ animations: "disabled" }));
  }
  return taken;
}
