import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Module, runCases } from "../millwright/harness/index.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));

test("cases", () => runCases(Module.open(path("../NAME.wasm")), path("../cases")));
