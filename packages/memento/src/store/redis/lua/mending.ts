import { COMMITS_IN_BUCKET } from "../keys.ts";
import { storeScript } from "./script.ts";

/** The highest number that has a row near the end of the log, whatever the facts say. KEYS: store. ARGV: id, a number known to be reached. */
export const LAST_ROW = storeScript(
  "lastRow",
  `
local highest, bucket = 0, math.floor(math.min(last, tonumber(ARGV[2])) / ${COMMITS_IN_BUCKET})
local empty = 0
while empty < 4 do
  local fields = redis.call('HKEYS', tag .. 'log:' .. bucket)
  empty = #fields == 0 and empty + 1 or 0
  for _, field in ipairs(fields) do highest = math.max(highest, tonumber(field) or 0) end
  bucket = bucket + 1
end
return {'ok', last, highest}
`,
);

/** Rows of the log by their numbers, whether or not there are any. KEYS: store. ARGV: id, from, to, bytes. */
export const RAW_ROWS = storeScript(
  "rawRows",
  `
local rows, left = {'ok'}, tonumber(ARGV[4])
for n = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local row = commit(n)
  rows[#rows + 1] = row
  left = left - (row and #row or 0)
  if left <= 0 then break end
end
return rows
`,
);

/** All of a hash. KEYS: store, hash. ARGV: id. */
export const WHOLE_HASH = storeScript("wholeHash", `return {'ok', redis.call('HGETALL', KEYS[2])}`);

/** Timelines that have an address and no place in the order. KEYS: store, addresses, order. ARGV: id. */
export const UNORDERED = storeScript(
  "unordered",
  `
local keys = {}
for _, key in ipairs(redis.call('HVALS', KEYS[2])) do
  if not redis.call('ZSCORE', KEYS[3], key) then keys[#keys + 1] = key end
end
return {'ok', keys}
`,
);

/** Writes one row of the index. KEYS: store, the row's key. ARGV: id, command, its arguments. */
export const MEND = storeScript("mend", `redis.call(ARGV[2], KEYS[2], unpack(ARGV, 3)) return {'ok'}`);
