/**
 * WHY: what the kernel sends is one thing, what a person sees another. This opens notebooks in a real
 * JupyterLab in a real browser: runs all cells, looks at the figures on a light and a dark theme, and presses
 * Stop in the middle of a measurement.
 *
 *   deno task test:browser                              notebook 01 on both themes, Stop in notebook 03
 *   deno task test:browser 03 04 05 --shots pictures    these, in the short setting, with pictures to look at
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../lib/errors.ts";
import { bareCommand, pathValue, runCli } from "./cli.ts";
import type { Page } from "playwright-core";
import { notebookNames } from "./notebook/files.ts";
import { prepareJupyter } from "./notebook/jupyter.ts";
import {
  type Lab,
  launchBrowser,
  look,
  openNotebook,
  pictures,
  pressStop,
  runAll,
  startLab,
  switchTheme,
  until,
  untilDone,
} from "./notebook/lab.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const notebooks = join(root, "notebooks");
type Theme = "light" | "dark";

interface Options {
  readonly shots?: string;
}

await runCli(async () => {
  let code = 0;
  const program = bareCommand("test:browser", "Runs, stops and looks at notebooks in a real browser.")
    .argument("[names...]", "notebooks by the start of their name (default: 01, and Stop in 03)")
    .option("--shots <folder>", "write a picture of each figure on each theme there", pathValue)
    .action(async (names: string[], options: Options) => {
      code = await test(names, options);
    });
  await program.parseAsync(Deno.args, { from: "user" });
  return code;
});

async function test(names: readonly string[], options: Options): Promise<number> {
  await using browser = await launchBrowser();
  if (browser === null) {
    console.warn(
      "SKIPPED: no Chromium or Chrome was found (set CHROME_PATH): no notebook was opened in a browser",
    );
    return 0;
  }
  const jupyter = await prepareJupyter(root, console.error);
  const folder = await Deno.makeTempDir({ dir: join(root, ".venv"), prefix: "browser-" });
  const env = { ...jupyter.env, PODIUM_SHORT: "1" };
  try {
    const lab = await startLab({ ...jupyter, env }, notebooks, folder);
    try {
      const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
      return await judgeAll(page, lab, names, options);
    } finally {
      await lab.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function judgeAll(page: Page, lab: Lab, names: readonly string[], options: Options): Promise<number> {
  let failed = 0, passed = 0;
  const judge = async (name: string, work: () => Promise<string[]>) => {
    const started = performance.now();
    const faults = await work().catch((error: unknown) => [String(error)]);
    if (faults.length === 0) passed++;
    else failed++;
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${faults.length === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
    for (const fault of faults) console.log(`       ${fault}`);
  };
  const all = await notebookNames(notebooks);
  const wanted = names.length === 0 ? ["01"] : names;
  for (const part of wanted) {
    if (!all.some((each) => each.startsWith(part))) {
      throw new UserError(
        `no notebook's name starts with ${JSON.stringify(part)}: there are ${all.join(", ")}`,
      );
    }
  }
  for (const name of all.filter((each) => wanted.some((part) => each.startsWith(part)))) {
    await judge(`${name} on both themes`, () => runAndLook(page, lab, name, ["light", "dark"], options));
  }
  if (names.length === 0) {
    const third = all.find((each) => each.startsWith("03")) ?? "";
    await judge(`${third}: Stop in the middle of a measurement`, () => stopAndGoOn(page, lab, third));
  }
  console.log(`\n${failed === 0 ? "ok" : "FAILED"} | ${passed} passed | ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Run once; then every theme is put on, and looked at. */
async function runAndLook(
  page: Page,
  lab: Lab,
  name: string,
  themes: readonly Theme[],
  { shots }: Options,
): Promise<string[]> {
  const faults: string[] = [];
  const grounds = new Set<string>();
  const promised = await figuresPromised(name);
  await openNotebook(page, lab, name);
  await runAll(page);
  await untilDone(page, 300_000);
  for (const theme of themes) {
    await switchTheme(page, theme);
    const { errors, notRun, silent, figures } = await look(page);
    faults.push(...errors);
    if (notRun > 0) faults.push(`${theme}: ${notRun} cells did not run`);
    if (silent > 0) faults.push(`${theme}: ${silent} cells show nothing`);
    if (figures.length !== promised) faults.push(`${theme}: ${figures.length} figures, ${promised} promised`);
    for (const { title, width, height, text, ground } of figures) {
      grounds.add(ground);
      if (width < 300 || height < 60) faults.push(`${theme}: "${title}" is ${width} × ${height} pixels`);
      const contrast = contrastOf(text, ground);
      if (!(contrast >= 4.5)) {
        faults.push(`${theme}: text of "${title}" has a contrast of ${contrast.toFixed(1)}: 1`);
      }
    }
    if (shots !== undefined) {
      await Deno.mkdir(shots, { recursive: true });
      for (const [at, png] of (await pictures(page)).entries()) {
        await Deno.writeFile(join(shots, `${name}-${theme}-${at + 1}.png`), png);
      }
    }
  }
  if (promised > 0 && grounds.size < themes.length) faults.push("the two themes have one background");
  return faults;
}

async function stopAndGoOn(page: Page, lab: Lab, name: string): Promise<string[]> {
  await openNotebook(page, lab, name);
  await runAll(page);
  await until(
    page,
    `document.querySelector(".jp-OutputArea progress[value]")?.value >= 12`,
    "a measurement is under way",
    120_000,
  );
  await pressStop(page);
  await until(
    page,
    `/Ended early/.test(document.querySelector(".jp-Notebook").textContent)`,
    "the measurement says that it ended early",
    30_000,
  );
  await untilDone(page, 120_000);
  const { errors } = await look(page);
  return [...errors];
}

/** `rgb(…)` colours' contrast ratio by WCAG 2.1. */
function contrastOf(a: string, b: string): number {
  const luminance = (color: string) => {
    const [red = 0, green = 0, blue = 0] = (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number)
      .map((part) => part / 255).map((part) =>
        part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      );
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

async function figuresPromised(name: string): Promise<number> {
  const source = await Deno.readTextFile(join(notebooks, `${name}.ts`));
  return [...source.matchAll(/^\/\/ %%.*\bfigures=(\d+)/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}
