/** Energy of an answer, for reports. */
export { type EnergyEstimate, energyOf } from "../bench/energy.ts";
