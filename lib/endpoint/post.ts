/** Kept until the gateway no longer imports it. */
export type { PostJson } from "./timed_client.ts";
