import { expect, test } from "vitest";

import { shellWord } from "./shell-word.ts";

test.each([
  ["head~2", "head~2"],
  ["flights#try", "flights#try"],
  ["sqlite:/a/b.db", "sqlite:/a/b.db"],
  ["#1", "'#1'"],
  ["~/x", "'~/x'"],
  ["two words", "'two words'"],
  ["it's", String.raw`'it'\''s'`],
  ["", "''"],
])("shellWord(%j) is %s", (word, quoted) => {
  expect(shellWord(word)).toBe(quoted);
});
