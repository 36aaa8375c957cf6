export { compensatingCalls } from "./calls-sink.ts";
export {
  httpCalls,
  type HttpAnswer,
  type HttpCallsOptions,
  type MadeHttpCall,
  type RequestOptions,
} from "./http-calls.ts";
export type { Call, CallOutcome, CallsOptions, MadeCall } from "./options.ts";
