/**
 * Colours as people see them: contrast by WCAG 2.1 on every ground that figures stand on, and the distance of
 * any two series for people who don't see red or green, simulated with the matrices of Machado, Oliveira and
 * Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009 (severity 1).
 */
import assert from "node:assert/strict";
import { svgFile } from "../../lib/plot/figure.ts";
import { alertColor, seriesStyle } from "../../lib/plot/series.ts";

const palette = [0, 1, 2, 3, 4, 5].map((index) => seriesStyle(index).color);

/** JupyterLab's two themes, VS Code's two, the report's, and bare white and near-black. */
const grounds = {
  light: ["#ffffff", "#f8f8f8"],
  dark: ["#111111", "#1e1e1e", "#1f1f1f", "#0f1317"],
} as const;

type Triple = readonly [number, number, number];
type Matrix = readonly [Triple, Triple, Triple];

const machado2009: Readonly<Record<string, Matrix>> = {
  "full colour vision": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [
    -0.003882,
    -0.048116,
    1.051998,
  ]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [
    -0.01182,
    0.04294,
    0.968881,
  ]],
};

const linear = (hex: string): Triple => {
  const part = (at: number) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [part(1), part(3), part(5)];
};

const dot = (a: Triple, b: Triple) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

const seenAs = (hex: string, [red, green, blue]: Matrix): Triple => {
  const rgb = linear(hex);
  const within = (value: number) => Math.min(1, Math.max(0, value));
  return [within(dot(red, rgb)), within(dot(green, rgb)), within(dot(blue, rgb))];
};

/** CIE L*a*b* (1976) of linear sRGB under D65. */
function lab(rgb: Triple): Triple {
  const f = (t: number) => t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27 * t + 16) / 116;
  const x = f(dot([0.4124564, 0.3575761, 0.1804375], rgb) / 0.95047);
  const y = f(dot([0.2126729, 0.7151522, 0.072175], rgb));
  const z = f(dot([0.0193339, 0.119192, 0.9503041], rgb) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** CIE 1976 colour difference; about 2.3 is just noticeable. */
function difference(a: string, b: string, matrix: Matrix): number {
  const [one, other] = [lab(seenAs(a, matrix)), lab(seenAs(b, matrix))];
  return Math.hypot(one[0] - other[0], one[1] - other[1], one[2] - other[2]);
}

/** WCAG 2.1 contrast ratio. */
function contrast(a: string, b: string): number {
  const luminance = (hex: string) => dot([0.2126, 0.7152, 0.0722], linear(hex));
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

Deno.test("the measures themselves: known contrasts, white and black, grey is grey to everybody", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.ok(Math.abs(contrast("#767676", "#ffffff") - 4.54) < 0.01);
  for (const matrix of Object.values(machado2009)) {
    assert.ok(difference("#808080", "#808080", matrix) === 0);
    assert.ok(Math.abs(difference("#000000", "#ffffff", matrix) - 100) < 0.1);
  }
  const { deuteranopia, "full colour vision": full } = machado2009;
  assert.ok(deuteranopia !== undefined && full !== undefined);
  assert.ok(difference("#c00000", "#507000", deuteranopia) < difference("#c00000", "#507000", full) / 3);
});

Deno.test("every mark has a contrast of 3:1 on every ground, light and dark", () => {
  for (const color of [...palette, alertColor]) {
    for (const ground of [...grounds.light, ...grounds.dark]) {
      const ratio = contrast(color, ground);
      assert.ok(ratio >= 3, `${color} on ${ground}: ${ratio.toFixed(2)}`);
    }
  }
});

Deno.test("a figure's own text colours have 4.5:1 on their grounds, in files and in reports", () => {
  const file = svgFile({ title: "t", svg: "<svg></svg>", caption: "" });
  const [light, dark] = [...file.matchAll(/svg\{color:(#[0-9a-f]{6})\}/g)].map(([, color]) => color ?? "");
  assert.ok(light !== undefined && dark !== undefined, "a file names a text colour for each theme");
  for (const ground of grounds.light) assert.ok(contrast(light, ground) >= 4.5, `${light} on ${ground}`);
  for (const ground of grounds.dark) assert.ok(contrast(dark, ground) >= 4.5, `${dark} on ${ground}`);
});

for (const [vision, matrix] of Object.entries(machado2009)) {
  Deno.test(`any two of six series are apart with ${vision}: by colour, by dash and by symbol`, () => {
    for (const [i, one] of palette.entries()) {
      for (const [j, other] of palette.entries()) {
        if (j <= i) continue;
        const distance = difference(one, other, matrix);
        assert.ok(distance >= 15, `${one} and ${other}: ${distance.toFixed(1)}`);
        assert.notEqual(seriesStyle(i).dash, seriesStyle(j).dash);
        assert.notEqual(seriesStyle(i).symbol, seriesStyle(j).symbol);
      }
    }
  });
}
