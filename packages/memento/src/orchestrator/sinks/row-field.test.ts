import { expect, test } from "vitest";

import { rowField } from "./row-field.ts";

test.each([
  ["city", "rows[3].city"],
  ["größe_2", "rows[3].größe_2"],
  ["", 'rows[3][""]'],
  ["flight no.", 'rows[3]["flight no."]'],
  ["0", 'rows[3]["0"]'],
  ['a"b', String.raw`rows[3]["a\"b"]`],
])("the column %j of row 3 is %s", (name, field) => {
  expect(rowField(3, name)).toBe(field);
});
