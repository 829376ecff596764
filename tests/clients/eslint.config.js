// The rules that @graphql-eslint recommends for schemas. ESLint reads nothing outside of this folder: it is given a copy.

import { readFileSync } from "node:fs";
import { buildSchema, isObjectType } from "graphql";
import graphqlPlugin from "@graphql-eslint/eslint-plugin";

const schema = buildSchema(readFileSync("../../schema.graphql", "utf8"));

// An id belongs to what can be fetched again by it. All else is a value: an answer, a page, a payload, a refusal.
const values = Object.values(schema.getTypeMap())
  .filter((type) => isObjectType(type) && !type.name.startsWith("__"))
  .filter((type) => !type.getInterfaces().some((one) => one.name === "Node"))
  .map((type) => type.name);

export default [
  {
    files: ["**/*.graphql"],
    languageOptions: {
      parser: graphqlPlugin.parser,
      parserOptions: { graphQLConfig: { schema: "../../schema.graphql" } },
    },
    plugins: { "@graphql-eslint": graphqlPlugin },
    rules: {
      ...graphqlPlugin.configs["flat/schema-recommended"].rules,
      "@graphql-eslint/strict-id-in-types": [
        "error",
        { acceptedIdNames: ["id"], acceptedIdTypes: ["ID"], exceptions: { types: values } },
      ],
    },
  },
];
