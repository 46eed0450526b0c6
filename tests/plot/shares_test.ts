/** Figures of shares: every mark stands where its number is, and what is not known is not drawn. */
import assert from "node:assert/strict";
import { DOMParser } from "linkedom";
import type { Figure } from "../../lib/plot/figure.ts";
import { repeatedTestingPlot } from "../../lib/plot/simulations.ts";
import { ratePlot, type RateRow } from "../../lib/plot/rate.ts";
import { seriesStyle } from "../../lib/plot/series.ts";

const parse = ({ svg }: Figure) => new DOMParser().parseFromString(svg, "image/svg+xml");

/** The numbers of an attribute over all elements that a selector finds, in drawing order. */
const numbers = (figure: Figure, selector: string, attribute: string): number[] =>
  [...parse(figure).querySelectorAll(selector)].map((element) => Number(element.getAttribute(attribute)));

const near = (actual: readonly number[], expected: readonly number[]) => {
  assert.equal(actual.length, expected.length, `${actual}`);
  for (const [i, value] of actual.entries()) {
    assert.ok(Math.abs(value - (expected[i] ?? NaN)) < 0.01, `${actual} is not ${expected}`);
  }
};

const rows: RateRow[] = [
  { label: "known", rate: 0.4, interval: [0.2, 0.6] },
  { label: "single", rate: 1, interval: null },
  { label: "none", rate: 0, interval: [0, 0.25] },
];
const rates = (floor: number | null) =>
  ratePlot(rows, { title: "Passed", axis: "share of prompts", floor, caption: "n = 4" });

/** Where 0 and 1 are, as the axis says. */
function scale(figure: Figure): (share: number) => number {
  const [first = NaN, ...others] = numbers(figure, '[aria-label="x-grid"] line', "x1");
  const last = others.at(-1) ?? NaN;
  return (share) => first + share * (last - first);
}

Deno.test("a share's dot, its interval and the floor stand at their numbers on an axis from 0 to 1", () => {
  const figure = rates(0.5);
  const at = scale(figure);
  near(numbers(figure, "circle", "cx"), [at(0.4), at(1), at(0)]);
  // The floor stands beside every bar; an unknown interval has no bar.
  near(numbers(figure, '[aria-label="tick"] line', "x1"), [at(0.5), at(0.5), at(0.5)]);
  near(numbers(figure, '[aria-label="rule"] line', "x1"), [at(0.2), at(0)]);
  near(numbers(figure, '[aria-label="rule"] line', "x2"), [at(0.6), at(0.25)]);
});

Deno.test("each share is told in words too, for who can't see the figure and who reads the text", () => {
  const figure = rates(0.5);
  assert.equal(
    parse(figure).querySelector("desc")?.textContent,
    "known: 40 % (20 % to 60 %). single: 100 % (no interval). none: 0 % (0 % to 25 %). The floor is 50 %.",
  );
  const texts = [...parse(figure).querySelectorAll("text")].map(({ textContent }) => textContent);
  for (const text of ["known", "40 % (20 % to 60 %)", "100 % (no interval)", "floor"]) {
    assert.ok(texts.includes(text), text);
  }
  assert.ok(!rates(null).svg.includes("floor"), "without a floor there is none");
});

Deno.test("rows are as many as shares, and no row lies on another", () => {
  const heights = numbers(rates(null), "circle", "cy");
  assert.equal(new Set(heights).size, rows.length);
  assert.deepEqual(heights, heights.toSorted((a, b) => a - b), "in their order, from the top");
});

const lines = [{ name: "naive", values: [0, 0.1, 0.3] }, { name: "race", values: [0, 0.01, 0.02] }];
const plotted = (promised: number) =>
  repeatedTestingPlot(lines, { title: "False winners", promised, caption: "simulated" });

Deno.test("each test's line goes through its shares and ends in its own mark and colour", () => {
  const page = parse(plotted(0.05));
  const paths: string[] = [...page.querySelectorAll('[aria-label="line"] path')].map((path) =>
    path.getAttribute("d") ?? ""
  );
  const points = paths.map((d) => d.slice(1).split("L").map((point) => point.split(",").map(Number)));
  const heights = points.map((line) => line.map(([, y = NaN]) => y));
  const [naive = [], race = []] = heights;
  assert.deepEqual([naive.length, race.length], [3, 3]);
  assert.equal(naive[0], race[0], "both begin at 0");
  const perShare = ((naive[0] ?? NaN) - (naive[2] ?? NaN)) / 0.3;
  near(race, [0, 0.01, 0.02].map((share) => (naive[0] ?? NaN) - share * perShare));
  const colours = [...page.querySelectorAll('[aria-label="line"]')].map((line) =>
    line.getAttribute("stroke")
  );
  assert.deepEqual(colours, [seriesStyle(0).color, seriesStyle(1).color]);
  assert.match(
    page.querySelector("desc")?.textContent ?? "",
    /naive: 30 % after 3 checks\. race: 2 % after 3 checks/,
  );
});

Deno.test("the promise is a line at its share, also where nothing comes near it", () => {
  const figure = plotted(0.05);
  const ticks = numbers(figure, '[aria-label="y-grid"] line', "y1");
  const [zero = NaN, tenth = NaN] = ticks;
  near(numbers(figure, '[aria-label="rule"] line', "y1"), [(zero + tenth) / 2]);
  assert.ok(figure.svg.includes("promised: 5 %"));
  const calm = repeatedTestingPlot([{ name: "calm", values: [0, 0] }], {
    title: "t",
    promised: 0.05,
    caption: "",
  });
  const [promised = NaN] = numbers(calm, '[aria-label="rule"] line', "y1");
  assert.ok(promised > 0 && !/NaN|Infinity/.test(calm.svg), `the promise is drawn at ${promised}`);
});
