/** Measures the processor time that a hypervisor takes: its only other sign is slower measurements. */
import { machineReader, machineUse } from "../lib/bench/noise.ts";
import { realClock } from "../scripts/cli.ts";

/** Starts counting; the function returned gives the percentage of one core so far, null where the system has none. */
export async function stealCount(): Promise<() => Promise<number | null>> {
  const read = machineReader(realClock);
  const before = await read();
  return async () => {
    const { stealS, wallMs } = machineUse(before, await read(), null);
    return stealS === null ? null : (100_000 * stealS) / wallMs;
  };
}

/** The figure in a sentence. */
export const stealText = (percent: number) => `the hypervisor took ${percent.toFixed(1)} % of a core`;
