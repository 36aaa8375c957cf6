export { describeCall, interceptStore, type AroundCall, type StoreCall, type StoreMethod } from "./intercept.ts";
export { retryStore, type RetryOptions } from "./retry.ts";
