// A job from registration to its picture, watched by the npm client of one wire.
// Usage: node flow.mjs URL ws|sse     the worker owner's key in HOARD_API_KEY; an exception is a failure
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { crc32, deflateSync } from "node:zlib";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";

const [url, wire] = process.argv.slice(2);
const WATCH = `subscription Watch($id: ID!, $accessKey: String) { jobUpdated(id: $id, accessKey: $accessKey) {
  id state charged ... on ImageJob { generations { id state imageUrl etag } } } }`;

async function call(key, query, variables) {
  const headers = { "content-type": "application/json", accept: "application/graphql-response+json" };
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await response.json();
  assert.equal(response.status, 200, JSON.stringify(errors));
  assert.equal(errors, undefined, JSON.stringify(errors));
  const [result] = Object.values(data);
  assert.equal(result.code, undefined, JSON.stringify(result));
  return result;
}

function picture(side) {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const size = Buffer.alloc(4);
    const sum = Buffer.alloc(4);
    size.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([size, body, sum]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(side * (1 + side * 3), 0);
  const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]), ...parts]);
}

function watch(client, variables, onState) {
  return new Promise((resolve, reject) => {
    let last;
    client.subscribe(
      { query: WATCH, variables },
      {
        next: ({ data, errors }) => {
          if (errors) return reject(new Error(JSON.stringify(errors)));
          last = data.jobUpdated;
          onState(last.state);
        },
        error: reject,
        complete: () => resolve(last),
      },
    );
  });
}

const user = await call(
  null,
  `mutation($input: RegisterUserInput!) { registerUser(input: $input) {
    ... on RegisterUserSuccess { apiKey } ... on UserError { code message } } }`,
  { input: { username: "conformance", idempotencyKey: randomUUID() } },
);
const model = `conformance ${randomUUID()}`;
const { job, accessKey } = await call(
  user.apiKey,
  `mutation($input: SubmitImageJobInput!) { submitImageJob(input: $input) {
    ... on SubmitImageJobSuccess { job { id } accessKey } ... on UserError { code message } } }`,
  { input: { prompt: "a lighthouse", models: [model] } },
);

const authorization = `Bearer ${user.apiKey}`;
const client =
  wire === "ws"
    ? createWs({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, connectionParams: { authorization } })
    : createSse({ url, headers: { authorization } });
const states = [];
let began;
const first = new Promise((resolve) => { began = resolve; });
const ended = watch(client, { id: job.id, accessKey }, (state) => { states.push(state); began(); });
await Promise.race([first, ended]);

const key = process.env.HOARD_API_KEY;
const taken = await call(
  key,
  `mutation($input: PopJobInput!) { popJob(input: $input) {
    ... on ImageAssignment { leaseId generations { id uploadUrl } } ... on UserError { code message } } }`,
  { input: { workerName: `conformance ${wire} ${randomUUID().slice(0, 8)}`, image: { models: [model] } } },
);
const [task] = taken.generations;
const body = picture(512);
const put = await fetch(task.uploadUrl, { method: "PUT", body });
assert.equal(put.status, 200, await put.text());
await call(
  key,
  `mutation($input: SubmitResultInput!) { submitResult(input: $input) {
    ... on SubmitResultSuccess { reward } ... on UserError { code message } } }`,
  { input: { leaseId: taken.leaseId, results: [{ generationId: task.id, state: "OK" }] } },
);

const last = await ended;
await client.dispose?.();
assert.equal(last.state, "DONE");
assert.ok(states.includes("WAITING"), `first states: ${states}`);
const shown = Buffer.from(await (await fetch(last.generations[0].imageUrl)).arrayBuffer());
assert.deepEqual(shown, body);
assert.equal(createHash("md5").update(shown).digest("hex"), last.generations[0].etag);
console.log(`${states.join(" -> ")}, the picture is the one uploaded`);
process.exit(0);
