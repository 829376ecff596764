// Every audit of the package graphql-http against a server: node audit.js <url> <token>. Prints the results as JSON.

import { serverAudits } from "graphql-http";

const [url, token] = process.argv.slice(2);

// The audits know of no tokens.
function fetchFn(input, { headers, ...options } = {}) {
  return fetch(input, { ...options, headers: { ...headers, authorization: `Bearer ${token}` } });
}

const results = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const { id, name, status, reason } = await audit.fn();
  results.push({ id, name, status, reason });
}
console.log(JSON.stringify(results));
