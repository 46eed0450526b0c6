/**
 * A browser may not show what the kernel sends. This opens notebooks in JupyterLab in a real browser, runs
 * all cells, checks the figures in the light and the dark theme, and presses Stop in the middle of a
 * measurement.
 *
 *   deno task test:browser                              notebook 01 on both themes, Stop in notebook 03
 *   deno task test:browser 03 04 05 --shots pictures    these, in the short setting, with pictures to look at
 */
import { join } from "node:path";
import { bareCommand, ROOT, runTask } from "./cli.ts";
import { option, pathValue } from "./options.ts";
import type { Page } from "playwright-core";
import { findNotebooks } from "./notebook/files.ts";
import { FaultReport } from "./notebook/judge.ts";
import { prepareJupyter } from "./notebook/jupyter.ts";
import {
  type Lab,
  launchBrowser,
  openNotebook,
  pictures,
  pressStop,
  readPage,
  runAll,
  startLab,
  switchTheme,
  until,
  untilDone,
} from "./notebook/lab.ts";

const notebooks = join(ROOT, "notebooks");
const themes = ["light", "dark"] as const;

interface Options {
  readonly shots?: string;
}

const command = bareCommand("test:browser")
  .argument("[names...]", "the starts of notebooks' names (default: 01, and Stop in 03)")
  .addOptions([
    option("--shots <folder>", "write a picture of each output in each theme to this folder", pathValue),
  ]);

await runTask(command, test);

async function test(names: readonly string[], options: Options): Promise<number> {
  await using browser = await launchBrowser();
  if (browser === null) {
    console.warn(
      "SKIPPED: no Chromium or Chrome was found (set CHROME_PATH): no notebook was opened in a browser",
    );
    return 0;
  }
  const jupyter = await prepareJupyter(ROOT, console.error);
  const folder = await Deno.makeTempDir({ dir: join(ROOT, ".venv"), prefix: "browser-" });
  const env = { ...jupyter.env, PODIUM_SHORT: "1" };
  try {
    const lab = await startLab({ ...jupyter, env }, notebooks, folder);
    try {
      const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
      return await testAll(page, lab, names, options);
    } finally {
      await lab.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function testAll(page: Page, lab: Lab, starts: readonly string[], options: Options): Promise<number> {
  const report = new FaultReport();
  for (const name of await findNotebooks(notebooks, starts.length === 0 ? ["01"] : starts)) {
    await report.test(`${name} on both themes`, () => runAndCheck(page, lab, name, options));
  }
  if (starts.length === 0) {
    const [third = ""] = await findNotebooks(notebooks, ["03"]);
    await report.test(`${third}: Stop in the middle of a measurement`, () => stopAndGoOn(page, lab, third));
  }
  return report.finish();
}

/** Runs a notebook once, then checks it in every theme. */
async function runAndCheck(
  page: Page,
  lab: Lab,
  name: string,
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
    const { errors, notRun, silent, figures } = await readPage(page);
    faults.push(...errors);
    if (notRun > 0) faults.push(`${theme}: ${notRun} cells did not run`);
    if (silent > 0) faults.push(`${theme}: ${silent} cells show nothing`);
    if (figures.length !== promised) faults.push(`${theme}: ${figures.length} figures, ${promised} promised`);
    for (const { title, width, height, text, ground } of figures) {
      grounds.add(ground);
      if (width < 600 || height < 60) faults.push(`${theme}: "${title}" is ${width} × ${height} pixels`);
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
  const { errors } = await readPage(page);
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
