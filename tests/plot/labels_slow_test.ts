/// <reference lib="dom" />
/** Every figure drawn in a real browser: no label lies on another one, on a shade, or leaves the picture. */
import assert from "node:assert/strict";
import { type Figure, figureWidth } from "../../lib/plot/figure.ts";
import { boxPlot } from "../../lib/plot/box.ts";
import { confusionPlot } from "../../lib/plot/confusion.ts";
import { curvePlot } from "../../lib/plot/curve.ts";
import { dotPlot } from "../../lib/plot/dots.ts";
import { ecdfPlot } from "../../lib/plot/ecdf.ts";
import { memoryPlot } from "../../lib/plot/memory.ts";
import { paretoPlot } from "../../lib/plot/pareto.ts";
import { costPlot, evidencePlot } from "../../lib/plot/race.ts";
import { ratePlot } from "../../lib/plot/rate.ts";
import { ratioPlot } from "../../lib/plot/ratio.ts";
import { beliefPlot, regretPlot, repeatedTestingPlot } from "../../lib/plot/simulations.ts";
import { timelinePlot } from "../../lib/plot/timeline.ts";
import { launchBrowser } from "../../scripts/notebook/lab.ts";

const title = "A figure";
const caption = "n = 1";
const upTo = (n: number) => Array.from({ length: n }, (_, at) => at + 1);
const longName = (at: number) =>
  `organisation/model-of-many-words-${at}:q4_k_m+threads=${at}@a-long-endpoint-name`;

/** Every kind of figure for one list of names, with values that span `decades` powers of ten. */
function figuresOf(names: readonly string[], decades: number): Record<string, Figure> {
  const at = (index: number) => 10 ** (-2 + decades * (index + 1) / names.length);
  const values = (index: number) => upTo(9).map((step) => at(index) * (1 + step / 40));
  const groups = ["short", "a prompt with a long name ".repeat(4)];
  const shares = names.map((label, index) => ({ label, rate: index / names.length }));
  const pairs = names.map((name, index) => `${name} / ${names[index - 1] ?? "b"}`);
  const requests = upTo(900).map((step) => step / 900);
  return {
    ecdf: ecdfPlot(names.map((name, index) => ({ name, values: values(index) })), {
      title,
      metric: "latency",
    }),
    boxes: boxPlot(
      groups.flatMap((group) => names.map((series, index) => ({ series, group, values: values(index) }))),
      { title, metric: "time to first token" },
    ),
    timeline: timelinePlot(
      groups.flatMap((group) =>
        names.map((series, index) => ({ series, group, chunks: values(index).map((value) => value * 2) }))
      ),
      { title, selection: "2 of 9 blocks" },
    ),
    ratios: ratioPlot(
      pairs.map((label, index) => ({
        label,
        ratio: at(index),
        interval: [at(index) * 0.8, at(index) * 1.3],
      })),
      { title, over: "second faster", under: "first faster", epsilon: 0.1, caption },
    ),
    "ratios near 1": ratioPlot(
      pairs.map((label, index) => ({ label, ratio: 1 + index / 50, interval: null })),
      { title, over: "second faster", under: "first faster", epsilon: 0.1, caption },
    ),
    dots: dotPlot(
      names.flatMap((series, index) => groups.map((row) => ({ row, series, value: at(index) }))),
      {
        title,
        label: "seconds; less is better",
        rows: groups.map((key) => ({ key, label: key })),
        series: names,
        marked: "short",
        caption,
      },
    ),
    confusion: confusionPlot({
      expected: names,
      given: [...names, "(off format)"],
      counts: names.map((_, row) => [...names.map((_, to) => (row + to) * 9), 1]),
    }, { title, caption }),
    rates: ratePlot(shares.map((one) => ({ ...one, interval: [0, 1] as const })), {
      title,
      axis: "share of prompts",
      floor: 0.5,
      caption,
    }),
    curves: curvePlot(
      names.map((name, index) => ({
        name,
        points: upTo(9).map((step) => ({ x: 2 ** step, y: at(index) * step })),
      })),
      {
        title,
        x: "prompt tokens",
        y: "seconds to first token",
        xScale: "log",
        limit: at(0),
        marks: [{ x: 2, name: "first knee" }, { x: 512, name: `the knee of ${names[0]}` }],
        caption,
      },
    ),
    "a curve of singles": curvePlot(
      names.map((name) => ({ name, points: upTo(99).map((x) => ({ x, y: 12_345 + x })) })),
      { title, x: "minutes", y: "output tokens/s", joined: false, fromZero: false, caption },
    ),
    wrong: repeatedTestingPlot(names.map((name) => ({ name, values: upTo(40).map((step) => step / 100) })), {
      title,
      promised: 0.05,
      caption,
    }),
    evidence: evidencePlot(
      names.flatMap((candidate, index) =>
        upTo(30).map((block) => ({ block, candidate, evidence: at(index) * block }))
      ),
      { title, threshold: 20 * names.length, caption },
    ),
    costs: costPlot(
      names.map((world, index) => ({ world, requests: { race: 1e4 * at(index), fixed: 2e4 * at(index) } })),
      { title, caption },
    ),
    pareto: paretoPlot(
      names.map((id, index) => ({
        id,
        quality: index / names.length,
        latencyS: at(index),
        memoryMb: 100 * index,
        onFront: index % 2 === 0,
      })),
      { title, caption },
    ),
    regret: regretPlot(
      names.map((name, index) => ({ name, values: requests.map((one) => 2000 * one * index) })),
      {
        title,
        caption,
        changes: [400],
      },
    ),
    beliefs: beliefPlot(names.map((name) => ({ name, values: requests, low: requests, high: requests })), {
      title,
      caption,
      changes: [400],
    }),
    memory: memoryPlot(
      names.map((label, index) => ({ label, neededGb: 30 * at(index), fits: index % 3 > 0 })),
      { title, freeGb: 7.1, totalGb: 8 },
    ),
  };
}

