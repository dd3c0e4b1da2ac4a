// Audits a GraphQL endpoint against GraphQL over HTTP with the npm package `graphql-http`.
// Usage: node audit.mjs http://127.0.0.1:8000/graphql     exit code 1 when an audit is not passed, 2 without the package
const url = process.argv[2];
if (!url) {
  console.error("usage: node audit.mjs URL");
  process.exit(2);
}
let suite;
try {
  // Resolved from the working directory, so that the package need not be installed in the repository.
  const { createRequire } = await import("node:module");
  suite = createRequire(process.cwd() + "/")("graphql-http");
} catch (error) {
  console.error(`graphql-http is not installed in ${process.cwd()}: npm install graphql-http graphql`);
  process.exit(2);
}
const results = await suite.auditServer({ url });
const passed = results.filter((result) => result.status === "ok");
for (const result of results) {
  if (result.status !== "ok") console.log(`${result.status} ${result.id} ${result.name}: ${result.reason}`);
}
console.log(`${passed.length} of ${results.length}`);
process.exit(passed.length === results.length ? 0 : 1);
