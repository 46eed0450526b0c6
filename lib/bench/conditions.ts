/** Whether two runs were made under conditions that let their times be compared. */
import type { ComparableRun } from "./compare_runs.ts";

/** Something that differs between two runs. */
export interface ConditionDifference {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  /** True where times can't be compared any more; false where a reader should merely know. */
  readonly blocking: boolean;
}

type Field = {
  readonly what: string;
  readonly of: (run: ComparableRun) => string;
  readonly blocking: boolean;
};

const fields: readonly Field[] = [
  { what: "processor", of: ({ info }) => `${info.machine.cpu}, ${info.machine.cores} cores`, blocking: true },
  {
    what: "memory of the machine",
    of: ({ info }) => `${Math.round(info.machine.ram_gb)} GB`,
    blocking: true,
  },
  { what: "GPU", of: ({ info }) => info.machine.gpu.join(", ") || "none seen", blocking: true },
  { what: "system", of: ({ info }) => `${info.machine.os} ${info.machine.arch}`, blocking: false },
  { what: "max_tokens", of: ({ info }) => String(info.plan.max_tokens), blocking: true },
  { what: "prefix", of: ({ info }) => info.plan.prefix, blocking: true },
  { what: "temperature", of: ({ info }) => String(info.plan.temperature), blocking: true },
  { what: "concurrency", of: ({ info }) => String(info.plan.concurrency), blocking: true },
  {
    what: "rate",
    of: ({ info }) => info.plan.rate === null ? "none" : `${info.plan.rate}/s`,
    blocking: true,
  },
  {
    what: "fixed output",
    of: ({ info }) => info.plan.fixed_output === true ? "on" : "off",
    blocking: true,
  },
  { what: "kind of run", of: ({ info }) => info.plan.mode, blocking: false },
  { what: "order", of: ({ info }) => info.plan.order, blocking: false },
  { what: "rounds", of: ({ info }) => String(info.plan.rounds), blocking: false },
  { what: "versions", of: ({ info }) => versions(info.versions), blocking: false },
  { what: "prompt set", of: ({ info }) => promptSet(info.plan.prompt_set), blocking: false },
  { what: "status of the run", of: ({ info }) => info.status, blocking: false },
];

/**
 * What differs between the conditions of two runs. A different prompt set does not block: only the prompts
 * that both hold are compared.
 *
 * @example
 * ```ts ignore
 * const blocking = conditionDifferences(before, after).filter((one) => one.blocking);
 * ```
 */
export function conditionDifferences(before: ComparableRun, after: ComparableRun): ConditionDifference[] {
  return fields.flatMap(({ what, of, blocking }) => {
    const [left, right] = [of(before), of(after)];
    return left === right ? [] : [{ what, before: left, after: right, blocking }];
  });
}

function versions(all: Readonly<Record<string, string>>): string {
  return Object.entries(all).sort().map(([name, version]) => `${name} ${version}`).join(", ");
}

function promptSet({ name, sha256, prompts }: ComparableRun["info"]["plan"]["prompt_set"]): string {
  return `${name} (${prompts.length} prompts, ${sha256.slice(0, 8)})`;
}
