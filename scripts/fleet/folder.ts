/** The folders of fleets, for every command that works on one. */
import { join } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { isFile } from "../../lib/text_file.ts";
import { option, pathValue } from "../options.ts";
import { wordValue } from "./state.ts";

export const fleetOption = () => option("--fleet <name>", "name of the fleet", wordValue, "room");
export const fleetsOption = () =>
  option("--fleets <folder>", "folder of fleets; one folder per fleet", pathValue, "fleet");

export interface FleetFlags {
  readonly fleet: string;
  readonly fleets: string;
}

export const folderOf = ({ fleet, fleets }: FleetFlags): string => join(fleets, fleet);

/** @throws {UserError} where there is no such fleet */
export async function requireFleet(flags: FleetFlags): Promise<string> {
  const folder = folderOf(flags);
  if (await isFile(join(folder, "fleet.json"))) return folder;
  throw new UserError(
    `there is no fleet in ${folder}: start its hub with deno task fleet hub --fleet ${flags.fleet}`,
  );
}
