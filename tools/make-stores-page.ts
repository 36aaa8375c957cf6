/** Writes docs/stores.md anew. Starts each engine for a moment, to ask its driver what it supports; the library must be built. */
import { writeFileSync } from "node:fs";
import path from "node:path";

import { collectParts } from "./stores-page/collect.ts";
import { makeStoresPage } from "./stores-page/page.ts";

writeFileSync(path.join(import.meta.dirname, "..", "docs", "stores.md"), makeStoresPage(await collectParts()));
