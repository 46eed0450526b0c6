/** deno task fleet pack-run and import: runs as files. */
import { basename } from "node:path";
import { UserError } from "../../lib/errors.ts";
import { bareCommand, printJson, subcommand } from "../cli.ts";
import { option, pathValue, RUN_ARGUMENT, type Shared, shared } from "../options.ts";
import { keyOf, nameOption, stateFolder, stateOption, tagOption } from "./state.ts";

interface PackRunSettings extends Shared<"out" | "json"> {
  readonly file?: string;
  readonly name?: string;
  readonly tag?: string[];
  readonly state?: string;
}

export const packRunCommand = subcommand(
  bareCommand("fleet pack-run", "Write a run into one signed file")
    .argument("[run]", RUN_ARGUMENT)
    .addOptions([
      option("--file <path>", "file to write (default: RUN.podium in this folder)", pathValue),
      nameOption(),
      tagOption(),
      stateOption(),
      ...shared("out", "json"),
    ]),
  async (run: string | undefined, { file, name, tag = [], state, out, json }: PackRunSettings) => {
    const { requireRun } = await import("../../lib/bench/find_run.ts");
    const { packRun } = await import("../../lib/fleet/bundle.ts");
    const folder = await requireRun(run, out);
    const path = file ?? `${basename(folder)}.podium`;
    const { manifest, bytes, jobProblem } = await packRun(folder, path, {
      key: await keyOf(stateFolder(state)),
      sender: { name: name ?? null, tags: tag },
      now: new Date(),
    });
    if (jobProblem !== null) {
      console.error(`The job is not included (${jobProblem}), so the answers can't be scored again there.`);
    }
    if (json) printJson({ path, bytes, ...manifest });
    else {
      console.log(
        `${path}: ${manifest.run_id}, ${(bytes / 1024).toFixed(0)} KB, signed by ${manifest.sender.id}.`,
      );
      console.log(`It holds ${manifest.files.map((one) => one.name).join(", ")}: answers are in it.`);
      console.log(`On the other machine: deno task fleet import ${basename(path)}`);
    }
    return 0;
  },
);

export const importCommand = subcommand(
  bareCommand("fleet import", "Check the runs of other machines and file them under imports/")
    .usage("[options] <files...>")
    .argument("[files...]", "files that deno task fleet pack-run wrote")
    .addOptions(shared("out", "json"))
    .addHelpText(
      "after",
      `
A run that can't be true is refused, with the reasons: speed against bandwidth, clock, counts, units, hashes, duplicates.
Exit codes: 0 all were imported, 1 at least one was refused, 2 wrong usage or input.`,
    ),
  async (files: string[], { out, json }: Shared<"out" | "json">) => {
    if (files.length === 0) throw new UserError("give the files that deno task fleet pack-run wrote");
    const { importBundle } = await import("../../lib/fleet/bundle.ts");
    const results = [];
    for (const path of files) {
      const result = await importBundle(path, { out, now: new Date() });
      results.push({ path, ...result });
      if (json) continue;
      if (result.status === "refused") console.log(`refused   ${path}: ${result.reasons.join("; ")}`);
      else {
        const { sender: { id, machine } } = result.manifest;
        console.log(
          `imported  ${result.folder}: ${machine.cpu}, ${machine.ram_gb} GB, by ${id}${
            result.isKnownSender ? "" : ", a new device"
          }`,
        );
      }
    }
    if (json) printJson(results);
    return results.every(({ status }) => status === "imported") ? 0 : 1;
  },
);