/** What is wrong with the labels of a page's figures, figure by figure; runs in the page. */
function labelFaults(): string[] {
  type Point = readonly [number, number];
  /** The corners of a text on the screen; its glyphs leave 2 units of the box free above and below. */
  const cornersOf = (element: SVGGraphicsElement, free: number): Point[] => {
    const { x, y, width, height } = element.getBBox();
    const matrix = element.getScreenCTM();
    if (matrix === null) return [];
    return [[x, y + free], [x + width, y + free], [x + width, y + height - free], [x, y + height - free]]
      .map(([px = 0, py = 0]) => new DOMPoint(px, py).matrixTransform(matrix)).map(({ x, y }) => [x, y]);
  };
  /** By how much two convex shapes lie in one another: the least over the normals of their sides. */
  const overlap = (a: readonly Point[], b: readonly Point[]) => {
    const sides = [a, b].flatMap((shape) =>
      shape.map(([x, y], at) => {
        const [toX, toY] = shape[(at + 1) % shape.length] ?? [x, y];
        const length = Math.hypot(toX - x, toY - y) || 1;
        return [(toY - y) / length, (x - toX) / length] as const;
      })
    );
    return Math.min(...sides.map(([nx, ny]) => {
      const [one, other] = [a, b].map((shape) => shape.map(([x, y]) => x * nx + y * ny));
      return Math.min(Math.max(...one ?? []), Math.max(...other ?? [])) -
        Math.max(Math.min(...one ?? []), Math.min(...other ?? []));
    }));
  };
  return [...document.querySelectorAll<SVGSVGElement>("svg[role=img]")].flatMap((svg, index) => {
    const name = svg.closest("figure")?.querySelector("h3")?.textContent || `figure ${index + 1}`;
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.getBBox().width > 0)
      .map((text) => ({ said: text.textContent, corners: cornersOf(text, 2) }));
    const shades = [...svg.querySelectorAll<SVGRectElement>("[aria-label=bar] rect")]
      .map((shade) => ({ said: "a shade", corners: cornersOf(shade, 0) }));
    const cut = texts.filter(({ corners }) =>
      corners.some(([x, y]) =>
        x < frame.left - 0.5 || x > frame.right + 0.5 || y < frame.top - 0.5 || y > frame.bottom + 0.5
      )
    );
    const met = texts.flatMap((text, at) =>
      [...texts.slice(at + 1), ...shades].filter((other) => overlap(text.corners, other.corners) > 1)
        .map((other) => `"${text.said}" and "${other.said}"`)
    );
    return [
      ...cut.map(({ said }) => `${name}: "${said}" is cut`),
      ...met.map((pair) => `${name}: ${pair} overlap`),
    ];
  });
}

Deno.test({
  name:
    "labels of figures neither overlap nor are cut: every plot, 1 candidate to 43, up to six decades, and a report",
  // Playwright keeps timers of its own.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using browser = await launchBrowser();
    if (browser === null) return console.warn("SKIPPED: no Chromium or Chrome found (set CHROME_PATH)");
    const page = await browser.newPage({ viewport: { width: 500, height: 900 } });
    const lists = {
      "one candidate": ["smollm2-135m"],
      "three candidates": ["smollm2-135m", "gemma-3-270m", "rules"],
      "eight long names": upTo(8).map(longName),
      "43 models": upTo(43).map((at) => `model-${at}-instruct`),
    };
    const found: string[] = [];
    for (const [list, names] of Object.entries(lists)) {
      for (const decades of [0.1, 0.8, 2, 6]) {
        const figures = Object.entries(figuresOf(names, decades)).map(([kind, { svg }]) =>
          `<figure style="width:${figureWidth}px;margin:0"><h3>${kind}</h3>${svg}</figure>`
        );
        await page.setContent(`<body style="font-family: sans-serif">${figures.join("")}`);
        found.push(
          ...(await page.evaluate(labelFaults)).map((fault) => `${list}, ${decades} decades, ${fault}`),
        );
      }
    }
    const report = new URL("../../reports/2026-11-21T07-30-18-gzss/report.html", import.meta.url);
    for (const width of [1200, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await page.goto(report.href);
      assert.ok(await page.locator("svg[role=img]").count() >= 7, "the committed run's figures");
      found.push(
        ...(await page.evaluate(labelFaults)).map((fault) => `the committed report at ${width} px, ${fault}`),
      );
    }
    assert.deepEqual(found, []);
  },
});
