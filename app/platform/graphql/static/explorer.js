// The explorer: runs one document at a time, subscriptions over an event stream, and shows the schema.
// It keeps the key in this page only: nothing is stored.
"use strict";

const endpoint = document.body.dataset.endpoint;
const element = (id) => document.getElementById(id);
let running = null;

function headers(accept) {
  const found = { "content-type": "application/json", accept };
  const key = element("key").value.trim();
  if (key) found.apikey = key;
  return found;
}

function show(text, append) {
  const result = element("result");
  result.textContent = append ? text + "\n\n" + result.textContent.slice(0, 200000) : text;
}

const pretty = (text) => {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
};

async function readEvents(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    let end;
    while ((end = buffer.indexOf("\n\n")) >= 0) {
      const lines = buffer.slice(0, end).split("\n");
      buffer = buffer.slice(end + 2);
      const event = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (event === "next") show(pretty(data), true);
      if (event === "complete") return;
    }
  }
}

async function run() {
  if (running) running.abort();
  const control = (running = new AbortController());
  element("stop").disabled = false;
  element("status").textContent = "running";
  show("");
  try {
    const variables = JSON.parse(element("variables").value.trim() || "{}");
    const response = await fetch(endpoint, {
      method: "POST",
      headers: headers("application/graphql-response+json, text/event-stream;q=0.9"),
      body: JSON.stringify({ query: element("query").value, variables }),
      signal: control.signal,
    });
    element("status").textContent = String(response.status);
    if (response.headers.get("content-type").startsWith("text/event-stream")) await readEvents(response);
    else show(pretty(await response.text()));
  } catch (error) {
    if (!control.signal.aborted) show(String(error));
  } finally {
    if (running === control) {
      running = null;
      element("stop").disabled = true;
    }
  }
}

const TYPE = "kind name ofType { kind name ofType { kind name ofType { kind name } } }";
const SCHEMA = `query Docs { __schema { types { kind name description
  fields(includeDeprecated: true) { name description args { name description type { ${TYPE} } defaultValue } type { ${TYPE} } }
  inputFields { name description type { ${TYPE} } defaultValue }
  enumValues(includeDeprecated: true) { name description }
  possibleTypes { name } } } }`;

function typeText(type) {
  if (type.kind === "NON_NULL") return typeText(type.ofType) + "!";
  if (type.kind === "LIST") return "[" + typeText(type.ofType) + "]";
  return type.name;
}

function argumentText(argument) {
  const fallback = argument.defaultValue === null ? "" : " = " + argument.defaultValue;
  return argument.name + ": " + typeText(argument.type) + fallback;
}

function memberText(member) {
  const args = member.args?.length ? "(" + member.args.map(argumentText).join(", ") + ")" : "";
  if (!member.type) return member.name;
  return member.args ? member.name + args + ": " + typeText(member.type) : argumentText(member);
}

function typeElement(type) {
  const details = document.createElement("details");
  const add = (parent, tag, text) => {
    const made = document.createElement(tag);
    made.textContent = text;
    parent.append(made);
    return made;
  };
  add(details, "summary", type.kind.toLowerCase().replace("_", " ") + " " + type.name);
  if (type.description) add(details, "p", type.description);
  if (type.kind === "UNION") add(details, "p", type.possibleTypes.map((each) => each.name).join(" | "));
  const list = add(details, "dl", "");
  for (const member of [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])]) {
    add(list, "dt", memberText(member));
    if (member.description) add(list, "dd", member.description);
  }
  return details;
}

async function loadDocs() {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: headers("application/graphql-response+json"),
    body: JSON.stringify({ query: SCHEMA }),
  });
  const payload = await response.json();
  if (!payload.data) {
    element("docs").textContent = payload.errors?.[0]?.message ?? "No schema";
    return;
  }
  const rank = (type) => ["Query", "Mutation", "Subscription"].indexOf(type.name) + 1 || 9;
  const types = payload.data.__schema.types
    .filter((type) => !type.name.startsWith("__"))
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  const entries = types.map((type) => ({ shown: typeElement(type), text: "" }));
  for (const entry of entries) entry.text = entry.shown.textContent.toLowerCase();
  element("docs").replaceChildren(...entries.map((entry) => entry.shown));
  element("search").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const entry of entries) entry.shown.hidden = !entry.text.includes(wanted);
  });
}

element("run").addEventListener("click", run);
element("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
loadDocs().catch((error) => { element("docs").textContent = String(error); });
