/**
 * Linear regression with a normal prior and known noise: what a few measurements say about quantities that
 * are known roughly beforehand.
 */

/** One measurement: `value` ≈ Σ x · coefficient. */
export interface LinearRow {
  readonly x: readonly number[];
  readonly value: number;
  /** Standard deviation of the measurement's own noise. */
  readonly sd: number;
}

/** The normal distribution of the coefficients after the measurements. */
export interface LinearPosterior {
  readonly mean: readonly number[];
  readonly covariance: readonly (readonly number[])[];
}

/**
 * The posterior of the coefficients, from independent normal priors (Bishop, Pattern Recognition and Machine
 * Learning, 2006, eq. 3.50 and 3.51). Without rows it is the prior.
 *
 * ```ts
 * const prior = { mean: [1], sd: [1] };
 * const { mean, covariance } = linearPosterior([{ x: [1], value: 3, sd: 1 }], prior);
 * if (mean[0] !== 2 || covariance[0]?.[0] !== 0.5) throw new Error("half way between the prior and the data");
 * ```
 */
export function linearPosterior(
  rows: readonly LinearRow[],
  prior: { readonly mean: readonly number[]; readonly sd: readonly number[] },
): LinearPosterior {
  const size = prior.mean.length;
  const precision = prior.sd.map((sd, i) => prior.sd.map((_, j) => i === j ? 1 / (sd * sd) : 0));
  const weighted = prior.mean.map((mean, i) => mean / ((prior.sd[i] ?? 1) ** 2));
  for (const { x, value, sd } of rows) {
    const weight = 1 / (sd * sd);
    for (let i = 0; i < size; i++) {
      const row = precision[i];
      const xi = x[i] ?? 0;
      if (row === undefined || xi === 0) continue;
      weighted[i] = (weighted[i] ?? 0) + weight * xi * value;
      for (let j = 0; j < size; j++) row[j] = (row[j] ?? 0) + weight * xi * (x[j] ?? 0);
    }
  }
  const covariance = inverse(precision);
  const mean = covariance.map((row) => row.reduce((sum, c, j) => sum + c * (weighted[j] ?? 0), 0));
  return { mean, covariance };
}

/** Mean and standard deviation of Σ x · coefficient, without the noise of a new measurement. */
export function predictLinear(
  { mean, covariance }: LinearPosterior,
  x: readonly number[],
): { mean: number; sd: number } {
  const value = mean.reduce((sum, m, i) => sum + m * (x[i] ?? 0), 0);
  const variance = covariance.reduce(
    (sum, row, i) => sum + (x[i] ?? 0) * row.reduce((part, c, j) => part + c * (x[j] ?? 0), 0),
    0,
  );
  return { mean: value, sd: Math.sqrt(Math.max(0, variance)) };
}

/** Gauss-Jordan elimination with pivots; the matrices here are positive definite and small. */
function inverse(matrix: readonly (readonly number[])[]): number[][] {
  const size = matrix.length;
  const work = matrix.map((row, i) => [...row, ...row.map((_, j) => i === j ? 1 : 0)]);
  for (let column = 0; column < size; column++) {
    const rest = work.map((row, i) => i < column ? -1 : Math.abs(row[column] ?? 0));
    const pivot = rest.indexOf(Math.max(...rest));
    const chosen = work[pivot] ?? [];
    work[pivot] = work[column] ?? [];
    const divisor = chosen[column] ?? 1;
    const scaled = chosen.map((value) => value / divisor);
    work[column] = scaled;
    for (let i = 0; i < size; i++) {
      const row = work[i];
      const factor = row?.[column] ?? 0;
      if (i === column || row === undefined || factor === 0) continue;
      work[i] = row.map((value, j) => value - factor * (scaled[j] ?? 0));
    }
  }
  return work.map((row) => row.slice(size));
}
