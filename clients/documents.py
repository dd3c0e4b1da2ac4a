"""The text of every GraphQL operation the worker and the client use.

Refusals are read through the `UserError` interface, so that errors added later need no change here.
The shapes of the answers are in `shapes.py`.
"""

_REFUSAL = "... on UserError { code message path }"
_MUTATION_REFUSAL = f"{_REFUSAL} ... on TryAgain {{ retryAfterSeconds }}"

_JOB = """
fragment JobView on Job {
  id state queuePosition estimatedWaitSeconds charged
  quote { total items { label amount } }
  ... on ImageJob { generations { id state seed model workerName imageUrl sha256 etag } }
}
"""

_ASSIGNMENT = """
  ... on Assignment { leaseId jobId kind expiresAt }
  ... on ImageAssignment {
    model payload generations { id seed uploadUrl } sourceProcessing sourceImageUrl sourceMaskUrl
  }
  ... on TextAssignment { model payload generations { id seed } }
  ... on InterrogationAssignment { forms { id form uploadUrl } sourceImageUrl }
"""
_MESSAGES = "messages { id message }"

LIVE_ASSIGNMENTS = f"""
query LiveAssignments($workerName: String) {{
  liveAssignments(workerName: $workerName) {{ {_ASSIGNMENT} }}
}}
"""

POP_JOB = f"""
mutation PopJob($input: PopJobInput!) {{
  popJob(input: $input) {{
    __typename
    {_ASSIGNMENT}
    ... on Assignment {{ {_MESSAGES} }}
    ... on NoJob {{ {_MESSAGES} }}
    ... on WorkerInMaintenance {{ maintenanceMessage maintenanceUntil }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

SUBMIT_RESULT = f"""
mutation SubmitResult($input: SubmitResultInput!) {{
  submitResult(input: $input) {{
    __typename
    ... on SubmitResultSuccess {{ reward results {{ generationId state reward }} position }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

EXTEND_LEASE = f"""
mutation ExtendLease($input: ExtendLeaseInput!) {{
  extendLease(input: $input) {{
    __typename
    ... on ExtendLeaseSuccess {{ expiresAt uploadUrls {{ id seed uploadUrl }} }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

RELEASE_LEASE = f"""
mutation ReleaseLease($input: ReleaseLeaseInput!) {{
  releaseLease(input: $input) {{
    __typename
    ... on ReleaseLeaseSuccess {{ position }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

CREATE_UPLOAD = f"""
mutation CreateUpload($input: CreateUploadInput!) {{
  createUpload(input: $input) {{
    __typename
    ... on CreateUploadSuccess {{ upload {{ id url }} }}
    {_MUTATION_REFUSAL}
  }}
}}
"""

QUOTE_IMAGE_JOB = f"""
query QuoteImageJob($input: SubmitImageJobInput!) {{
  quoteImageJob(input: $input) {{
    __typename
    ... on QuoteSuccess {{ quote {{ total items {{ label amount }} }} warnings {{ code message }} }}
    {_REFUSAL}
  }}
}}
"""

SUBMIT_IMAGE_JOB = f"""
mutation SubmitImageJob($input: SubmitImageJobInput!) {{
  submitImageJob(input: $input) {{
    __typename
    ... on SubmitImageJobSuccess {{ job {{ ...JobView }} accessKey warnings {{ code message }} }}
    {_MUTATION_REFUSAL}
  }}
}}
{_JOB}
"""

CANCEL_JOB = f"""
mutation CancelJob($input: CancelJobInput!) {{
  cancelJob(input: $input) {{
    __typename
    ... on CancelJobSuccess {{ job {{ ...JobView }} }}
    {_MUTATION_REFUSAL}
  }}
}}
{_JOB}
"""

JOB = f"""
query Job($id: ID!, $accessKey: String) {{ job(id: $id, accessKey: $accessKey) {{ ...JobView }} }}
{_JOB}
"""

JOB_UPDATED = f"""
subscription JobUpdated($id: ID!, $accessKey: String) {{
  jobUpdated(id: $id, accessKey: $accessKey) {{ ...JobView }}
}}
{_JOB}
"""
