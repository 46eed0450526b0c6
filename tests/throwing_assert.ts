/** Examples in doc comments check themselves with `console.assert`, which only prints: here it throws. */
console.assert = (condition?: boolean, ...why: readonly unknown[]) => {
  if (!condition) throw new Error(`console.assert failed ${why.join(" ")}`);
};
