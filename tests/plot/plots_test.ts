import assert from "node:assert/strict";
import fc from "fast-check";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DOMParser } from "linkedom";
import { boxGlyph, boxPlot, maxDrawnOutliers } from "../../lib/plot/box.ts";
import { confusionPlot } from "../../lib/plot/confusion.ts";
import { curvePlot } from "../../lib/plot/curve.ts";
import { dotPlot } from "../../lib/plot/dots.ts";
import { ecdfPlot, ecdfPoints, maxEcdfPoints } from "../../lib/plot/ecdf.ts";
import { type Figure, svgFile, withoutStyles } from "../../lib/plot/figure.ts";
import { memoryPlot } from "../../lib/plot/memory.ts";
import { paretoPlot } from "../../lib/plot/pareto.ts";
import { costPlot, evidencePlot } from "../../lib/plot/race.ts";
import { ratePlot } from "../../lib/plot/rate.ts";
import { ratioPlot } from "../../lib/plot/ratio.ts";
import { beliefPlot, regretPlot, repeatedTestingPlot } from "../../lib/plot/simulations.ts";
import { durationAxis, logScale } from "../../lib/plot/scale.ts";
import { seriesStyle } from "../../lib/plot/series.ts";
import { findStalls, timelinePlot } from "../../lib/plot/timeline.ts";
import { seededRandom } from "../../lib/stats/random.ts";

const hostile = `a<script>alert("1")</script>&'b`;

/** One figure of every kind, named by a hostile series. */
function everyFigure(): Figure[] {
  return [
    ecdfPlot([{ name: hostile, values: [0.1, 0.2, 0.4] }], { title: hostile, metric: "latency" }),
    boxPlot([{ series: hostile, group: hostile, values: [0.1, 0.2, 0.3, 0.2, 0.1, 5] }], {
      title: hostile,
      metric: "latency",
    }),
    timelinePlot([{ series: hostile, group: hostile, chunks: [0.1, 0.11, 0.12, 0.4] }], {
      title: hostile,
      selection: "1 of 1",
    }),
    ratioPlot([{ label: hostile, ratio: 1.2, interval: [1.1, 1.3] }], {
      title: hostile,
      over: "slower",
      under: "quicker",
      epsilon: 0.1,
      caption: "n = 3 blocks",
    }),
    dotPlot([{ row: "1", series: hostile, value: 0.8 }, { row: "2", series: hostile, value: 0.9 }], {
      title: hostile,
      label: hostile,
      rows: [{ key: "1", label: hostile }, { key: "2", label: hostile }],
      series: [hostile],
      marked: "2",
      caption: "n = 2 machines",
    }),
    confusionPlot({
      expected: [hostile, "b"],
      given: [hostile, "b", "(off format)"],
      counts: [[3, 1, 0], [0, 2, 1]],
    }, {
      title: hostile,
      caption: "n = 7 answers",
    }),
    ratePlot([{ label: hostile, rate: 0.5, interval: [0.1, 0.9] }], {
      title: hostile,
      axis: "share",
      floor: 0.5,
      caption: "n = 4 prompts",
    }),
    curvePlot([{ name: hostile, points: [{ x: 1, y: 2, low: 1, high: 3 }, { x: 2, y: 4 }] }], {
      title: hostile,
      x: hostile,
      y: hostile,
      limit: 3,
      marks: [{ x: 2, name: hostile }],
      caption: "n = 2 loads",
    }),
    repeatedTestingPlot([{ name: hostile, values: [0.01, 0.1] }], {
      title: hostile,
      promised: 0.05,
      caption: "n = 200 comparisons",
    }),
    evidencePlot([{ candidate: hostile, block: 1, evidence: 2 }, {
      candidate: hostile,
      block: 2,
      evidence: 5,
    }], {
      title: hostile,
      threshold: 40,
      caption: "n = 2 blocks",
    }),
    costPlot([{ world: hostile, requests: { [hostile]: 96, fixed: 132 } }], {
      title: hostile,
      caption: "n = 100 races",
    }),
    paretoPlot([
      { id: hostile, quality: 0.9, latencyS: 2, memoryMb: 500, onFront: true },
      { id: "b", quality: 0.5, latencyS: 3, memoryMb: null, onFront: false },
    ], { title: hostile, caption: "n = 12 prompts" }),
    regretPlot([{ name: hostile, values: [0.2, 0.5, 0.9] }], {
      title: hostile,
      caption: "n = 3",
      changes: [2],
    }),
    beliefPlot([{ name: hostile, values: [0.5, 0.6], low: [0.1, 0.2], high: [0.9, 0.9] }], {
      title: hostile,
      caption: "n = 2 requests",
      changes: [],
    }),
    memoryPlot(
      [{ label: hostile, neededGb: 0.7, fits: true }, { label: "large", neededGb: 12, fits: false }],
      {
        title: hostile,
        freeGb: 6,
        totalGb: 8,
      },
    ),
  ];
}

