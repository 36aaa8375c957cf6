export * from "./digest.ts";
export * from "./errors.ts";
export type * from "./event.ts";
export * from "./first-error.ts";
export * from "./ids.ts";
export * from "./json.ts";
export type * from "./memento.ts";
export * from "./ports.ts";
export * from "./timeline.ts";
