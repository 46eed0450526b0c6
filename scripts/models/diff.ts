/** `models diff`: whether this registry is up to date with another list. Nothing is written. */
import { diffRegistries, type RegistryDifference } from "../../lib/catalog/registry_diff.ts";
import { loadRegistry, parseRegistry, type Registry } from "../../lib/catalog/registry.ts";
import { reasonOf, UserError } from "../../lib/errors.ts";
import { interruptSignal, printJson } from "../cli.ts";
import type { Options } from "./catalog.ts";

export async function diff(source: string, options: Options): Promise<number> {
  const differences = diffRegistries(await loadRegistry(options.registry), await listAt(source));
  if (options.json) {
    printJson({ registry: options.registry, other: source, differences });
    return 0;
  }
  for (const difference of differences) console.log(differenceText(difference));
  const changes = differences.filter(({ kind }) => kind !== "only here").length;
  console.log(
    changes === 0
      ? `${source} has nothing that ${options.registry} lacks`
      : `${changes} ${
        changes === 1 ? "difference" : "differences"
      }; deno task models learn --merge FILE --yes adds ` +
        "missing models",
  );
  return 0;
}

async function listAt(source: string): Promise<Registry> {
  if (!/^https?:\/\//i.test(source)) return await loadRegistry(source);
  try {
    const response = await fetch(source, { signal: interruptSignal() });
    if (!response.ok) throw new UserError(`${source}: the server answered ${response.status}`, 1);
    return parseRegistry(await response.text(), source);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${source} can't be reached: ${reasonOf(error)}; give the path of a file`, 1);
  }
}

function differenceText({ kind, name, field, here, there }: RegistryDifference): string {
  switch (kind) {
    case "new model":
    case "new variant":
      return `${kind}  ${name}${there === null ? "" : `: ${there}`}`;
    case "changed":
      return `changed    ${name}: ${field} is ${here ?? "blank"} here, ${there} there`;
    case "only here":
      return `only here  ${name}`;
  }
}
