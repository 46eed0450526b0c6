/**
 * Would bets that grow with the size of a difference decide a race sooner than the shipped e-value, which
 * looks at who won alone? Yes, but they take differences as symmetric. Prints blocks to a verdict and false
 * winners of both; docs/statistics.md holds the table, and why the race does not bet so.
 *
 *   deno run benchmarks/signed_rank.ts             about a minute
 *   deno run benchmarks/signed_rank.ts 200         fewer races
 */
import { probit } from "simple-statistics";
import { logEValue } from "../lib/stats/evalue.ts";
import { type Random, seededRandom, standardNormal } from "../lib/stats/random.ts";

/** A race of two goes to the first whose evidence reaches K/δ. */
const LOG_THRESHOLD = Math.log(2 / 0.05);
const MOST_BLOCKS = 500;

/** Evidence after each difference: the logarithm of the e-value that the first is better, and that the second is. */
type Evidence = (difference: number) => readonly [number, number];

/** The shipped one: wins of untied blocks. */
function signs(): Evidence {
  let [wins, n] = [0, 0];
  return (difference) => {
    if (difference !== 0) n++;
    if (difference > 0) wins++;
    return [logEValue(wins, n), logEValue(n - wins, n)];
  };
}

/** The grid of θ, how steeply a bet grows: best at about the mean difference over its standard deviation. */
const STEEPNESS = Array.from({ length: 24 }, (_, at) => (at + 0.5) / 12);

/**
 * Bets that grow with the rank of |d| among the differences so far. With s the sign of the t-th difference d, z the
 * absolute normal quantile at its rank, and θ fixed,
 *
 *     M_t(θ) = Π (1 + s · tanh(θ z)),     e_t = mean of M_t(θ) over a fixed grid of θ
 *
 * Proof that e is a test martingale where d is symmetric about zero given the past: then, given the past and |d|, s is
 * +1 or −1 with probability 1/2 each. z depends on the past and |d| alone, and 0 <= tanh(θ z) < 1, so the factor is
 * positive and E[1 + s · tanh(θ z) | past, |d|] = 1 + tanh(θ z) · E[s | past, |d|] = 1; by the tower rule
 * E[factor | past] = 1. A mean of martingales that start at 1 is one as well, and Ville's inequality holds:
 * P(e ever reaches x) <= 1/x. Where d is merely as often above as below zero, E[s | past, |d|] depends on |d|, the
 * expectation may exceed 1, and nothing is promised.
 */
function signedRanks(): Evidence {
  const sorted: number[] = [];
  const [up, down] = [STEEPNESS.map(() => 0), STEEPNESS.map(() => 0)];
  const mixed = (logs: readonly number[]) => {
    const top = Math.max(...logs);
    return top + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - top), 0) / logs.length);
  };
  return (difference) => {
    if (difference !== 0) {
      const size = Math.abs(difference);
      let at = 0;
      while (at < sorted.length && (sorted[at] ?? 0) < size) at++;
      sorted.splice(at, 0, size);
      const z = probit(0.5 + 0.5 * (at + 0.5) / sorted.length);
      STEEPNESS.forEach((theta, k) => {
        const bet = Math.sign(difference) * Math.tanh(theta * z);
        up[k] = (up[k] ?? 0) + Math.log1p(bet);
        down[k] = (down[k] ?? 0) + Math.log1p(-bet);
      });
    }
    return [mixed(up), mixed(down)];
  };
}

/** Blocks until the first verdict, and for whom: +1, −1, or 0 where there is none by the end. */
function race(evidence: Evidence, draw: () => number): { readonly blocks: number; readonly winner: number } {
  for (let blocks = 1; blocks <= MOST_BLOCKS; blocks++) {
    const [first, second] = evidence(draw());
    if (first >= LOG_THRESHOLD) return { blocks, winner: 1 };
    if (second >= LOG_THRESHOLD) return { blocks, winner: -1 };
  }
  return { blocks: MOST_BLOCKS, winner: 0 };
}

const NOISE = 0.1;
const latency = (random: Random) => NOISE * standardNormal(random);
/** One request in `every` takes `times` as long. */
const stalls = (random: Random, every: number, times: number) => random() * every < 1 ? Math.log(times) : 0;
/** −ln 2 to infinity, median 0: as often above as below, but far above. */
const exponential = (random: Random) => -Math.log(1 - random()) - Math.LN2;

/** Log ratios of the two candidates in one block. */
const worlds: readonly { readonly name: string; readonly draw: (random: Random) => number }[] = [
  ...[0.05, 0.1, 0.2, 0.5].map((gap) => ({
    name: `${100 * gap} % faster, noise 10 %`,
    draw: (random: Random) => Math.log1p(gap) + latency(random) - latency(random),
  })),
  {
    name: "10 % faster, one request in 20 takes three times as long",
    draw: (random) =>
      Math.log1p(0.1) + latency(random) + stalls(random, 20, 3) - latency(random) - stalls(random, 20, 3),
  },
  { name: "identical, noise 10 %", draw: (random) => latency(random) - latency(random) },
  {
    name: "identical, one request in 5 takes ten times as long",
    draw: (random) => latency(random) + stalls(random, 5, 10) - latency(random) - stalls(random, 5, 10),
  },
  {
    name: "identical, skewed (exponential)",
    draw: (random) => exponential(random) - exponential(random),
  },
  {
    name: "wins every second block, skewed (exponential about its median)",
    draw: (random) => exponential(random),
  },
  {
    // P(win) = 0.5 exactly where the shift makes up for the stalls: 0.8 · Φ(−x) + 0.2 = 0.5, x = 0.31864.
    name: "wins every second block, one request in 5 of the other takes three times as long",
    draw: (random) => {
      const stalled = random() < 0.2;
      return stalled ? Math.log(3) : latency(random) - latency(random) - 0.31864 * Math.SQRT2 * NOISE;
    },
  },
];

const races = Number(Deno.args[0] ?? 2000);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
console.log(`${races} races of two, δ = 0.05, at most ${MOST_BLOCKS} blocks`);
for (const { name, draw } of worlds) {
  const row = [signs, signedRanks].map((evidence) => {
    const random = seededRandom("signed ranks");
    const ends = Array.from({ length: races }, () => race(evidence(), () => draw(random)));
    const mean = ends.reduce((sum, { blocks }) => sum + blocks, 0) / races;
    const share = (wanted: number) => percent(ends.filter(({ winner }) => winner === wanted).length / races);
    return `${mean.toFixed(0)} blocks, first ${share(1)}, second ${share(-1)}`;
  });
  console.log(`${name}\n  signs         ${row[0]}\n  signed ranks  ${row[1]}`);
}
