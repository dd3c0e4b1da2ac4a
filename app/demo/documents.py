"""The GraphQL documents of the demo, as a client author would write them.

Look next: `app.demo.story`.
"""

REGISTER = """mutation($input: RegisterUserInput!) { registerUser(input: $input) {
  ... on RegisterUserSuccess { user { id username } apiKey position }
  ... on UserError { code message path } } }"""

SUBMIT = """mutation($input: SubmitImageJobInput!) { submitImageJob(input: $input) {
  ... on SubmitImageJobSuccess { accessKey warnings { code message } position
    job { id quote { total items { label amount } } } }
  ... on UserError { code message path } } }"""

FOLLOW = """subscription($id: ID!) { jobUpdated(id: $id) {
  id state queuePosition charged ... on ImageJob { generations { id state workerName imageUrl } } } }"""

STATEMENT = """{ viewer { username kudos held statement(first: 30) { edges { node {
  position amount balance reason breakdown { label amount } } } } } }"""

SHARED = """query($after: Position) { events(after: $after, types:
  ["sharing.PicturePublished", "sharing.PictureWithheld"]) { edges { node { position type data } } } }"""
