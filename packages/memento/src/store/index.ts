export * from "./header.ts";
export * from "./query.ts";
export type * from "./store.ts";
