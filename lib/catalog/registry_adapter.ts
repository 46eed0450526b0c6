/** What a registry entry says of its adapter: which module, what it may do, within which limits. */
import { isAbsolute, join, normalize } from "node:path";
import { shown } from "./registry_faults.ts";
import type { Where } from "./registry_entry.ts";
import type { AdapterShape, VariantShape } from "./registry_schema.ts";
import type { AdapterPermissions, AdapterSpec } from "./types.ts";

const DEFAULT_MEMORY_MB = 512;
const DEFAULT_LOAD_S = 60;
const DEFAULT_ANSWER_S = 120;

/** The adapter with its defaults; null for a variant that is none. */
export function toAdapter({ format, adapter }: VariantShape, where: Where): AdapterSpec | null {
  const { path, faults, folder } = where;
  if (adapter === undefined) {
    if (format === "adapter") {
      faults.push({
        path: [...path, "adapter"],
        holds: "nothing",
        takes: 'an object with at least "module", since the format is adapter',
      });
    }
    return null;
  }
  if (format !== undefined && format !== "adapter") {
    faults.push({ path: [...path, "format"], holds: shown(format), takes: "adapter, since there is one" });
  }
  const statedAbsolute = isAbsolute(adapter.module);
  if (!statedAbsolute && leadsOut(adapter.module)) {
    faults.push({
      path: [...path, "adapter", "module"],
      holds: shown(adapter.module),
      takes: "a path below the registry's folder, or an absolute one",
    });
  }
  return {
    module: statedAbsolute ? adapter.module : join(folder, adapter.module),
    folder,
    statedAbsolute,
    permissions: permissionsOf(adapter.permissions ?? {}, folder),
    options: adapter.options ?? {},
    memoryMb: adapter.memory_mb ?? DEFAULT_MEMORY_MB,
    loadTimeoutS: adapter.load_timeout_s ?? DEFAULT_LOAD_S,
    answerTimeoutS: adapter.answer_timeout_s ?? DEFAULT_ANSWER_S,
  };
}

/** A backslash parts folders on Windows alone, so it leads out only there. */
const leadsOut = (module: string) => /^\.\.(?:[\\/]|$)/.test(normalize(module));

/** Paths are the registry's: its folder is where they begin. */
function permissionsOf(
  shape: NonNullable<AdapterShape["permissions"]>,
  folder: string,
): AdapterPermissions {
  const paths = (list: boolean | string[] | undefined) =>
    stated(Array.isArray(list) ? list.map((path) => isAbsolute(path) ? path : join(folder, path)) : list);
  return {
    read: paths(shape.read),
    write: paths(shape.write),
    net: stated(shape.net),
    env: stated(shape.env),
    sys: stated(shape.sys),
    run: stated(shape.run),
    ffi: paths(shape.ffi),
    import: stated(shape.import),
  };
}

/** False and an empty list allow nothing, as if they were not there. */
const stated = (list: boolean | readonly string[] | undefined): true | readonly string[] | undefined =>
  list === true || Array.isArray(list) && list.length > 0 ? list : undefined;
