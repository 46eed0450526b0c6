/**
 * Mirror of the course page's `select_model.py`: the first model of a task whose min_ram_gb this machine has.
 *
 * What the original got wrong, and what changed here:
 * - It asks for the machine's total RAM alone, so it hands out models that can't be loaded next to what already
 *   runs. The choice is the same here; `fits_now` and `why_not` say whether it can run at this moment, and
 *   `next_that_fits` names the task's first model that can.
 * - `min_ram_gb: 8` refused every laptop sold with 8 GB, since such a machine reports 7.4 to 7.9. Up to 8 % are
 *   forgiven here.
 * - A missing or broken models.json, or an unknown task, ended in a stack trace. Here it is one line.
 *
 *   deno task workshop:select_model --task chat
 *   deno task workshop:select_model --task reasoning --registry my-models.json
 */
import { UserError } from "../../lib/errors.ts";
import { bareCommand, printJson, runTask } from "../cli.ts";
import { option, shared } from "../options.ts";

const command = bareCommand("workshop:select_model")
  .addOptions([option("--task <task>", "task of the model").default("chat"), ...shared("registry")]);

await runTask(command, async (options: { task: string; registry: string }) => {
  const { loadRegistry } = await import("../../lib/catalog/registry.ts");
  const { describeMachine, firstViable, fits } = await import("../../lib/catalog/machine.ts");
  const { tasksOf } = await import("../../lib/catalog/model.ts");
  const registry = await loadRegistry(options.registry);
  if (!tasksOf(registry).includes(options.task)) {
    throw new UserError(
      `no model of ${options.registry} is for the task ${JSON.stringify(options.task)}: there are ` +
        tasksOf(registry).join(", "),
    );
  }
  const machine = await describeMachine();
  const model = firstViable(registry, options.task, machine);
  const ofTask = registry.models.filter(({ task }) => task.includes(options.task));
  const nextThatFits = ofTask.find((model) => fits(model, machine).ok)?.alias ?? null;
  if (model === undefined) {
    throw new UserError(
      `no model for ${options.task} runs in ${machine.ram_gb} GB of RAM: the smallest of them needs ` +
        `${Math.min(...ofTask.map(({ minRamGb }) => minRamGb))} GB; try another --task`,
      1,
    );
  }
  const fit = fits(model, machine);
  printJson({
    name: model.alias,
    task: options.task,
    min_ram_gb: model.minRamGb,
    notes: model.notes,
    ram_gb: machine.ram_gb,
    free_ram_gb: machine.freeRamGb,
    needs_gb: fit.neededGb === null ? null : Math.round(10 * fit.neededGb) / 10,
    fits_now: fit.ok,
    why_not: fit.ok ? null : fit.reasons.join("; "),
    next_that_fits: nextThatFits,
  });
  return 0;
});
