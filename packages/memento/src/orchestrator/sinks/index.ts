export type * from "./sink.ts";
export * from "./sqlite/index.ts";
