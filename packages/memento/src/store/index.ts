export * from "./header.ts";
export { healthOf, type HealthLatencies, type HealthOptions, type StoreHealth } from "./health.ts";
export * from "./query.ts";
export { openStore, type OpenedStore } from "./open-store.ts";
export type * from "./store.ts";
export * from "./wrap/index.ts";
