// Audits a GraphQL endpoint against GraphQL over HTTP with the npm package `graphql-http`.
// Usage: node audit.mjs http://127.0.0.1:8000/graphql     exit code 1 when an audit is not passed
import { auditServer } from "graphql-http";

const results = await auditServer({ url: process.argv[2] });
const passed = results.filter((result) => result.status === "ok");
for (const result of results) {
  if (result.status !== "ok") console.log(`${result.status} ${result.id} ${result.name}: ${result.reason}`);
}
console.log(`${passed.length} of ${results.length}`);
process.exit(passed.length === results.length ? 0 : 1);
