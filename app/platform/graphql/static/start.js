// Starts GraphiQL on this endpoint. The API key is typed into the Headers pane as {"apikey": "..."}; subscriptions
// take it from there too, and run over graphql-transport-ws.
"use strict";

const path = document.body.dataset.endpoint;
const sockets = new Map();

function socketFor(apikey) {
  if (!sockets.has(apikey)) {
    const url = location.origin.replace(/^http/, "ws") + path;
    sockets.set(apikey, graphqlWs.createClient({ url, connectionParams: apikey ? { apikey } : {} }));
  }
  return sockets.get(apikey);
}

function fetcher(request, options) {
  const headers = (options && options.headers) || {};
  const key = headers.apikey || (headers.authorization || headers.Authorization || "").replace(/^Bearer /, "");
  return GraphiQL.createFetcher({ url: path, wsClient: socketFor(key) })(request, options);
}

const welcome = `# Welcome to Hoard. Without a key you are the anonymous user all share.
# With one, put {"apikey": "..."} into the Headers pane below.
{
  viewer { username kudos }
  hordeStatus { workers queuedJobs pastMinuteImages position }
}
`;

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, { fetcher, defaultQuery: welcome, defaultEditorToolsVisibility: "headers" }),
);