Deno.test("no kind of figure of lib/plot is missing here", async () => {
  const drawn = new Set<string>();
  const plots = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "lib", "plot");
  for await (const { name } of Deno.readDir(plots)) {
    const source = await Deno.readTextFile(join(plots, name));
    for (const [, plot = ""] of source.matchAll(/^export function (\w+Plot)\(/gm)) drawn.add(plot);
  }
  const body = everyFigure.toString();
  assert.deepEqual([...drawn].filter((plot) => !body.includes(`${plot}(`)), []);
});

Deno.test("every figure is an SVG with a role, a label, a title and a description", () => {
  for (const { svg } of everyFigure()) {
    const root = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    assert.equal(root.tagName, "svg");
    assert.equal(root.getAttribute("role"), "img");
    assert.ok((root.getAttribute("aria-label") ?? "").length > 20);
    assert.equal(root.querySelector("title")?.textContent, hostile);
    assert.ok((root.querySelector("desc")?.textContent ?? "").length > 10);
  }
});

Deno.test("a hostile name stays text in every figure", () => {
  for (const { svg } of everyFigure()) assert.ok(!svg.includes("<script"), svg.slice(0, 300));
});

Deno.test("without its styles a figure keeps everything else, hostile names as text", () => {
  for (const figure of everyFigure()) {
    const plain = withoutStyles(figure);
    assert.doesNotMatch(plain, /<style|<[^>]* style=|<script/);
    const marks = (svg: string) => svg.match(/<(text|path|circle|rect|line)\b/g)?.length;
    assert.equal(marks(plain), marks(figure.svg), figure.svg.slice(0, 200));
  }
});

Deno.test("no figure bakes in a colour for its text or a background", () => {
  for (const { svg } of everyFigure()) {
    assert.doesNotMatch(svg, /(fill|stroke)="(black|white|#000|#fff)/);
    assert.match(svg, /fill="currentColor"/);
  }
});

Deno.test("a figure as a file has its name space once and both themes", () => {
  for (const figure of everyFigure()) {
    const text = svgFile(figure);
    assert.equal(text.match(/^<svg[^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/g)?.length, 1);
    assert.match(text, /prefers-color-scheme:dark/);
  }
});

Deno.test("thirty series differ in colour, dash or symbol", () => {
  const looks = Array.from({ length: 30 }, (_, i) => JSON.stringify(seriesStyle(i)));
  assert.equal(new Set(looks).size, 30);
  assert.throws(() => seriesStyle(-1), RangeError);
});

Deno.test("an ECDF's points rise, end at 1 and are never off by more than a rank step", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1, maxLength: 500 }),
    fc.integer({ min: 2, max: 60 }),
    (values, limit) => {
      const sorted = [...values].sort((a, b) => a - b);
      const points = ecdfPoints(sorted, limit);
      assert.ok(points.length <= limit || points.length === sorted.length);
      assert.equal(points.at(-1)?.share, 1);
      assert.equal(points[0]?.value, sorted[0]);
      assert.equal(points.at(-1)?.value, sorted.at(-1));
      for (const { value, share } of points) {
        const below = sorted.filter((x) => x <= value).length / sorted.length;
        assert.ok(share <= below + 1e-12, "a drawn share counts only values up to x");
      }
      const shares = points.map((point) => point.share);
      assert.deepEqual(shares, [...shares].sort((a, b) => a - b));
    },
  ));
});

Deno.test("a long series is thinned, and the caption says so; a short one is not", () => {
  const random = seededRandom(1);
  const long = ecdfPlot([{ name: "a", values: Float64Array.from({ length: 50_000 }, random) }], {
    title: "t",
    metric: "latency",
  });
  assert.match(long.caption, new RegExp(`drawn at ${maxEcdfPoints} ranks`));
  assert.match(long.caption, /n = 50000|n = 50,000/);
  assert.ok(long.svg.length < 40_000);
  const short = ecdfPlot([{ name: "a", values: [1, 2, 3] }], { title: "t", metric: "latency" });
  assert.doesNotMatch(short.caption, /ranks/);
});

Deno.test("a series without values is named in the caption and left out of the legend", () => {
  const { caption, svg } = ecdfPlot([{ name: "fails", values: [] }, { name: "works", values: [1, 2] }], {
    title: "t",
    metric: "latency",
  });
  assert.match(caption, /fails n = 0/);
  assert.doesNotMatch(svg, /<text[^>]*>fails</);
  assert.match(svg, /<text[^>]*>works</);
});

Deno.test("a series keeps its colour when another one is empty", () => {
  const { svg } = boxPlot([
    { series: "fails", group: "", values: [] },
    { series: "works", group: "", values: [1, 2, 3] },
  ], { title: "t", metric: "latency" });
  assert.ok(svg.includes(seriesStyle(1).color));
  assert.ok(!svg.includes(seriesStyle(0).color));
});

Deno.test("a box: quartiles as numpy's, whiskers to the furthest unflagged value", () => {
  const glyph = boxGlyph([5, 1, 2, 4, 3, 100]);
  assert.deepEqual(glyph, { n: 6, p25: 2.25, p50: 3.5, p75: 4.75, low: 1, high: 5, outliers: [100] });
  assert.equal(boxGlyph([]), null);
});

