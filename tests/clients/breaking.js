// What graphql-inspector finds between the released schema and the present one: node breaking.js <old> <new>.
// Prints the breaking and the dangerous changes as JSON.

import { readFileSync } from "node:fs";
import { buildSchema } from "graphql";
import { CriticalityLevel, diff } from "@graphql-inspector/core";

const [before, after] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, "utf8")));
const changes = await diff(before, after);
console.log(
  JSON.stringify(
    changes
      .filter(({ criticality }) => criticality.level !== CriticalityLevel.NonBreaking)
      .map(({ criticality, message }) => ({ level: criticality.level, message })),
  ),
);
