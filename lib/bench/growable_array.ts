/** A growing array of numbers: eight (or four) bytes per value, whatever a run's length. */

/** Appends numbers to a typed array that doubles when it is full. */
export class GrowableArray {
  #values: Float64Array | Float32Array;
  #length = 0;

  /** @param precision `single` where memory counts more than the eighth digit */
  constructor(precision: "double" | "single" = "double") {
    this.#values = precision === "double" ? new Float64Array(256) : new Float32Array(256);
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = this.#values instanceof Float64Array
        ? new Float64Array(this.#length * 2)
        : new Float32Array(this.#length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#length++] = value;
  }

  /** The values so far; shares memory with the array. */
  view(): Float64Array | Float32Array {
    return this.#values.subarray(0, this.#length);
  }
}
