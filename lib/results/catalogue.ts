/** The registry on this machine: what `models` returns. */
import {
  firstViable,
  type Fit,
  type FitOptions,
  fits,
  type Machine,
  neededRamGb,
} from "../catalog/machine.ts";

import { findModel, type Model, type Registry, tasksOf } from "../catalog/model.ts";
import { UserError } from "../errors.ts";
import { memoryPlot } from "../plot/memory.ts";
import { FigureView, Result, TableView, TextView, type View } from "./view.ts";

/** A model of the registry, and whether this machine can run it now. */
export interface ModelFit {
  /** The model as the registry states it. */
  readonly model: Model;
  /** Whether it fits, the GB of RAM it needs, and the reasons where it does not fit. */
  readonly fit: Fit;
}

/**
 * The models of the registry, and which of them fit this machine at the moment it was read.
 *
 * ```ts ignore
 * const catalogue = await models();
 * console.log(catalogue.fit());
 * const open = catalogue.models.filter(({ model, fit }) => fit.ok && model.license.open);
 * ```
 */
export class Catalogue extends Result {
  /** Every model of the registry, in its order. */
  readonly models: readonly ModelFit[];

  /** Made by `models`. */
  constructor(readonly registry: Registry, readonly machine: Machine) {
    super();
    this.models = registry.models.map((model) => ({ model, fit: fits(model, machine) }));
  }

  /** What it shows: a sentence. */
  override main(): View {
    return new TextView(this.#words);
  }

  get #words(): string {
    return `The registry holds **${this.models.length} models** for ${tasksOf(this.registry).join(", ")}.`;
  }

  /** Processor, cores, memory (GB of 2^30 bytes), GPU and system of this machine. */
  hardware(): TableView {
    const { machine } = this;
    return new TableView([{
      processor: machine.cpu,
      cores: machine.cores,
      "RAM (GB)": machine.ram_gb,
      "free now (GB)": machine.freeRamGb,
      GPU: machine.gpu.join(", ") || "none found",
      system: `${machine.os}, ${machine.arch}`,
    }], "One reading of this machine. Free memory changes by the minute; total memory does not.");
  }

  /** Each model's tasks, size, required RAM and licence. */
  table(): TableView {
    return new TableView(
      this.models.map(({ model }) => ({
        model: model.alias,
        "made for": model.task.join(", "),
        "parameters (B)": model.parametersB,
        "asks for RAM (GB)": model.minRamGb,
        licence: model.license.open ? model.license.id : `${model.license.id}: read its terms`,
        "in Foundry Local as": model.foundryAlias,
      })),
      `The ${this.models.length} models of the registry. A dash: not known, or not offered there.`,
    );
  }

  /** Which models can run now, and why the others can't. */
  fit(): TableView {
    return new TableView(
      this.models.map(({ model, fit }) => ({
        model: model.alias,
        "needs (GB)": fit.neededGb === null ? null : Number(fit.neededGb.toFixed(1)),
        "can run now": fit.ok ? "yes" : "no",
        why: fit.ok ? "" : fit.reasons.join("; "),
      })),
      `${
        this.models.filter(({ fit }) => fit.ok).length
      } of ${this.models.length} models can run on this machine now.`,
    );
  }

  /** Per task the first model whose `min_ram_gb` this machine, and machines with other amounts of RAM, meet. */
  firstViable(ramGb: readonly number[] = []): TableView {
    const pick = (task: string, ram_gb: number) =>
      firstViable(this.registry, task, { ...this.machine, ram_gb })?.alias ?? "nothing fits";
    return new TableView(
      tasksOf(this.registry).map((task) => ({
        task,
        [`here (${this.machine.ram_gb} GB)`]: pick(task, this.machine.ram_gb),
        ...Object.fromEntries(ramGb.map((ram) => [`with ${ram} GB`, pick(task, ram)])),
      })),
      "Per task the first model whose min_ram_gb the total RAM meets.",
    );
  }

  /** The memory each model needs, against the machine's free and total memory. */
  memory(): FigureView {
    return new FigureView(memoryPlot(
      this.models.map(({ model, fit }) => ({ label: model.alias, neededGb: fit.neededGb, fits: fit.ok })),
      { title: "What fits this machine", freeGb: this.machine.freeRamGb, totalGb: this.machine.ram_gb },
    ));
  }

  /**
   * GB of RAM that a model needs while it runs: weights, context and engine. NaN where
   * the file's size is unknown.
   *
   * @throws {UserError} for a name that is not in the registry
   */
  neededGb(name: string, options: FitOptions = {}): number {
    const model = findModel(this.registry, name);
    if (model === undefined) {
      throw new UserError(
        `no model of the registry is called "${name}": there are ${
          this.models.map(({ model }) => model.alias).join(", ")
        }`,
      );
    }
    return neededRamGb(model, options) ?? NaN;
  }
}
