/** README's first script with the two models that Podium runs itself. */
import { assertMeasured, runFirstScript } from "./run_script.ts";

Deno.test("the first script measures two real models", async () => {
  const models = ["smollm2-135m", "gemma-3-270m"];
  const result = await runFirstScript([], {});
  try {
    await assertMeasured(result, models);
  } finally {
    await Deno.remove(result.folder, { recursive: true });
  }
});