Deno.test("flagged values beyond the drawn ones are counted in the caption", () => {
  const random = seededRandom(2);
  const values = Array.from({ length: 2000 }, (_, i) => (i % 10 === 0 ? 50 + random() : 1 + random() / 10));
  const { caption, svg } = boxPlot([{ series: "a", group: "", values }], { title: "t", metric: "latency" });
  assert.match(caption, /\(200 here\)/);
  assert.match(caption, new RegExp(`at most ${maxDrawnOutliers}`));
  assert.ok((svg.match(/outlier: /g) ?? []).length <= maxDrawnOutliers);
});

Deno.test("a stall of 200 ms between gaps of 10 ms is found, and steady or slow streams have none", () => {
  const steady = Array.from({ length: 64 }, (_, i) => 0.05 + i * 0.01);
  assert.deepEqual(findStalls(steady), []);
  const stalled = steady.map((at, i) => (i > 30 ? at + 0.2 : at));
  const [stall, ...more] = findStalls(stalled);
  assert.equal(more.length, 0);
  assert.ok(stall !== undefined && Math.abs(stall.to - stall.from - 0.21) < 1e-9);
  assert.deepEqual(
    findStalls(Array.from({ length: 20 }, (_, i) => i * 0.5)),
    [],
    "slow throughout is not a stall",
  );
  assert.deepEqual(findStalls([]), []);
  assert.deepEqual(findStalls([1]), []);
});

Deno.test("the timeline draws each stall and counts them", () => {
  const chunks = Array.from({ length: 32 }, (_, i) => 0.05 + i * 0.01 + (i > 10 ? 0.2 : 0));
  const { caption, svg } = timelinePlot([{ series: "a", group: "p · 1", chunks }, {
    series: "a",
    group: "q · 1",
    chunks: [],
  }], {
    title: "t",
    selection: "2 of 9 requests",
  });
  assert.match(caption, /1 stall, the longest 0.21 s/);
  assert.match(svg, /stall of 0.21 s/);
});

Deno.test("an axis of durations shows the bulk and the tail", () => {
  assert.equal(durationAxis([0.1, 0.2]).label("latency"), "latency (ms)");
  assert.equal(durationAxis([3, 4]).label("latency"), "latency (s)");
  assert.equal(durationAxis([0.01, 4]).label("latency"), "latency (s, log scale)");
  assert.equal(durationAxis([]).type, "linear");
});

Deno.test("figures of nothing are still figures", () => {
  assert.match(ecdfPlot([], { title: "t", metric: "latency" }).svg, /^<svg/);
  assert.match(boxPlot([], { title: "t", metric: "latency" }).svg, /^<svg/);
  assert.match(timelinePlot([], { title: "t", selection: "none" }).svg, /^<svg/);
});

Deno.test("a log axis labels four to eight places, none with more than three digits", () => {
  fc.assert(fc.property(
    fc.double({ min: -4, max: 4, noNaN: true }),
    fc.double({ min: 0.5, max: 6, noNaN: true }),
    (from, decades) => {
      const { ticks, tickFormat } = logScale(10 ** from, 10 ** (from + decades));
      assert.ok(ticks.length >= 4 && ticks.length <= 8, `${ticks}`);
      assert.equal(new Set(ticks.map(tickFormat)).size, ticks.length, "no label stands twice");
      for (const tick of ticks) {
        const digits = tickFormat(tick).replaceAll(/[^\d]/g, "").replace(/^0+|0+$/g, "");
        assert.ok(digits.length <= 3, tickFormat(tick));
      }
    },
  ));
});

Deno.test("no number of any axis has more than four digits, and a point has a round label", () => {
  const odd = [0.2868357, 2.868357, 31.4159];
  const figures = [
    ...everyFigure(),
    paretoPlot(
      odd.map((latencyS, i) => ({
        id: `c${i}`,
        quality: 0.4,
        latencyS,
        memoryMb: 500,
        onFront: i === 0,
      })),
      { title: "t", caption: "n = 3" },
    ),
    ecdfPlot([{ name: "a", values: odd }], { title: "t", metric: "latency" }),
    evidencePlot([1, 2, 3].map((block) => ({ candidate: "a", block, evidence: 2.868357 ** block })), {
      title: "t",
      threshold: 39.7,
      caption: "",
    }),
  ];
  for (const { svg } of figures) {
    for (const [, text = ""] of svg.matchAll(/<text[^>]*>(-?[\d.,]+)</g)) {
      assert.ok(text.replaceAll(/\D/g, "").replace(/^0+|0+$/g, "").length <= 4, text);
    }
  }
});

Deno.test("the y axis has its title above it, and the x label speaks of x alone", () => {
  for (const { svg } of everyFigure()) assert.doesNotMatch(svg, /upwards/);
  const { svg } = regretPlot([{ name: "a", values: [1, 2] }], { title: "t", caption: "", changes: [] });
  assert.match(svg, /<text [^>]*x="0">↑ successes lost/);
});
