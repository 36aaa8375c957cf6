export { cacheStore, type CachedStore, type CacheFacts, type CacheOptions, type SharedPackCache } from "./cache.ts";
export { describeCall, interceptStore, type AroundCall, type StoreCall, type StoreMethod } from "./intercept.ts";
export { limitStore, type LimitOptions } from "./limit.ts";
export {
  DURATION_BOUNDS_MS,
  StoreMetrics,
  type DurationCounts,
  type MethodCounts,
  type ObservedCall,
} from "./metrics.ts";
export { observeStore, type ObserveOptions, type SpanLike, type TracerLike } from "./observe.ts";
export type { PackBytes } from "./pack-cache.ts";
export { RedisPackCache, type RedisCacheClient, type RedisCacheFacts, type RedisCacheOptions } from "./redis-cache.ts";
export { retryStore, type RetryOptions } from "./retry.ts";
export * from "./replicate/index.ts";
