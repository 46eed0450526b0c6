/** Tables of benchmarks in a terminal. */
import Table from "cli-table3";

/** A table without colours; each row has a cell per heading. */
export function benchTable(head: string[], rows: readonly (readonly (string | number)[])[]): string {
  const table = new Table({ head, style: { head: [], border: [] } });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}
