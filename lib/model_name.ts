/** What services make of a model's name. */

/**
 * A name without what a service adds to it: case, Foundry Local's version (`:4`) and its device suffix
 * (`-generic-cpu`, `-cuda-gpu`, `-cpu-int4` …).
 *
 * ```ts
 * if (plainName("Phi-4-mini-instruct-cuda-gpu:5") !== "phi-4-mini-instruct") throw new Error("not plain");
 * if (plainName("qwen2.5-0.5b") !== "qwen2.5-0.5b") throw new Error("changed a plain name");
 * ```
 */
export function plainName(name: string): string {
  return name.trim().toLowerCase().replace(/:\d+$/, "").replace(
    /(-(generic|cuda|openvino|trtrtx|qnn|vitis|vitisai|webgpu|dml))?-(cpu|gpu|npu)(-int\d+)?$/,
    "",
  );
}
