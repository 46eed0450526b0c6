/** An adapter that forgot how it must be written. */
export const load = () => ({});
export default function generate() {}
