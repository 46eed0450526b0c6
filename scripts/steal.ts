/** What a hypervisor takes while something is measured: nobody sees it but in figures that are worse than they should be. */
import { machineReader, machineUse } from "../lib/bench/noise.ts";
import { realClock } from "../scripts/cli.ts";

/** Begins to count; what it returns tells, in percent of one core. Null where the system does not tell. */
export async function stealCount(): Promise<() => Promise<number | null>> {
  const read = machineReader(realClock);
  const before = await read();
  return async () => {
    const { stealS, wallMs } = machineUse(before, await read(), null);
    return stealS === null ? null : (100_000 * stealS) / wallMs;
  };
}

/** The figure in a sentence. */
export const stealText = (percent: number) =>
  `The hypervisor took ${percent.toFixed(1)} % of a core meanwhile`;
