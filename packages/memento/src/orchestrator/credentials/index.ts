export * from "./environment.ts";
export type * from "./provider.ts";
